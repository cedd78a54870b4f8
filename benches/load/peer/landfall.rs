//! The server this is all about, as its contract says.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Peer, Programs, Setup, Way, progress};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, free_address, program};

pub struct Landfall(pub Programs);

impl Landfall {
    fn flags<'a>(&self, serve: &'a mut Command, setup: &Setup) -> &'a mut Command {
        serve
            .args(["--listen", "127.0.0.1:0"])
            .args(["--publish", "127.0.0.1:0"])
            .args(["--ops", "127.0.0.1:0"])
            // Of 20,000 files it keeps some back for other connections; the
            // largest count here needs a few of those.
            .args(["--max-streams", "19200"])
            // A run waits for its end.
            .args(["--drain-spread", "10ms"])
            .args(["--ring-events", &setup.ring_events.to_string()])
            .args(["--ring-bytes", &setup.ring_bytes.to_string()])
            .args(&self.0.landfall_args)
    }
}

impl Peer for Landfall {
    fn name(&self) -> &'static str {
        "landfall"
    }

    fn start(&self, setup: &Setup) -> Result<Server> {
        program(&self.0.landfall)?;
        let mut serve = Command::new(&self.0.landfall);
        if !setup.is_kept {
            serve.args(["serve", "--memory-only"]);
            return Server::announced(self.flags(&mut serve, setup));
        }
        let directory = tempfile::tempdir()?;
        serve.args(["serve", "--data"]).arg(directory.path());
        let server = Server::announced(self.flags(&mut serve, setup))?;
        Ok(server.keeping(directory))
    }

    fn start_on(&self, setup: &Setup, socket: &TcpListener, data: &Path) -> Result<Server> {
        program(&self.0.landfall)?;
        // As systemd does it.
        let script = r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#;
        let mut serve = Command::new("sh");
        serve.args(["-c", script]).arg(&self.0.landfall);
        serve.args(["serve", "--data"]).arg(data);
        let socket = OwnedFd::from(socket.try_clone()?);
        Server::announced_on(self.flags(&mut serve, setup), socket.into())
    }

    fn start_behind(&self, setup: &Setup, way: Way) -> Result<(Server, Server)> {
        program(&self.0.landfall)?;
        program(&self.0.nginx)?;
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("public.sock");
        let mut serve = Command::new(&self.0.landfall);
        let serve = self.flags(serve.args(["serve", "--memory-only"]), setup);
        // As in the guide on operating, with the mode that lets the proxy in.
        let server = match way {
            Way::Tcp => Server::announced(serve)?,
            Way::Unix => {
                let mut listen = OsString::from("unix:");
                listen.push(&socket);
                Server::announced(serve.arg("--listen").arg(listen))?
            }
        };
        let upstream = match way {
            Way::Tcp => format!("http://{}", server.public),
            Way::Unix => format!("http://unix:{}:", socket.display()),
        };
        let address = free_address()?;
        let user = match rustix::process::geteuid().is_root() {
            true => "user root;",
            false => "",
        };
        let path = directory.path().join("nginx.conf");
        fs::write(
            &path,
            format!(
                "{user}
daemon off;
worker_processes {};
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 24000; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  tcp_nodelay on;
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection \"\";
      proxy_read_timeout 1h;
    }}
  }}
}}
",
                self.0.nginx_workers,
            ),
        )?;
        let mut command = Command::new(&self.0.nginx);
        command
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&path)
            .args(["-e", "stderr"]);
        let proxy = Server::told(&mut command, address, directory)?;
        Ok((server, proxy))
    }

    fn cannot(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn subscribe_paced(&self, job: &str, rate: u32) -> Option<Vec<u8>> {
        let target = format!("/api/jobs/{job}/events?replay=none&maxRate={rate}");
        Some(http::get(&target, ""))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.landfall.clone()]
    }

    fn subscribe(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/api/jobs/{job}/events?replay=none"), "")
    }

    fn resume(&self, job: &str, token: &str) -> Vec<u8> {
        http::get(
            &format!("/api/jobs/{job}/events"),
            &format!("Last-Event-ID: {token}\r\n"),
        )
    }

    fn publish(&self, job: &str, data: &str) -> Vec<u8> {
        progress(job, data)
    }

    fn batch_line(&self, lines: &mut Vec<u8>, job: &str, data: &str) -> bool {
        lines.extend_from_slice(b"{\"job\":\"");
        lines.extend_from_slice(job.as_bytes());
        lines.extend_from_slice(b"\",\"event\":\"progress\",\"data\":");
        lines.extend_from_slice(data.as_bytes());
        lines.extend_from_slice(b"}\n");
        true
    }

    fn batch(&self, lines: &[u8]) -> Vec<u8> {
        http::request("POST", "/api/events", "application/x-ndjson", lines)
    }

    fn snapshot(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/api/jobs/{job}"), "")
    }
}
