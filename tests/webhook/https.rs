//! Webhooks over TLS, with a certificate that nobody knows but who made it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Hooked, toml_file};

/// A receiver: says its port, and then what it gets, in a line of JSON each.
const RECEIVER: &str = r#"
import http.server, json, ssl, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        print(json.dumps({"path": self.path, "headers": headers, "body": body}), flush=True)
        if self.path == "/again":
            self.send_response(302)
            self.send_header("Location", "/again")
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 1000)
        else:
            self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Who vouches for the receiver, and the receiver's own certificate.
const CERTIFICATES: &str = "
new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
openssl req -x509 $new -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
openssl req $new -keyout key.pem -out request.pem -subj /CN=receiver
echo subjectAltName=IP:127.0.0.1 > names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -out cert.pem -days 2 -extfile names
";

struct Secure {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    port: u16,
}

impl Secure {
    fn start(folder: &Path) -> Secure {
        let made = Command::new("sh")
            .args(["-ec", CERTIFICATES])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let mut process = Command::new("python3")
            .args(["-c", RECEIVER])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Secure {
            process,
            lines,
            port,
        }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hook(secure: &Secure, path: &str, more: &str) -> String {
    let port = secure.port;
    format!(
        "[[webhook]]\nname = 'h'\nurl = 'https://127.0.0.1:{port}{path}'\nretry_first = '1h'\n{more}\n"
    )
}

#[test]
fn a_webhook_is_told_over_https_where_somebody_vouches_for_the_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let mut secure = Secure::start(folder.path());
    let ca = format!("ca_file = '{}/ca.pem'", folder.path().display());
    let more = format!("{ca}\nheaders = {{ X-Gotify-Key = 'abc' }}");
    let server = Hooked::start(&hook(&secure, "/a?b=c", &more));
    let id = server.done("a");
    let told = secure.next();
    server.wait_for_count("h", "delivered", 1);
    assert_eq!(told["path"], "/a?b=c");
    let body: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["id"], id);
    let headers = &told["headers"];
    assert_eq!(headers["x-gotify-key"], "abc");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["host"], format!("127.0.0.1:{}", secure.port));
    assert!(
        headers["webhook-id"]
            .as_str()
            .unwrap()
            .ends_with(&format!("_{id}"))
    );
}

#[test]
fn a_receiver_that_nobody_vouches_for_a_redirect_and_an_endless_answer_are_failures() {
    let folder = tempfile::tempdir().unwrap();
    let mut secure = Secure::start(folder.path());
    let server = Hooked::start(&hook(&secure, "/", ""));
    server.done("a");
    server.wait_for_count("h", "failed", 1);
    let ca = format!("ca_file = '{}/ca.pem'", folder.path().display());
    for path in ["/again", "/endless"] {
        let server = Hooked::start(&hook(&secure, path, &ca));
        server.done("a");
        server.wait_for_count("h", "failed", 1);
        assert_eq!(server.count("h", "delivered"), 0);
        assert_eq!(secure.next()["path"], path, "and nothing came before it");
    }
}

#[test]
fn a_file_without_certificates_is_found_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "nothing").unwrap();
    let toml = format!(
        "[[webhook]]\nurl = 'https://127.0.0.1/'\nca_file = '{}'\n",
        path.display()
    );
    let config = toml_file(folder.path(), &toml);
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["check", "--config", config.to_str().unwrap()])
        .args([
            "--listen",
            "127.0.0.1:0",
            "--publish",
            "127.0.0.1:0",
            "--ops",
            "127.0.0.1:0",
        ])
        .args(["--memory-only"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("ca.pem: there is no certificate in it"),
        "{said}"
    );
}
