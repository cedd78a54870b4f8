//! Links of the guides.

use std::fs;
use std::path::Path;

/// Who reads the files on a forge follows what stands at a guide's end, and who reads the
/// library's documentation what stands in `links.md`, which rustdoc checks.
#[test]
fn every_link_of_a_guide_leads_to_a_heading_of_a_file_and_of_a_page() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs");
    let read = |name: &str| fs::read_to_string(docs.join(name));
    let pages = read("links.md").unwrap();
    let names = fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap());
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| name.ends_with(".md") && name != "links.md") {
        let guide = read(&name).unwrap();
        let is_plain = !guide.contains("](crate::");
        assert!(
            is_plain,
            "{name}: write [words][page#part], and say below where that is"
        );
        for (label, _) in guide
            .split("][")
            .skip(1)
            .filter_map(|it| it.split_once(']'))
        {
            let (page, part) = label.split_once('#').unwrap_or((label, ""));
            let mark = if part.is_empty() { "" } else { "#" };
            let file = format!("\n[{label}]: {page}.md{mark}{part}\n");
            assert!(guide.contains(&file), "{name} has no line {file}");
            let module = format!("[{label}]: crate::docs::{label}\n");
            assert!(pages.contains(&module), "links.md has no line {module}");
            let target = read(&format!("{page}.md")).unwrap();
            let mut headings = target.lines().filter(|line| line.starts_with('#'));
            let is_there = part.is_empty() || headings.any(|line| anchor(line) == part);
            assert!(is_there, "{name}: {page}.md has no heading {part}");
        }
    }
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let words = words.replace(' ', "-");
    words.replace(|c: char| !c.is_alphanumeric() && c != '-' && c != '_', "")
}
