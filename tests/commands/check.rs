//! The configuration, read and not acted upon.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::hub::{Hub, landfall, text};

/// Ports that are free, whatever listens on this machine.
const FREE: [&str; 3] = [
    "--listen=127.0.0.1:0",
    "--publish=127.0.0.1:0",
    "--ops=127.0.0.1:0",
];

/// The lines that `landfall check` says of a file.
fn said(folder: &std::path::Path, config: &str) -> Vec<String> {
    fs::write(folder.join("c.toml"), config).unwrap();
    let mut check = landfall(["check", "--config=c.toml"]);
    let output = check.current_dir(folder).output().unwrap();
    let lines = text(&output.stderr).lines();
    let lines: Vec<String> = lines
        .map(|line| {
            line.strip_prefix("landfall check: ")
                .unwrap_or(line)
                .to_owned()
        })
        .collect();
    assert_eq!(
        output.status.code(),
        Some(i32::from(!lines.is_empty())),
        "{lines:#?}"
    );
    lines
}

#[test]
fn a_configuration_that_is_right_is_said_to_be_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("own.toml");
    fs::write(&config, "[[stage]]\nname = 'storing'\n").unwrap();
    let mut check = landfall(["check", "--config", "own.toml", "--data", "data"]);
    let check = check.args(FREE).current_dir(folder.path());
    let output = check.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("all is well\n", "")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // As serve does, it finds the file that is called so.
    fs::rename(config, folder.path().join("landfall.toml")).unwrap();
    fs::write(
        folder.path().join("landfall.toml"),
        "[[stage]]\nname = 'thumb'\n",
    )
    .unwrap();
    let output = landfall(["check"])
        .args(FREE)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).starts_with("landfall check: landfall.toml:2: "),
        "{output:?}"
    );
}

#[test]
fn what_is_wrong_is_said_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "a = \n").unwrap();
    let mut check = landfall(["check", "--config=a.toml", "--publish=0.0.0.0:0"]);
    check.args(["--token-key=none", "--data=a.toml", FREE[0], FREE[2]]);
    let output = check.current_dir(folder.path()).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    let parts = ["a.toml:1: ", "key file none: ", "data directory a.toml: "];
    assert_eq!(lines.len(), parts.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(
            line.starts_with(&format!("landfall check: {part}")),
            "{line}"
        );
    }
    for (arguments, variable, part) in [
        (&["--config=none"][..], "", "none: No such file"),
        (&["--ring-events=0"], "", "--ring-events 0: "),
        (&[], "LANDFALL_RING_EVENTS", "LANDFALL_RING_EVENTS=x: "),
        (
            &[],
            "LANDFALL_RING_EVENT",
            "the nearest is LANDFALL_RING_EVENTS",
        ),
        (&["--ring-event=1"], "", "the nearest is --ring-events"),
    ] {
        let mut check = landfall(["check"]);
        check.args(arguments).current_dir(folder.path());
        if !variable.is_empty() {
            check.env(variable, "x");
        }
        let output = check.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {variable}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_files_lines() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("b.toml"),
        "ring-event = 1\nring-bytes = 0\nlisten = '127.0.0.1:9'\npublish = '127.0.0.1:9'\n\
         [[stage]]\nname = 'storing'\ntimeot = '5s'\n",
    )
    .unwrap();
    let mut check = landfall(["check", "--config=b.toml", FREE[2]]);
    check.env("LANDFALL_RETRY", "5").current_dir(folder.path());
    let output = check.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    let parts = [
        "b.toml:1: there is no ring-event: the nearest is ring-events",
        "b.toml:2: ring-bytes = 0: not a size",
        "b.toml:4: publish: publishing listener http://127.0.0.1:9: the public listener has",
        "b.toml:7: there is no timeot here: the nearest is timeout",
        "LANDFALL_RETRY=5: not a duration",
    ];
    assert_eq!(lines.len(), parts.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(
            line.starts_with(&format!("landfall check: {part}")),
            "{part}: {lines:#?}"
        );
    }
}

#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.toml");
    let config = "memory-only = true\nlisten = '127.0.0.1:0'\npublish = '127.0.0.1:0'\n\
                  ops = '127.0.0.1:0'\nmax-event = 1000\nretry = '7s'\nhost = ['a', 'b']\n";
    fs::write(&path, config).unwrap();
    let takes = |flag: &str, variable: &str| {
        let mut serve = landfall(["serve"]);
        serve
            .env("LANDFALL_CONFIG", &path)
            .current_dir(folder.path());
        if !flag.is_empty() {
            serve.arg(format!("--max-event={flag}"));
        }
        if !variable.is_empty() {
            serve.env("LANDFALL_MAX_EVENT", variable);
        }
        let hub = Hub::started_by(serve);
        let publish = |bytes: usize| {
            let data = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
            let output = hub.output(["publish", "a", "progress", &data]);
            output.status.success()
        };
        [500, 1500, 2500].map(publish)
    };
    assert_eq!(takes("", ""), [true, false, false]);
    assert_eq!(takes("", "2000"), [true, true, false]);
    assert_eq!(takes("3000", "2000"), [true, true, true]);
    // A server says what is wrong with its file, and doesn't start.
    fs::write(&path, "memory-only = true\nretyr = '5s'\n").unwrap();
    let mut serve = landfall(["serve", "--config=own.toml"]);
    let output = serve.current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("landfall serve: own.toml:2: there is no retyr: the nearest is retry;"),
        "{said}"
    );
}

#[test]
fn what_is_not_there_is_said_with_the_line_that_wants_it_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "short").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let config = format!(
        "listen = '{port}'\npublish = '127.0.0.1:0'\nops = '127.0.0.1:0'\n\
         token-key = ['{file}', 'none']\npublish-key = 'none'\ndata = '{file}/data'\n\
         [[stage]]\nname = 'a'\nrun = ['no-such-program-here', '{{input}}']\n\
         [[stage]]\nname = 'b'\nrun = ['./relative.sh']\noutput_dir = '{file}/out'\n\
         [[stage]]\nname = 'c'\nrun = ['{file}']\n",
        file = file.display()
    );
    let lines = said(folder.path(), &config);
    let file = file.display();
    let parts = [
        format!("c.toml:1: listen: public listener http://{port}: another process listens there"),
        format!("c.toml:4: token-key: key file {file}: "),
        "c.toml:4: token-key: key file none: No such file".to_owned(),
        "c.toml:5: publish-key: key file none: No such file".to_owned(),
        format!("c.toml:6: data: data directory {file}/data: "),
        "c.toml:9: no-such-program-here: it isn't installed".to_owned(),
        "c.toml:12: ./relative.sh: stages work in folders of their own".to_owned(),
        format!("c.toml:13: output_dir {file}/out: "),
        format!("c.toml:16: {file}: it can't be run"),
    ];
    assert_eq!(lines.len(), parts.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(&parts) {
        assert!(line.starts_with(part), "{part}\n{line}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    drop(taken);
    let config = format!(
        "listen = '{port}'\npublish = '127.0.0.1:0'\nops = '127.0.0.1:0'\n\
         [[stage]]\nname = 'a'\nrun = ['true']\n[[stage]]\nname = 'b'\nrun = ['/bin/sh']\n"
    );
    assert_eq!(said(folder.path(), &config), [""; 0]);
}

#[test]
fn the_example_has_everything_and_is_right_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = landfall(["check", "--example"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let example = text(&output.stdout);
    let help = landfall(["serve", "--help"]).output().unwrap();
    let flags = text(&help.stdout).lines();
    let flags = flags.filter_map(|line| line.strip_prefix("  --")?.split(' ').next());
    let flags: Vec<&str> = flags
        .filter(|flag| !["config", "help", "version"].contains(flag))
        .collect();
    assert!(flags.len() > 60, "{flags:?}");
    for flag in flags {
        assert!(example.contains(&format!("\n#{flag} = ")), "{flag}");
    }
    let hub = Hub::keeping(&folder.path().join("data"), &[]);
    fs::write(folder.path().join("landfall.toml"), example).unwrap();
    // As it is, it says nothing: the server that has the data has its ports.
    let mut check = landfall(["check"]);
    check.args(FREE).current_dir(folder.path());
    let output = check.output().unwrap();
    assert_eq!(text(&output.stdout), "all is well\n", "{output:?}");
    drop(hub);
}
