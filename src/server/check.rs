//! What would keep a server from starting, found out without making anything.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use rustix::fs::{Access as Allowed, Mode, OFlags, access, open, statfs};

use super::config::ServerConfig;
use super::start;
use crate::access::keyfile;
#[cfg(feature = "uploads")]
use crate::command;
use crate::http::Address;
#[cfg(feature = "uploads")]
use crate::pipeline::config::StagePlan;
use crate::sequencer::journal;
#[cfg(feature = "uploads")]
use crate::sys::toml::Need;
#[cfg(feature = "uploads")]
use crate::webhook::HookPlan;

/// Something that would keep a server from starting.
#[derive(Debug)]
pub struct StartFault {
    /// The flag that says it, without dashes. None where the file of the stages does, which is
    /// named then.
    pub flag: Option<&'static str>,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// What is wrong with a configuration. Blocks.
pub fn check(config: &ServerConfig) -> Vec<StartFault> {
    let mut faults = listeners(config);
    keys(config, &mut faults);
    #[cfg(not(feature = "redis"))]
    if let Some(redis) = &config.fleet.redis {
        faults.push(StartFault::of(
            "redis",
            crate::sequencer::without_redis(redis),
        ));
    }
    if let Some(data) = &config.data
        && let Err(why) = folder(data)
    {
        let data = data.display();
        faults.push(StartFault::of(
            "data",
            format!(
                "data directory {data}: {why}: give a directory that can be written to with \
                 --data, or keep nothing on disk with --memory-only"
            ),
        ));
    }
    #[cfg(feature = "uploads")]
    if let Some(file) = &config.pipeline.file {
        stages(file, &config.pipeline.beside, &mut faults);
        let wrong = match HookPlan::read(file) {
            Ok(plan) => plan.check(),
            Err(wrong) => wrong,
        };
        faults.extend(
            wrong
                .into_iter()
                .map(|what| StartFault { flag: None, what }),
        );
    }
    faults
}

impl StartFault {
    fn of(flag: &'static str, what: String) -> StartFault {
        let flag = Some(flag);
        StartFault { flag, what }
    }
}

fn keys(config: &ServerConfig, faults: &mut Vec<StartFault>) {
    let before = faults.len();
    for path in &config.auth.token_keys {
        if let Err(error) = keyfile::token_keys(&[path]) {
            faults.push(StartFault::of("token-key", error.to_string()));
        }
    }
    if let Some(path) = &config.auth.publish_key
        && let Err(error) = keyfile::publish_key(path)
    {
        faults.push(StartFault::of("publish-key", error.to_string()));
    }
    // Of a name it isn't known whom it lets in, and nothing can listen there.
    let is_named = matches!(config.publish, Address::Host(_));
    if faults.len() == before
        && !is_named
        && let Err(error) = start::gate(config.auth.clone(), &config.publish)
    {
        faults.push(StartFault::of("publish", error.to_string()));
    }
}

/// What the file says of stages, and what it needs for them.
#[cfg(feature = "uploads")]
fn stages(file: &Path, beside: &[String], faults: &mut Vec<StartFault>) {
    let plan = match StagePlan::read(file, beside) {
        Ok(plan) => plan,
        Err(wrong) => {
            let wrong = wrong.into_iter();
            return faults.extend(wrong.map(|what| StartFault { flag: None, what }));
        }
    };
    for (line, need) in plan.needs {
        let met = match need {
            Need::Program(program) => command::find(&program).map_err(|why| {
                format!("{program}: {why}: correct what the stage runs, or install it")
            }),
            Need::Folder(path) => folder(&path).map_err(|why| {
                let path = path.display();
                format!("output_dir {path}: {why}: give a directory that can be written to")
            }),
            Need::Place(path) => writable(&path).map_err(|why| {
                format!("write {why}: make it, or give a directory that can be written to")
            }),
            Need::Readable(path) => access(&path, Allowed::READ_OK).map_err(|why| {
                let path = path.display();
                format!("read {path}: {why}: give what is there and can be read")
            }),
        };
        if let Err(why) = met {
            let what = format!("{}:{line}: {why}", file.display());
            faults.push(StartFault { flag: None, what });
        }
    }
}

fn listeners(config: &ServerConfig) -> Vec<StartFault> {
    let listeners = [
        ("public listener", "listen", &config.listen),
        ("publishing listener", "publish", &config.publish),
        ("monitoring listener", "ops", &config.ops),
    ];
    // What is taken is taken by it then.
    let is_served = config.data.as_deref().is_some_and(journal::is_held);
    let mut faults = Vec::new();
    // Each is listened at until all are known: 0.0.0.0:80 and 127.0.0.1:80 exclude each other.
    let mut held = Vec::new();
    for (index, (what, flag, address)) in listeners.iter().copied().enumerate() {
        let is_any_port = address.tcp().is_some_and(|address| address.port() == 0);
        if *address == Address::Off {
            continue;
        }
        let mut before = listeners[..index].iter();
        if let Some((other, ..)) = before.find(|(.., it)| *it == address && !is_any_port) {
            faults.push(StartFault::of(
                flag,
                format!("{what} {address}: the {other} has the same: give another with --{flag}"),
            ));
        } else {
            match place(address, is_served) {
                Ok(listener) => held.extend(listener),
                Err(why) => {
                    let what = format!("{what} {address}: {why}: give another with --{flag}");
                    faults.push(StartFault::of(flag, what));
                }
            }
        }
    }
    faults
}

/// Whether something may listen there: what does, for now, where it is at a port.
fn place(address: &Address, is_served: bool) -> Result<Option<TcpListener>, String> {
    let taken = || {
        if is_served {
            Ok(None)
        } else {
            Err("another process listens there".to_owned())
        }
    };
    match address {
        Address::Off => Ok(None),
        Address::Tcp(address) => match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => taken(),
            bound => bound.map(Some).map_err(|error| error.to_string()),
        },
        Address::Host(_) => Err("it needs an IP address, as in 127.0.0.1:8080".to_owned()),
        Address::Unix(path) => {
            use std::os::unix::fs::FileTypeExt;
            match fs::symlink_metadata(path) {
                _ if SocketAddr::from_pathname(path).is_err() => {
                    Err("its path is too long for a socket, which takes 107 bytes".to_owned())
                }
                Ok(there) if !there.file_type().is_socket() => {
                    Err("there is something that is no socket".to_owned())
                }
                Ok(_) if UnixStream::connect(path).is_ok() => taken(),
                _ => {
                    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
                    writable(parent.unwrap_or(Path::new("."))).map(|()| None)
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
            .and_then(|()| takes_files(folder))
            .map_err(|error| format!("{shown}: {error}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// Whether files can be made in a folder that may be written to: not where it shows what the system
/// knows, as /proc does, which has no room of its own.
fn takes_files(folder: &Path) -> rustix::io::Result<()> {
    if statfs(folder)?.f_blocks > 0 {
        return Ok(());
    }
    // So has memory without a limit. This file has no name, and is gone at once.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    open(folder, flags, Mode::RUSR | Mode::WUSR).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequencer::journal::Lock;
    use std::time::Duration;

    fn config(listen: &str, publish: &str) -> ServerConfig {
        ServerConfig {
            listen: listen.parse().unwrap(),
            publish: publish.parse().unwrap(),
            ops: "127.0.0.1:0".parse().unwrap(),
            ..ServerConfig::default()
        }
    }

    fn wrong(config: &ServerConfig) -> Vec<String> {
        check(config).into_iter().map(|fault| fault.what).collect()
    }

    #[test]
    fn what_would_keep_a_server_from_starting_is_found_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        let file = folder.path().join("file");
        fs::write(&file, "stage = 1").unwrap();
        let mut good = config("127.0.0.1:0", "127.0.0.1:0");
        good.data = Some(data.clone());
        assert_eq!(wrong(&good), [""; 0]);
        assert!(!folder.path().join("a").exists());
        // Whoever runs it may write there, and nobody can.
        good.data = Some("/proc/landfall".into());
        assert!(wrong(&good)[0].contains("--data"), "{:?}", wrong(&good));

        let missing = format!("unix:{}/none/socket", folder.path().display());
        let mut bad = config("192.0.2.1:80", &missing);
        bad.data = Some(file.join("data"));
        bad.pipeline.file = Some(file.clone());
        bad.auth.publish_key = Some(file.clone());
        bad.auth.token_keys = vec![file.clone(), folder.path().join("none")];
        let wrong = wrong(&bad);
        let parts = [
            "--listen",
            "--publish",
            "key file",
            "none: No such",
            "key file",
            "--data",
            "file:1: ",
        ];
        assert_eq!(wrong.len(), parts.len(), "{wrong:#?}");
        for (line, part) in wrong.iter().zip(parts) {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn where_a_stage_may_write_and_what_it_may_read_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("shelf");
        let file = folder.path().join("landfall.toml");
        let text = format!(
            "[[stage]]\nname = 'shelving'\nrun = ['cp', '{{input}}', '{0}/{{name}}']\nwrite = ['{0}']\nread = ['{0}']\n",
            place.display()
        );
        fs::write(&file, text).unwrap();
        let mut config = config("127.0.0.1:0", "127.0.0.1:0");
        config.pipeline.file = Some(file);
        let found = wrong(&config);
        assert!(
            found.len() == 2
                && found[0].contains("landfall.toml:5: read /")
                && found[1].contains("landfall.toml:4: write /"),
            "{found:?}"
        );
        fs::create_dir(&place).unwrap();
        assert_eq!(wrong(&config), [""; 0]);
    }

    #[test]
    fn two_listeners_do_not_share_an_address_and_others_need_a_key() {
        let same = config("127.0.0.1:9000", "127.0.0.1:9000");
        let same = wrong(&same);
        assert!(
            same[0].contains("the public listener has the same"),
            "{same:?}"
        );
        let named = wrong(&config("localhost:0", "localhost:0"));
        assert_eq!(named.len(), 2, "{named:?}");
        assert!(named[0].contains("needs an IP address"), "{named:?}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let all = format!("0.0.0.0:{port}");
        let mut both = config(&all, &format!("127.0.0.1:{port}"));
        both.ops = Address::Off;
        assert!(wrong(&both)[0].contains("listens there"), "{both:?}");
        let long = format!("unix:/tmp/{}", "x".repeat(108));
        let long = wrong(&config("127.0.0.1:0", &long));
        assert!(long[0].contains("107 bytes"), "{long:?}");
        let open = wrong(&config("127.0.0.1:0", "0.0.0.0:0"));
        assert!(open[0].contains("--publish-key FILE"), "{open:?}");
    }

    #[test]
    #[cfg(not(feature = "redis"))]
    fn a_fleet_takes_a_build_that_knows_of_it() {
        let mut config = config("127.0.0.1:0", "127.0.0.1:0");
        config.fleet.redis = Some("redis://127.0.0.1:1".parse().unwrap());
        let wrong = wrong(&config);
        assert!(wrong[0].contains("--features redis"), "{wrong:?}");
    }

    #[test]
    fn a_port_that_another_process_has_is_taken_unless_that_serves_the_same_data() {
        let data = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = data.path().join("socket");
        let unix = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let mut taken = config(
            &tcp.local_addr().unwrap().to_string(),
            &format!("unix:{}", socket.display()),
        );
        taken.data = Some(data.path().to_owned());
        let found = wrong(&taken);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .all(|it| it.contains("another process listens there"))
        );
        let lock = Lock::take(data.path(), Duration::ZERO).unwrap();
        assert_eq!(wrong(&taken), [""; 0]);
        drop(lock);
        assert_eq!(wrong(&taken).len(), 2);
        drop((tcp, unix));
        assert_eq!(wrong(&taken), [""; 0], "nobody listens there any more");
    }
}
