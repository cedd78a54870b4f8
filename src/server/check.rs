//! What would keep a server from starting, found out without making anything.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::fs::{Access as Allowed, access};

use super::config::ServerConfig;
use super::listener::Address;
use super::start;
use crate::pipeline::config::StagePlan;
use crate::webhook::HookPlan;

/// What is wrong with a configuration, and what would be right, a line each; what another
/// process has just now is none of it. Blocks.
pub fn check(config: &ServerConfig) -> Vec<String> {
    let mut wrong = listeners(config);
    if let Err(error) = start::gate(config.auth.clone(), &config.publish) {
        wrong.push(error.to_string());
    }
    if let Some(data) = &config.data
        && let Err(why) = folder(data)
    {
        let data = data.display();
        wrong.push(format!(
            "data directory {data}: {why}: give a directory that can be written to with --data, \
             or keep nothing on disk with --memory-only"
        ));
    }
    if let Some(file) = &config.pipeline.file
        && let Err(error) = StagePlan::read(file, &config.pipeline.beside)
    {
        wrong.push(error);
    }
    if let Some(file) = &config.pipeline.file {
        match HookPlan::read(file) {
            Ok(plan) => wrong.extend(plan.check()),
            // A file that can't be read, or is no TOML, is found so twice.
            Err(error) if !wrong.contains(&error) => wrong.push(error),
            Err(_) => {}
        }
    }
    wrong
}

fn listeners(config: &ServerConfig) -> Vec<String> {
    let ops = Address::Tcp(config.ops);
    let listeners = [
        ("public listener", "--listen", &config.listen),
        ("publishing listener", "--publish", &config.publish),
        ("monitoring listener", "--ops", &ops),
    ];
    let mut wrong = Vec::new();
    for (index, (what, flag, address)) in listeners.into_iter().enumerate() {
        let is_any_port = matches!(address, Address::Tcp(address) if address.port() == 0);
        let mut before = listeners[..index].iter();
        if let Some((other, ..)) = before.find(|(.., it)| *it == address && !is_any_port) {
            wrong.push(format!(
                "{what} {address}: the {other} has the same: give another with {flag}"
            ));
        } else if let Err(why) = place(address) {
            wrong.push(format!("{what} {address}: {why}: give another with {flag}"));
        }
    }
    wrong
}

/// Whether something may listen there, another day if not today.
fn place(address: &Address) -> Result<(), String> {
    match address {
        // Any port of the same host tells as much.
        Address::Tcp(address) => {
            let bound = TcpListener::bind(SocketAddr::new(address.ip(), 0));
            bound.map(drop).map_err(|error| error.to_string())
        }
        Address::Unix(path) => {
            use std::os::unix::fs::FileTypeExt;
            match fs::symlink_metadata(path) {
                Ok(there) if !there.file_type().is_socket() => {
                    Err("there is something that is no socket".to_owned())
                }
                _ => {
                    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
                    writable(parent.unwrap_or(Path::new(".")))
                }
            }
        }
    }
}

/// Whether a folder can be written to, or made.
fn folder(path: &Path) -> Result<(), String> {
    let mut there = path;
    while !there.exists() {
        match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => there = parent,
            Some(_) => there = Path::new("."),
            None => break,
        }
    }
    writable(there)
}

fn writable(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    match fs::metadata(folder) {
        Ok(there) if !there.is_dir() => Err(format!("{shown} is no directory")),
        Ok(_) => access(folder, Allowed::WRITE_OK | Allowed::EXEC_OK)
            .map_err(|error| format!("{shown}: {error}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, publish: &str) -> ServerConfig {
        ServerConfig {
            listen: listen.parse().unwrap(),
            publish: publish.parse().unwrap(),
            ops: "127.0.0.1:0".parse().unwrap(),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn what_would_keep_a_server_from_starting_is_found_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        let file = folder.path().join("file");
        fs::write(&file, "stage = 1").unwrap();
        let mut good = config("127.0.0.1:0", "127.0.0.1:0");
        good.data = Some(data.clone());
        assert_eq!(check(&good), [""; 0]);
        assert!(!folder.path().join("a").exists());

        let missing = format!("unix:{}/none/socket", folder.path().display());
        let mut bad = config("192.0.2.1:80", &missing);
        bad.data = Some(file.join("data"));
        bad.pipeline.file = Some(file.clone());
        bad.auth.publish_key = Some(file.clone());
        let wrong = check(&bad);
        let parts = ["--listen", "--publish", "key file", "--data", "file:1: "];
        assert_eq!(wrong.len(), parts.len(), "{wrong:#?}");
        for (line, part) in wrong.iter().zip(parts) {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn two_listeners_do_not_share_an_address_and_others_need_a_key() {
        let same = config("127.0.0.1:9000", "127.0.0.1:9000");
        let wrong = check(&same);
        assert!(
            wrong[0].contains("the public listener has the same"),
            "{wrong:?}"
        );
        let open = config("127.0.0.1:0", "0.0.0.0:0");
        let wrong = check(&open);
        assert!(wrong[0].contains("--publish-key FILE"), "{wrong:?}");
        // What another process has just now is none of it.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = config(&taken.local_addr().unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(check(&taken), [""; 0]);
    }
}
