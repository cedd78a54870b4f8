//! `[[webhook]]` in `landfall.toml`: who is told of what, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secret::HookSecrets;
use super::template::{HookJson, HookText};
use super::url::HookUrl;
use crate::access::token::Scope;
use crate::event::frame::DELETED;
use crate::event::job::EventName;
use crate::sys::toml::{self, TomlTable, WrongLines, in_lines};

/// The most that there may be: each has threads of its own.
const HOOKS_MAX: usize = 32;
/// More requests at once than this do a small host no good.
const CONCURRENCY_MAX: i64 = 32;
/// The file that says where a webhook stands is written whole.
const WAITING_MAX: i64 = 10_000;
/// Two, with everything that can be said of them.
pub const EXAMPLE: &str = include_str!("example.toml");

const NAME_MAX_BYTES: usize = 64;
/// The end of a life.
const ENDS: [&str; 3] = ["done", "error", DELETED];
/// Fields that are the request's own.
const OWN_FIELDS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
    "upgrade",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// Every webhook.
#[derive(Debug, Default)]
pub struct HookPlan {
    /// In the order of the file.
    pub hooks: Vec<Hook>,
}

/// A webhook.
#[derive(Debug)]
pub struct Hook {
    /// What logs, metrics and its file call it. Default: the host of its URL.
    pub name: String,
    /// Where it is.
    pub url: HookUrl,
    /// The events that it is told of; none for every one. Default: done, error, deleted.
    pub events: Option<Vec<String>>,
    /// The jobs that it is told of. Default: every one.
    pub jobs: Scope,
    /// Where its secrets are, and what they are. Default: none, and then it isn't signed.
    pub secrets: Option<HookSecrets>,
    /// Fields of its requests.
    pub headers: Vec<(String, HookText)>,
    /// What it is told.
    pub body: HookBody,
    /// Who vouches for the receiver of an https URL, where that isn't one of Mozilla's roots.
    #[cfg_attr(not(feature = "https"), allow(dead_code))]
    pub ca_file: Option<PathBuf>,
    /// How long a request may take. Default: 15 s.
    pub timeout: Duration,
    /// How many there are at once. Default: 4.
    pub concurrency: usize,
    /// The first wait after a failure; it doubles. Default: 5 s.
    pub retry_first: Duration,
    /// The longest wait. Default: 1 h.
    pub retry_most: Duration,
    /// How long an event is tried. Default: 24 h.
    pub retry_for: Duration,
    /// How many events may wait to be tried again before the rest waits with them.
    /// Default: 1,000.
    pub waiting: usize,
}

/// What a webhook is told.
#[derive(Clone, Debug)]
pub enum HookBody {
    /// As Standard Webhooks has it.
    Standard,
    /// A text.
    Text(HookText),
    /// JSON.
    Json(HookJson),
}

impl HookPlan {
    /// Reads a file, of which the rest is for others. Blocks for the disk.
    ///
    /// # Errors
    /// It can't be read, or says something that can't be: each line, and what would be right.
    pub fn read(path: &Path) -> Result<HookPlan, Vec<String>> {
        toml::read(path, HookPlan::parse)
    }

    /// Reads the text of a file. Blocks for the secrets, which are in files of their own.
    fn parse(text: &str) -> Result<HookPlan, WrongLines> {
        let mut document = TomlTable::parse(text).map_err(|wrong| in_lines(text, vec![wrong]))?;
        let tables = document.tables("webhook");
        let (mut wrong, _) = document.into_findings();
        let mut hooks = Vec::new();
        for (index, mut table) in tables.into_iter().enumerate() {
            let hook = Hook::read(&mut table);
            if let Some(Hook { name, .. }) = &hook
                && hooks.iter().any(|other: &Hook| other.name == *name)
            {
                let message = format!(
                    "there are two webhooks {name}: give each its own name, as name = \"backend\""
                );
                table.refuse(table.at(), message);
            }
            if index == HOOKS_MAX {
                table.refuse(
                    table.at(),
                    format!("there are {HOOKS_MAX} webhooks at most"),
                );
            }
            hooks.extend(hook);
            wrong.extend(table.into_findings().0);
        }
        if wrong.is_empty() {
            Ok(HookPlan { hooks })
        } else {
            Err(in_lines(text, wrong))
        }
    }
}

impl Hook {
    /// Whether it is told of events of this name.
    pub fn wants(&self, event: &str) -> bool {
        let mut events = self.events.iter().flatten();
        self.events.is_none() || events.any(|name| name == event)
    }

    /// None where it can't be told where it is.
    fn read(table: &mut TomlTable<'_>) -> Option<Hook> {
        // The rest is read where it has none, so that all that is wrong is said at once.
        let url = url(table);
        let has_url = url.is_some();
        let url = url.or_else(|| HookUrl::parse("http://localhost/").ok())?;
        let hook = Hook {
            name: name(table, &url),
            events: events(table),
            jobs: jobs(table),
            secrets: secrets(table),
            headers: headers(table),
            body: body(table),
            ca_file: ca_file(table, &url),
            timeout: duration(table, "timeout", 15, 600),
            concurrency: table
                .integer("concurrency", 1, CONCURRENCY_MAX)
                .unwrap_or(4) as usize,
            retry_first: duration(table, "retry_first", 5, 24 * HOUR),
            retry_most: duration(table, "retry_most", HOUR, 24 * HOUR),
            retry_for: duration(table, "retry_for", 24 * HOUR, 30 * 24 * HOUR),
            waiting: table.integer("waiting", 1, WAITING_MAX).unwrap_or(1000) as usize,
            url,
        };
        table.finish();
        has_url.then_some(hook)
    }
}

const HOUR: u64 = 3600;

fn url(table: &mut TomlTable<'_>) -> Option<HookUrl> {
    let Some((url, at)) = table.text("url") else {
        let message = "a webhook needs a url, as url = \"http://127.0.0.1:9000/landfall\"";
        table.refuse(table.at(), message);
        return None;
    };
    match HookUrl::parse(&url) {
        Ok(url) => {
            if url.is_tls && !cfg!(feature = "https") {
                let message = "this binary is built without https: build it with --features \
                               https, or put a proxy between that speaks it";
                table.refuse(at, message);
            }
            Some(url)
        }
        Err(why) => {
            table.refuse(at, why);
            None
        }
    }
}

/// A duration of so many seconds at most.
fn duration(table: &mut TomlTable<'_>, key: &'static str, default: u64, most: u64) -> Duration {
    let at = table.spot(key);
    let duration = table.duration(key).unwrap_or(Duration::from_secs(default));
    if duration > Duration::from_secs(most) {
        let most = crate::sys::units::show_duration(Duration::from_secs(most));
        table.refuse(at, format!("{key} is {most} at most"));
    }
    duration
}

fn name(table: &mut TomlTable<'_>, url: &HookUrl) -> String {
    let Some((name, at)) = table.text("name") else {
        return url.host.clone();
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(fits) {
        let message = format!("name is 1 to {NAME_MAX_BYTES} of A-Z a-z 0-9 _ -");
        table.refuse(at, message);
    }
    name
}

fn events(table: &mut TomlTable<'_>) -> Option<Vec<String>> {
    let Some((events, at)) = table.list("events") else {
        return Some(ENDS.map(str::to_owned).to_vec());
    };
    if events.is_empty() {
        let message = "events names one at least, or leave it out; [\"*\"] is all of them";
        table.refuse(at, message);
    }
    for event in events
        .iter()
        .filter(|event| !["*", DELETED].contains(&&***event))
    {
        match event.parse::<EventName>() {
            Ok(name) if name.is_reserved() => {
                table.refuse(at, format!("events: {event} is none that jobs have"));
            }
            Ok(_) => {}
            Err(error) => table.refuse(at, format!("events: {event:?}: {error}")),
        }
    }
    let is_all = events.iter().any(|event| event == "*");
    (!is_all).then_some(events)
}

fn jobs(table: &mut TomlTable<'_>) -> Scope {
    let all = || Scope::parse(["*"]).unwrap_or_default();
    let Some((jobs, at)) = table.list("jobs") else {
        return all();
    };
    if jobs.is_empty() {
        let message = "jobs names one at least, or leave it out; [\"*\"] is all of them";
        table.refuse(at, message);
    }
    Scope::parse(jobs.iter().map(String::as_str)).unwrap_or_else(|error| {
        let message = format!("jobs are names, or beginnings of them, as \"up_*\": {error}");
        table.refuse(at, message);
        all()
    })
}

fn secrets(table: &mut TomlTable<'_>) -> Option<HookSecrets> {
    let (path, at) = table.text("secret_file")?;
    let secrets = HookSecrets::read(Path::new(&path));
    secrets
        .inspect_err(|error| table.refuse(at, format!("secret_file: {error}")))
        .ok()
}

fn headers(table: &mut TomlTable<'_>) -> Vec<(String, HookText)> {
    let mut headers: Vec<(String, HookText)> = Vec::new();
    for (name, value, at) in table.texts("headers") {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_there = |(other, _): &(String, _)| other.eq_ignore_ascii_case(&name);
        let why = if name.is_empty() || !name.bytes().all(is_token) {
            format!("{name:?} is no name of a header")
        } else if OWN_FIELDS.contains(&&*name.to_ascii_lowercase()) {
            format!("{name} is set by the request itself")
        } else if headers.iter().any(is_there) {
            format!("{name} is there twice")
        } else if value.chars().any(char::is_control) {
            format!("{name} is one line")
        } else {
            match HookText::parse(&value) {
                Ok(value) => {
                    headers.push((name, value));
                    continue;
                }
                Err(why) => format!("{name}: {why}"),
            }
        };
        table.refuse(at, format!("headers: {why}"));
    }
    headers
}

fn body(table: &mut TomlTable<'_>) -> HookBody {
    let parsed = match (table.text("text"), table.json("json")) {
        (Some(_), Some((_, at))) => {
            let message = "a webhook has text or json, and not both";
            Err((at, message.to_owned()))
        }
        (Some((text, at)), None) => {
            let text = HookText::parse(&text);
            text.map(HookBody::Text)
                .map_err(|why| (at, format!("text: {why}")))
        }
        (None, Some((json, at))) => {
            let json = HookJson::of(json);
            json.map(HookBody::Json)
                .map_err(|why| (at, format!("json: {why}")))
        }
        (None, None) => Ok(HookBody::Standard),
    };
    parsed.unwrap_or_else(|(at, message)| {
        table.refuse(at, message);
        HookBody::Standard
    })
}

fn ca_file(table: &mut TomlTable<'_>, url: &HookUrl) -> Option<PathBuf> {
    let (path, at) = table.text("ca_file")?;
    if !url.is_tls {
        table.refuse(at, "ca_file is for an https url");
    }
    Some(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::JobId;

    fn refused(text: &str) -> (usize, String) {
        HookPlan::parse(text).unwrap_err().swap_remove(0)
    }

    #[test]
    fn a_webhook_that_says_nothing_is_told_of_the_ends_of_all_jobs() {
        let plan = HookPlan::parse("[[webhook]]\nurl = 'http://127.0.0.1:9000/x'\n").unwrap();
        let hook = &plan.hooks[0];
        assert_eq!(hook.name, "127.0.0.1:9000");
        assert!(ENDS.iter().all(|event| hook.wants(event)) && !hook.wants("progress"));
        assert!(hook.jobs.covers_all() && hook.secrets.is_none());
        assert_eq!(hook.retry_for, Duration::from_secs(86_400));
        assert_eq!((hook.concurrency, hook.waiting), (4, 1000));
        assert!(matches!(hook.body, HookBody::Standard));
        assert!(HookPlan::parse("listen = 'x'\n").unwrap().hooks.is_empty());
    }

    #[test]
    fn every_option_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("key");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let text = format!(
            "[[webhook]]\nname = 'b'\nurl = 'http://a/'\nevents = ['*']\njobs = ['up_*', 'x']\n\
             secret_file = '{}'\ntext = '{{job}}'\ntimeout = '1s'\nconcurrency = 2\n\
             retry_first = '10ms'\nretry_most = '1m'\nretry_for = '2h'\nwaiting = 7\n\
             [webhook.headers]\nTitle = '{{event}}'\nPriority = '5'\n\
             [[webhook]]\nurl = 'http://a/'\njson = {{ text = '{{job}}', list = [1, 2.5, true] }}\n\
             [[webhook]]\nurl = 'http://c/'\njson = '{{\"text\": \"{{job}}\"}}'\n",
            secret.display()
        );
        let plan = HookPlan::parse(&text).unwrap();
        let [hook, json, parsed] = &plan.hooks[..] else {
            panic!("{plan:?}");
        };
        assert!(hook.wants("progress") && hook.wants("deleted"));
        let covers = |job: &str| hook.jobs.covers(&job.parse::<JobId>().unwrap());
        assert!(covers("up_1") && covers("x") && !covers("y"));
        assert!(hook.secrets.is_some());
        assert_eq!(hook.headers.len(), 2);
        assert_eq!(
            (hook.timeout, hook.concurrency),
            (Duration::from_secs(1), 2)
        );
        assert_eq!(hook.retry_first, Duration::from_millis(10));
        assert_eq!(hook.retry_most, Duration::from_secs(60));
        assert_eq!(hook.retry_for, Duration::from_secs(7200));
        assert_eq!(hook.waiting, 7);
        for hook in [json, parsed] {
            assert!(matches!(hook.body, HookBody::Json(HookJson::Object(_))));
        }
    }

    #[test]
    fn the_example_says_all_that_can_be_said() {
        let mut document = TomlTable::parse(EXAMPLE).unwrap();
        for mut table in document.tables("webhook") {
            Hook::read(&mut table).unwrap();
            for key in table.known() {
                assert!(EXAMPLE.contains(key), "{key}");
            }
        }
    }

    #[test]
    fn what_is_wrong_beside_a_url_that_is_none_is_said_as_well() {
        let text = "[[webhook]]\nurl = 'a'\nevnts = ['x']\n[[webhook]]\nwaiting = 0\n";
        let wrong = HookPlan::parse(text).unwrap_err().into_iter();
        let lines: Vec<usize> = wrong.map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_would_be_right() {
        let url = "[[webhook]]\nurl = 'http://a/'\n";
        for (text, line, part) in [
            ("webhook = 1", 1, "[[webhook]]"),
            ("\n[[webhook]]\nname = 'a'\n", 2, "needs a url"),
            ("[[webhook]]\nurl = 'a'\n", 2, "http://"),
            (
                &format!("{url}secret_fil = 'a'\n"),
                3,
                "the nearest is secret_file",
            ),
            (
                &format!("{url}secret_file = '/none/here'\n"),
                3,
                "/none/here",
            ),
            (&format!("{url}events = []\n"), 3, "one at least"),
            (&format!("{url}events = 'done'\n"), 3, "a list"),
            (&format!("{url}events = ['a b']\n"), 3, "a b"),
            (&format!("{url}events = ['reset']\n"), 3, "reset"),
            (&format!("{url}jobs = ['a*b']\n"), 3, "up_*"),
            (&format!("{url}jobs = []\n"), 3, "one at least"),
            (&format!("{url}name = 'a/b'\n"), 3, "A-Z"),
            (
                &format!("{url}text = '{{jbo}}'\n"),
                3,
                "the nearest is {job}",
            ),
            (&format!("{url}json = '{{'\n"), 3, "json"),
            (&format!("{url}json = {{ a = '{{jbo}}' }}\n"), 3, "{job}"),
            (&format!("{url}json = 1979-05-27\n"), 3, ""),
            (
                &format!("{url}text = 'a'\njson = {{ a = 1 }}\n"),
                4,
                "not both",
            ),
            (&format!("{url}headers = 'a'\n"), 3, "headers"),
            (
                &format!("{url}headers = {{ 'a b' = 'c' }}\n"),
                3,
                "no name of a header",
            ),
            (
                &format!("{url}headers = {{ A = 'c', a = 'd' }}\n"),
                3,
                "twice",
            ),
            (&format!("{url}headers = {{ a = 1 }}\n"), 3, "in quotes"),
            (
                &format!("{url}headers = {{ Host = 'c' }}\n"),
                3,
                "request itself",
            ),
            (
                &format!("{url}headers = {{ a = \"b\\r\\nc: d\" }}\n"),
                3,
                "one line",
            ),
            (&format!("{url}headers = {{ a = '{{idd}}' }}\n"), 3, "{id}"),
            (&format!("{url}ca_file = '/a'\n"), 3, "https"),
            (&format!("{url}timeout = '11m'\n"), 3, "10m at most"),
            (&format!("{url}retry_for = '31d'\n"), 3, "30d at most"),
            (&format!("{url}concurrency = 0\n"), 3, "1 to 32"),
            (&format!("{url}waiting = 0\n"), 3, "1 to 10000"),
            (
                &format!("{url}{url}"),
                3,
                "two webhooks a: give each its own name",
            ),
        ] {
            let (at, message) = refused(text);
            assert_eq!(at, line, "{text}: {message}");
            assert!(message.contains(part), "{text}: {message}");
        }
        let all =
            HookPlan::parse("[[webhook]]\nurl = 'http://a/'\nevents = []\nwaiting = 0\nx = 1\n");
        let lines: Vec<usize> = all.unwrap_err().into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [3, 4, 5], "all of it is said");
        let many: String = (0..33).map(|n| format!("{url}name = 'n{n}'\n")).collect();
        assert!(refused(&many).1.contains("32 webhooks at most"));
    }

    #[test]
    #[cfg(not(feature = "https"))]
    fn an_https_url_is_refused_with_the_feature_that_it_takes() {
        let (line, message) = refused("[[webhook]]\nurl = 'https://a/'\n");
        assert_eq!(line, 2);
        assert!(message.contains("--features https"), "{message}");
    }
}
