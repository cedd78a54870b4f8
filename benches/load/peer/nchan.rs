//! nginx with nchan, as Debian packages them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Peer, Programs, Setup};
use crate::failure::Result;
use crate::http;
use crate::server::{Server, free_address, program};

pub struct Nchan(pub Programs);

impl Peer for Nchan {
    fn name(&self) -> &'static str {
        "nchan"
    }

    fn start(&self, setup: &Setup) -> Result<Server> {
        program(&self.0.nginx)?;
        program(&self.0.nchan_module)?;
        let directory = tempfile::tempdir()?;
        let address = free_address()?;
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        // With fewer than a sixteenth of its connections free nginx closes some, so it
        // has more than there can be files.
        let config = format!(
            "load_module {module};
{user}
daemon off;
worker_processes {workers};
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
  client_body_in_single_buffer on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  nchan_shared_memory_size 2048M;
  nchan_message_buffer_length {length};
  nchan_message_timeout 1h;
  server {{
    listen {address} backlog=4096;
    location ~ ^/sub/(.+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
    location ~ ^/pub/(.+)$ {{
      nchan_publisher;
      nchan_channel_id $1;
    }}
  }}
}}
",
            module = self.0.nchan_module.display(),
            workers = self.0.nginx_workers,
            length = setup.ring_events,
        );
        let path = directory.path().join("nginx.conf");
        fs::write(&path, config)?;
        let mut command = Command::new(&self.0.nginx);
        command
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&path)
            .args(["-e", "stderr"])
            .stderr(Stdio::inherit());
        Server::told(&mut command, address, directory)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.nginx.clone(), self.0.nchan_module.clone()]
    }

    fn subscribe(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/sub/{job}"), "Accept: text/event-stream\r\n")
    }

    fn resume(&self, job: &str, token: &str) -> Vec<u8> {
        http::get(
            &format!("/sub/{job}"),
            &format!("Accept: text/event-stream\r\nLast-Event-ID: {token}\r\n"),
        )
    }

    fn publish(&self, job: &str, data: &str) -> Vec<u8> {
        http::request(
            "POST",
            &format!("/pub/{job}"),
            "application/json\r\nX-EventSource-Event: progress",
            data.as_bytes(),
        )
    }

    fn snapshot(&self, job: &str) -> Vec<u8> {
        http::get(&format!("/pub/{job}"), "")
    }
}
