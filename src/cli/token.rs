//! `landfall token`: mints a token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use crate::access::keyfile;
use crate::access::token::{Claims, Scope, TOKEN_MAX_BYTES};

const HELP: &str = "\
landfall token: prints a token, signed with the first key.

  --jobs LIST        jobs that may be followed: names, or beginnings of them that end in
                     *, with commas between them; repeatable; * alone for all
  --publish LIST     jobs that may be published to, in the same form; repeatable
  --upload LIST      jobs that an upload may begin, in the same form; repeatable
  --ttl DUR          how long it is good for, as 30s, 5m or 12h [5m]
  --sub TEXT         whose it is
  --token-key FILE   the key, as `landfall serve` has it; make one with
                     `openssl rand -hex 32`. The first counts where there are more.
                     LANDFALL_TOKEN_KEY is its twin
";

#[derive(Default)]
struct Order {
    jobs: Vec<String>,
    publish: Vec<String>,
    upload: Vec<String>,
    ttl: Option<Duration>,
    sub: Option<String>,
    keys: Vec<PathBuf>,
}

/// Prints a token.
pub fn main(parser: lexopt::Parser) -> Result<ExitCode, String> {
    let environment = std::env::var("LANDFALL_TOKEN_KEY").unwrap_or_default();
    match read(parser, &environment)? {
        None => print!("{HELP}"),
        Some(order) => {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            println!("{}", mint(&order, now)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the arguments. None where help is asked for.
fn read(mut parser: lexopt::Parser, environment: &str) -> Result<Option<Order>, String> {
    use lexopt::Arg::{Long, Short};
    let mut order = Order::default();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let name = match argument {
            Short('h') | Long("help") => return Ok(None),
            Long(name) => name.to_owned(),
            other => {
                let why = other.unexpected();
                return Err(format!("{why}: see landfall token --help"));
            }
        };
        let mut value = || {
            let value = parser.value().map_err(|error| error.to_string())?;
            let text = value.into_string();
            text.map_err(|_| format!("--{name}: the value isn't UTF-8"))
        };
        match name.as_str() {
            "jobs" => order.jobs.extend(list(&value()?)),
            "publish" => order.publish.extend(list(&value()?)),
            "upload" => order.upload.extend(list(&value()?)),
            "ttl" => {
                let text = value()?;
                order.ttl = Some(ttl(&text).map_err(|why| format!("--ttl {text}: {why}"))?);
            }
            "sub" => order.sub = Some(value()?),
            "token-key" => order.keys.extend(list(&value()?).map(PathBuf::from)),
            _ => {
                return Err(format!(
                    "there is no flag --{name}: see landfall token --help"
                ));
            }
        }
    }
    if order.keys.is_empty() {
        order.keys.extend(list(environment).map(PathBuf::from));
    }
    Ok(Some(order))
}

fn mint(order: &Order, now: u64) -> Result<String, String> {
    let scope = |flag: &str, list: &[String]| {
        Scope::parse(list.iter().map(String::as_str)).map_err(|error| format!("--{flag}: {error}"))
    };
    let jobs = scope("jobs", &order.jobs)?;
    let publish = scope("publish", &order.publish)?;
    let upload = scope("upload", &order.upload)?;
    if jobs.is_empty() && publish.is_empty() && upload.is_empty() {
        let message = "the token would be good for nothing: give it --jobs, --publish or --upload";
        return Err(message.to_owned());
    }
    let keys = keyfile::token_keys(&order.keys[..order.keys.len().min(1)])
        .map_err(|error| error.to_string())?
        .ok_or("--token-key is missing: it names the file with the key")?;
    let ttl = order.ttl.unwrap_or(Duration::from_secs(5 * 60));
    let claims = Claims {
        sub: order.sub.clone(),
        exp: now + ttl.as_secs(),
        nbf: None,
        iat: Some(now),
        jobs,
        publish,
        upload,
    };
    let token = claims.sign(&keys);
    match token.len() <= TOKEN_MAX_BYTES {
        true => Ok(token),
        false => Err(format!(
            "the token would be longer than {TOKEN_MAX_BYTES} bytes: name fewer jobs, or \
             beginnings of them"
        )),
    }
}

fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
}

fn ttl(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        // A century is as good as for ever.
        Ok(ttl) if (1..=100 * 366 * 86_400).contains(&ttl.as_secs()) => Ok(ttl),
        _ => Err("use a number and a unit, as 30s, 5m or 12h, up to 100 years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef\n";

    fn token(arguments: &[&str], environment: &str) -> Result<String, String> {
        let order = read(lexopt::Parser::from_args(arguments), environment)?;
        mint(&order.unwrap(), 1_000_000)
    }

    #[test]
    fn a_token_says_what_was_asked_for() {
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), KEY).unwrap();
        let path = key.path().to_str().unwrap();
        let arguments = [
            "--jobs",
            "a,b*",
            "--jobs=c",
            "--publish",
            "*",
            "--upload",
            "a,d*",
            "--ttl",
            "1h",
        ];
        let token = token(&[&arguments[..], &["--sub", "me"]].concat(), path).unwrap();
        let keys = keyfile::token_keys(&[path]).unwrap().unwrap();
        let claims = Claims::verify(&token, &keys, 1_000_000).unwrap();
        let scope = |list: &[&str]| Scope::parse(list.iter().copied()).unwrap();
        assert_eq!(claims.jobs, scope(&["a", "b*", "c"]));
        assert_eq!(claims.publish, scope(&["*"]));
        assert_eq!(claims.upload, scope(&["a", "d*"]));
        assert_eq!(claims.lifetime(1_000_000), 3600);
        assert_eq!(claims.sub.as_deref(), Some("me"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (arguments, part) in [
            (&["--token-key", "k"][..], "good for nothing"),
            (&["--jobs", "a"], "--token-key is missing"),
            (&["--jobs", "a/b", "--token-key", "k"], "--jobs"),
            (&["--jobs", "a", "--token-key", "/no/such"], "/no/such"),
            (&["--jobs", "a", "--ttl", "5"], "5m"),
            (&["--jobs", "a", "--ttl", "0s"], "5m"),
            (&["--no-such", "a"], "--help"),
            (&["stray"], "--help"),
        ] {
            let message = token(arguments, "").unwrap_err();
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    }
}
