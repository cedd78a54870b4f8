//! `landfall token`: mints a token.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use super::call::{Call, Command};
use super::error::{Failure, Usage, ValuePlace};
use super::output;
use super::settings::TokenSettings;
use crate::access::keyfile;
use crate::access::token::{Claims, Scope, TOKEN_MAX_BYTES};

/// The command.
pub const COMMAND: Command = Command {
    name: "token",
    about: "prints a token",
    usage: &["[FLAGS]"],
    text: &[
        "For example: landfall token --jobs 'user42.*' --ttl 5m --token-key token.key",
        "The token is a JWT, signed with the first --token-key (HS256). A server that has this key \
         accepts it.",
    ],
    runs_another: false,
    main,
};

/// Prints a token.
fn main(call: Call) -> Result<ExitCode, Failure> {
    call.texts(0)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let keys = &call.settings.server.auth.token_keys;
    let token = mint(
        &call.settings.token,
        keys,
        now.map_or(0, |now| now.as_secs()),
    )?;
    output::print(&format!("{token}\n"))
}

fn mint(order: &TokenSettings, keys: &[PathBuf], now: u64) -> Result<String, Usage> {
    let wrong = |flag, value: String, why: String| Usage::Value {
        place: ValuePlace::Flag(flag),
        value,
        why,
    };
    let scope = |flag, list: &[String]| {
        let scope = Scope::parse(list.iter().map(String::as_str));
        scope.map_err(|error| wrong(flag, list.join(","), error.to_string()))
    };
    let jobs = scope("jobs", &order.jobs)?;
    let publish = scope("publish", &order.publish)?;
    let upload = scope("upload", &order.upload)?;
    let cancel = scope("cancel", &order.cancel)?;
    if [&jobs, &publish, &upload, &cancel]
        .iter()
        .all(|it| it.is_empty())
    {
        return Err(Usage::Wrong(
            "the token would be good for nothing: give it --jobs, --publish, --upload or --cancel",
        ));
    }
    let first = &keys[..keys.len().min(1)];
    let keys = keyfile::token_keys(first)
        .map_err(|error| {
            wrong(
                "token-key",
                first[0].display().to_string(),
                error.to_string(),
            )
        })?
        .ok_or(Usage::Wrong(
            "no key to sign with: name the file with it, as --token-key FILE",
        ))?;
    let claims = Claims {
        sub: order.sub.clone(),
        exp: now + order.ttl.as_secs(),
        nbf: None,
        iat: Some(now),
        jobs,
        publish,
        upload,
        cancel,
    };
    let token = claims.sign(&keys);
    if token.len() <= TOKEN_MAX_BYTES {
        Ok(token)
    } else {
        Err(Usage::Wrong(
            "the token would be too long: name fewer jobs, or beginnings of them",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::call::{self, Wish};

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef\n";

    fn token(arguments: &[&str], key: &str) -> Result<String, String> {
        let variables = [("LANDFALL_TOKEN_KEY".into(), key.into())];
        let arguments = arguments.iter().map(OsString::from);
        let wish = call::read(&COMMAND, arguments, &variables);
        let call = match wish.map_err(|usage| usage.to_string())? {
            Wish::Work(call) => match call.wrong.first() {
                Some(usage) => return Err(usage.to_string()),
                None => *call,
            },
            other => panic!("{other:?}"),
        };
        let keys = &call.settings.server.auth.token_keys;
        mint(&call.settings.token, keys, 1_000_000).map_err(|usage| usage.to_string())
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
            "--cancel",
            "e*",
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
        assert_eq!(claims.cancel, scope(&["e*"]));
        assert_eq!(claims.lifetime(1_000_000), 3600);
        assert_eq!(claims.sub.as_deref(), Some("me"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (arguments, part) in [
            (&["--ttl", "1h"][..], "good for nothing"),
            (&["--jobs", "a/b"], "--jobs a/b: "),
            (&["--jobs", "a", "--token-key", "/no/such"], "/no/such"),
            (&["--jobs", "a", "--ttl", "5"], "5s"),
        ] {
            let message = token(arguments, "k").unwrap_err();
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    }
}
