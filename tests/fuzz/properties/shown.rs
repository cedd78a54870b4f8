//! What a tool says when it fails, and what of it a person is shown: nothing of where things
//! lie on the server.

use std::path::Path;

use landfall::internals::pipeline::shown::without_paths;
use landfall::internals::pipeline::stage::complaint::{Asker, failure};
use landfall::internals::pipeline::task::{Crash, StageFailure};

const DATA: &str = "/srv/land fall/data";
const FILE: &str = "/srv/land fall/data/uploads/0123456789abcdef0123456789abcdef/data";

/// The input is what is said: its first byte says how it came to that.
pub fn check(input: &[u8]) {
    let Some((&first, said)) = input.split_first() else {
        return;
    };
    let said = String::from_utf8_lossy(said);
    let known = [(Path::new(FILE), "the file"), (Path::new(DATA), "the data")];
    let shown = without_paths(&format!("{said} {FILE}: {said}"), &known);
    assert!(
        !shown.contains(FILE) && shown.contains(" the file: "),
        "{shown:?}"
    );
    for word in shown.split_ascii_whitespace() {
        let is_path = |root: &str| word.starts_with(root) && word.len() > root.len();
        let roots = ["/etc/", "/usr/", "/home/", "/tmp/"];
        assert!(!roots.iter().any(|root| is_path(root)), "{shown:?}");
    }
    let crash = Crash {
        how: "exit status 1".to_owned(),
        is_killed: first & 1 > 0,
        last_line: said.into_owned(),
        disk_is_full: first & 2 > 0,
    };
    for asked in [Asker::Here, Asker::There] {
        let (why, may_pass) = match failure(asked, "video/mp4", &crash) {
            StageFailure::Passing(why) => (why, true),
            StageFailure::Lasting(why) | StageFailure::Unfit(why) => (why, false),
            other => panic!("{other:?}"),
        };
        assert!(why.is_ascii() && why.len() < 120, "{why:?}");
        assert!(!why.contains(['/', '@', '[', '\n', '\0']), "{why:?}");
        assert!(may_pass || first & 3 == 0, "{why}");
    }
}
