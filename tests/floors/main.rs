//! The rooms of `src` stand on floors, and imports point down. What stands here is the
//! plan of the house: a file that doesn't keep to it fails this test, by its line. So does a
//! guide of which a link leads nowhere.

mod imports;
mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imports::{Import, Module, Tree};

/// The floors, from the ground up, and the rooms on each.
const FLOORS: [&[&str]; 6] = [
    &["event", "http", "progress", "access", "sys"],
    &["hub"],
    &["sequencer"],
    &[
        "stream", "upload", "pipeline", "command", "client", "webhook",
    ],
    &["routes", "web"],
    &["server", "cli", "simulation", "docs", "internals"],
];

/// Rooms that know nothing of others, though these are no higher, and why.
const STRANGERS: [(&str, &[&str], &str); 8] = [
    ("event", &["sys"], PURE),
    ("http", &["sys"], PURE),
    ("progress", &["sys"], PURE),
    ("access", &["sys"], PURE),
    ("hub", &["http"], "the state machine knows no requests"),
    ("sequencer", &["http"], "the order knows no requests"),
    ("command", &["http", "hub"], "commands know no jobs"),
    (
        "webhook",
        &["stream", "upload", "pipeline", "command"],
        "a webhook is one more reader of the order",
    ),
];
const PURE: &str = "it is pure: no sockets, no threads, no clocks";

/// What a room's code doesn't say, and why.
const UNSAID: [(&[&str], &[&str], &str); 3] = [
    (
        &["event", "http", "progress", "access", "hub"],
        &["Instant::now", "SystemTime::now", ".elapsed()"],
        "it has no clock: the time is an argument",
    ),
    (
        &["event", "http", "progress", "access", "hub"],
        &[
            "std::thread",
            "thread::spawn",
            "may::",
            "mio::",
            "TcpStream",
            "UnixStream",
        ],
        "it has no threads and no sockets",
    ),
    (
        &["hub"],
        &["std::fs", "std::io", "std::net"],
        "the state machine has no disk",
    ),
];

#[test]
fn every_room_has_its_floor() {
    let tree = source();
    let known: BTreeSet<&str> = FLOORS
        .iter()
        .flat_map(|floor| floor.iter().copied())
        .collect();
    for room in tree.rooms() {
        assert!(
            known.contains(room),
            "src/{room} has no floor: give it one in tests/floors/main.rs"
        );
    }
}

#[test]
fn imports_point_down_and_never_in_a_circle() {
    let faults = faults(&source());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn what_is_pure_has_no_clock_no_thread_and_no_socket() {
    let tree = source();
    let mut faults = Vec::new();
    for (rooms, words, why) in UNSAID {
        for room in rooms {
            let found = tree.mentions(room, words).into_iter();
            faults.extend(found.map(|place| format!("{place}: {room} shouldn't: {why}")));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_root_of_the_crate_has_about_forty_names() {
    let root = include_str!("../../src/lib.rs");
    let uses = root.split("\npub use ").skip(1);
    let uses = uses.map(|rest| rest.split_once(';').expect("a use ends").0);
    let words = uses.flat_map(|it| it.split(|c: char| !c.is_alphanumeric()));
    let names: Vec<&str> = words
        .filter(|it| it.starts_with(char::is_uppercase))
        .collect();
    // What is only a field of a configuration is in `config`.
    assert!(names.len() <= 39, "{}: {names:?}", names.len());
}

#[test]
fn an_import_that_points_up_is_named_with_its_line() {
    let faults = faults_of(&[
        (
            "hub/mod.rs",
            "use crate::{\n    event::Event,\n    sequencer::Order,\n};",
        ),
        ("event/mod.rs", "pub struct Event;"),
        ("sequencer/mod.rs", "pub trait Order {}"),
    ]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("src/hub/mod.rs:3: crate::sequencer::Order points up"),
        "{faults:?}"
    );
}

#[test]
fn a_path_without_a_use_counts_and_a_comment_a_string_and_a_test_do_not() {
    let text = "// crate::server::A\nconst B: &str = \"crate::server::B\";\n/* crate::server::C */\n\
        #[cfg(test)]\nmod tests { use crate::server::D; fn f() { '{'; } }\n\
        const R: &str = r#\"\" crate::server::E\"#;\nfn f<'a>(_: &'a crate::server::F) {}\n";
    let faults = faults_of(&[("event/mod.rs", text), ("server/mod.rs", "pub struct F;")]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("src/event/mod.rs:7: "), "{faults:?}");
}

#[test]
fn a_circle_of_rooms_on_one_floor_or_of_files_in_one_room_is_named_all_around() {
    let faults = faults_of(&[
        ("upload/mod.rs", "use crate::pipeline::Stage;"),
        ("pipeline/mod.rs", "use crate::upload::Spool;"),
        (
            "routes/mod.rs",
            "mod tus; mod upload; pub use tus::Piece; fn f() { self::upload::g() }",
        ),
        (
            "routes/tus.rs",
            "use super::upload::created;\nuse super::Context;",
        ),
        // By the name that its room gives it.
        ("routes/upload.rs", "use super::Piece;"),
    ]);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    for (fault, places) in faults.iter().zip([
        ["src/pipeline/mod.rs:1", "src/upload/mod.rs:1"],
        ["src/routes/tus.rs:1", "src/routes/upload.rs:1"],
    ]) {
        for place in places {
            assert!(fault.contains(place), "{fault}");
        }
    }
}

#[test]
fn the_root_gives_names_to_users_of_the_crate_and_rooms_name_rooms() {
    let faults = faults_of(&[
        ("lib.rs", "pub mod hub;\npub use hub::Hub;"),
        ("hub/mod.rs", "pub struct Hub;"),
        ("server/mod.rs", "use crate::Hub;"),
    ]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("name the room that it is in"),
        "{faults:?}"
    );
}

fn source() -> Tree {
    Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
    let mut tree = Tree::default();
    for (path, text) in files {
        tree.add(path, text);
    }
    faults(&tree)
}

fn faults(tree: &Tree) -> Vec<String> {
    let imports = tree.imports();
    let mut faults: Vec<String> = imports.iter().filter_map(fault).collect();
    faults.extend(circles(&imports));
    faults
}

/// What is wrong with an import by itself.
fn fault(import: &Import) -> Option<String> {
    let from = import.from.first()?;
    let Import { place, path, .. } = import;
    let is_by_root = path
        .strip_prefix("crate::")
        .is_some_and(|rest| rest.starts_with(char::is_uppercase));
    if is_by_root {
        return Some(format!("{place}: {path}: name the room that it is in"));
    }
    let to = import.to.first()?;
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room));
    let (low, high) = (floor(from)?, floor(to)?);
    if high > low {
        return Some(format!(
            "{place}: {path} points up, from floor {low} to floor {high}: move what {from} needs \
             to {from} or below, or have it passed in as an argument"
        ));
    }
    let (_, _, why) = STRANGERS
        .iter()
        .find(|(room, strangers, _)| room == from && strangers.contains(&to.as_str()))?;
    Some(format!(
        "{place}: {path}: {from} knows nothing of {to}: {why}"
    ))
}

/// The circles of rooms, and of the files and directories within each.
fn circles(imports: &[Import]) -> Vec<String> {
    // The neighbours of each, below the directory that they share, and one import for each.
    let mut graphs: BTreeMap<Module, BTreeMap<&str, BTreeMap<&str, &Import>>> = BTreeMap::new();
    for import in imports {
        let pairs = import.from.iter().zip(&import.to);
        let shared = pairs.take_while(|(from, to)| from == to).count();
        // A file and the directory that it is in are one thing.
        if let (Some(from), Some(to)) = (import.from.get(shared), import.to.get(shared)) {
            let graph = graphs.entry(import.from[..shared].to_vec()).or_default();
            graph.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    let mut faults = Vec::new();
    for graph in graphs.values() {
        let mut done = BTreeSet::new();
        for &start in graph.keys() {
            if let Some(circle) = circle(graph, start, &mut Vec::new(), &mut done) {
                let lines: Vec<String> = circle
                    .iter()
                    .map(|import| format!("  {}: {}", import.place, import.path))
                    .collect();
                faults.push(format!(
                    "a circle: move what both ends need below them:\n{}",
                    lines.join("\n")
                ));
            }
        }
    }
    faults
}

/// A circle that can be reached from `at`, where none has been found from what is done.
fn circle<'a>(
    graph: &BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>,
    at: &'a str,
    way: &mut Vec<(&'a str, &'a Import)>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a Import>> {
    if let Some(start) = way.iter().position(|&(name, _)| name == at) {
        return Some(way[start..].iter().map(|&(_, import)| import).collect());
    }
    if done.contains(at) {
        return None;
    }
    for (&next, &import) in graph.get(at).into_iter().flatten() {
        way.push((at, import));
        let found = circle(graph, next, way, done);
        way.pop();
        if found.is_some() {
            done.insert(at);
            return found;
        }
    }
    done.insert(at);
    None
}
