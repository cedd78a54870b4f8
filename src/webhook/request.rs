//! One request to a webhook: what it says, and how it is answered. It follows no redirect, and
//! has an end whatever the receiver does.

use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::HookEvent;
use super::config::{Hook, HookBody};
use crate::client::{ClientError, Connection};
use crate::sys::clock;
use crate::sys::units::show_duration;

/// The longest value that is filled into a header.
const FIELD_MAX_CHARS: usize = 1000;
/// How much of an answer is told.
const TOLD_CHARS: usize = 200;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The receiver has taken the event.
    Taken,
    /// It doesn't want this one, and never will: 410.
    Unwanted(String),
    /// It hasn't, for now.
    Failed {
        /// Why.
        why: String,
        /// Nobody was there to hear it.
        is_unheard: bool,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
}

/// A request that is ready to go.
struct HookRequest {
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer, as far as it matters.
struct HookAnswer {
    status: u16,
    retry_after: Option<Duration>,
    location: Option<String>,
    body: Vec<u8>,
}

/// A way to the receiver, which waits for what it is told.
pub struct HookLine {
    /// None over TLS, where it is made with the request.
    connection: Option<Connection>,
    deadline: Instant,
}

impl HookLine {
    /// Opens one. Blocks, until the hook's time limit at most.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn open(hook: &Hook) -> Result<HookLine, DeliveryEnd> {
        let deadline = Instant::now() + hook.timeout;
        let connection = if hook.url.is_tls {
            None
        } else {
            let opened = Connection::open(&hook.url.address, deadline);
            Some(opened.map_err(|error| failed(in_words(hook, error), true))?)
        };
        Ok(HookLine {
            connection,
            deadline,
        })
    }

    /// Tells the receiver of an event; the id is the same in every try. Blocks, until the hook's
    /// time limit at most.
    pub fn send(self, hook: &Hook, id: &str, event: &HookEvent<'_>) -> DeliveryEnd {
        let request = HookRequest::new(hook, id, event, clock::since_epoch().as_secs());
        let answer = match self.connection {
            Some(connection) => plainly(hook, connection, self.deadline, &request),
            None => over_tls(hook, &request),
        };
        match answer {
            Ok(answer) => answer.end(),
            Err((why, is_unheard)) => failed(why, is_unheard),
        }
    }
}

fn failed(why: String, is_unheard: bool) -> DeliveryEnd {
    DeliveryEnd::Failed {
        why,
        is_unheard,
        retry_after: None,
    }
}

fn in_words(hook: &Hook, error: ClientError) -> String {
    match error {
        ClientError::TimedOut => {
            let time = show_duration(hook.timeout);
            format!("no whole answer within {time}")
        }
        ClientError::Malformed(what) => format!("no answer as HTTP has it: {what}"),
        error => error.to_string(),
    }
}

impl HookRequest {
    fn new(hook: &Hook, id: &str, event: &HookEvent<'_>, now: u64) -> HookRequest {
        let (kind, body) = match &hook.body {
            HookBody::Standard => ("application/json", event.standard()),
            HookBody::Text(text) => ("text/plain; charset=utf-8", text.fill(event)),
            HookBody::Json(json) => ("application/json", json.fill(event).to_string()),
        };
        let body = body.into_bytes();
        let headers = hook.headers.iter();
        let mut fields: Vec<(String, String)> = headers
            .map(|(name, value)| (name.clone(), field_value(&value.fill(event))))
            .collect();
        let agent = concat!("landfall/", env!("CARGO_PKG_VERSION"));
        for (name, value) in [("Content-Type", kind), ("User-Agent", agent)] {
            if !fields
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
            {
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        fields.push(("webhook-id".to_owned(), id.to_owned()));
        fields.push(("webhook-timestamp".to_owned(), now.to_string()));
        if let Some(secrets) = &hook.secrets {
            let signature = secrets.sign(id, now, &body);
            fields.push(("webhook-signature".to_owned(), signature));
        }
        HookRequest { fields, body }
    }
}

/// Why there is no answer, and whether that is because nobody was there.
type NoAnswer = (String, bool);

fn plainly(
    hook: &Hook,
    mut connection: Connection,
    deadline: Instant,
    request: &HookRequest,
) -> Result<HookAnswer, NoAnswer> {
    let (target, host) = (&hook.url.target, &hook.url.host);
    let length = request.body.len();
    let mut head = format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in &request.fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let bytes = [head.as_bytes(), &request.body].concat();
    let answer = connection.exchange(&bytes, deadline);
    let (head, body) = answer.map_err(|error| (in_words(hook, error), false))?;
    Ok(HookAnswer {
        status: head.status,
        retry_after: head.field("retry-after").and_then(wait),
        location: head.field("location").map(str::to_owned),
        body,
    })
}

#[cfg(not(feature = "https"))]
fn over_tls(_: &Hook, _: &HookRequest) -> Result<HookAnswer, NoAnswer> {
    Err(("this binary is built without https".to_owned(), true))
}

#[cfg(feature = "https")]
fn over_tls(hook: &Hook, request: &HookRequest) -> Result<HookAnswer, NoAnswer> {
    use std::io::Read;

    use crate::client::ANSWER_MAX_BYTES;

    let agent = agent(hook).map_err(|error| (error, true))?;
    let fields = request.fields.iter();
    let asked = fields.fold(agent.post(hook.url.whole()), |asked, (name, value)| {
        asked.header(name, value)
    });
    let mut answer = asked.send(&request.body[..]).map_err(|error| {
        let is_unheard = matches!(
            error,
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound | ureq::Error::Io(_)
        );
        (error.to_string(), is_unheard)
    })?;
    let field = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
    let (retry_after, location) = (field("retry-after"), field("location"));
    let mut body = Vec::new();
    let limit = ANSWER_MAX_BYTES as u64 + 1;
    let reader = answer.body_mut().as_reader();
    let read = reader.take(limit).read_to_end(&mut body);
    read.map_err(|error| (error.to_string(), false))?;
    if body.len() > ANSWER_MAX_BYTES {
        return Err(("the answer is too long".to_owned(), false));
    }
    Ok(HookAnswer {
        status: answer.status().as_u16(),
        retry_after: retry_after.as_deref().and_then(wait),
        location,
        body,
    })
}

/// An agent that goes where it is sent and nowhere else.
#[cfg(feature = "https")]
fn agent(hook: &Hook) -> Result<ureq::Agent, String> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

    let mut tls = TlsConfig::builder();
    if let Some(path) = &hook.ca_file {
        let named = |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| named(&error))?;
        let items = parse_pem(&pem).filter_map(Result::ok);
        let roots: Vec<_> = items
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        if roots.is_empty() {
            return Err(named(&"there is no certificate in it, as PEM"));
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&roots));
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(hook.timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .tls_config(tls.build())
        .build();
    Ok(config.into())
}

/// Whether what an https URL needs besides is there. Blocks for the disk.
///
/// # Errors
/// It isn't.
pub fn check(hook: &Hook) -> Result<(), String> {
    #[cfg(feature = "https")]
    if hook.url.is_tls {
        agent(hook)?;
    }
    let _ = hook;
    Ok(())
}

impl HookAnswer {
    fn end(self) -> DeliveryEnd {
        let status = self.status;
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let told = String::from_utf8_lossy(&self.body);
        let told: String = told
            .trim()
            .chars()
            .map(printable)
            .take(TOLD_CHARS)
            .collect();
        let told = if told.is_empty() {
            String::new()
        } else {
            format!(": {told}")
        };
        match status {
            200..300 => DeliveryEnd::Taken,
            410 => DeliveryEnd::Unwanted(format!("status 410{told}")),
            _ => {
                let why = match self.location {
                    Some(to) if (300..400).contains(&status) => {
                        let to: String = to.chars().map(printable).take(TOLD_CHARS).collect();
                        format!(
                            "status {status}, a redirect to {to}, which isn't followed: give url \
                             the address that it leads to"
                        )
                    }
                    _ => format!("status {status}{told}"),
                };
                DeliveryEnd::Failed {
                    why,
                    // Whoever stands before it says that nobody is there.
                    is_unheard: matches!(status, 502..505),
                    retry_after: self.retry_after,
                }
            }
        }
    }
}

/// What `Retry-After` says: seconds, or a date.
fn wait(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(clock::since_epoch()))
}

/// What may stand in a header: one line of ASCII. What isn't, is an encoded word (RFC 2047).
fn field_value(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(printable).take(FIELD_MAX_CHARS).collect();
    let text = text.trim();
    if text.is_ascii() {
        text.to_owned()
    } else {
        format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_one_line_of_ascii_whatever_is_filled_in() {
        assert_eq!(field_value(" a\r\nX-Evil: b\0 "), "a  X-Evil: b");
        assert_eq!(field_value("über"), "=?UTF-8?B?w7xiZXI=?=");
        assert_eq!(field_value("a\u{85}\u{2028}b"), "=?UTF-8?B?YSDigKhi?=");
        assert_eq!(field_value(&"x".repeat(5000)).len(), FIELD_MAX_CHARS);
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Fri, 01 Jan 1999 00:00:00 GMT"), Some(Duration::ZERO));
        let year = 365 * 24 * 60 * 60;
        let far = wait("Fri, 01 Jan 2100 00:00:00 GMT");
        assert!(far.is_some_and(|it| it > Duration::from_secs(year)));
        for nonsense in ["", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn only_2xx_is_taken_and_a_redirect_is_a_failure_that_says_where_to() {
        let end = |status, location: Option<&str>| {
            HookAnswer {
                status,
                retry_after: None,
                location: location.map(str::to_owned),
                body: b"no\nroom".to_vec(),
            }
            .end()
        };
        for status in [200, 201, 204, 299] {
            assert_eq!(end(status, None), DeliveryEnd::Taken);
        }
        let said = |end| match end {
            DeliveryEnd::Failed { why, .. } | DeliveryEnd::Unwanted(why) => why,
            DeliveryEnd::Taken => panic!("it isn't"),
        };
        assert!(matches!(end(410, None), DeliveryEnd::Unwanted(_)));
        for status in [300, 304, 400, 404, 429, 500, 503] {
            assert!(
                matches!(end(status, None), DeliveryEnd::Failed { .. }),
                "{status}"
            );
        }
        assert_eq!(said(end(500, None)), "status 500: no room");
        let redirect = said(end(307, Some("http://a/b")));
        assert!(
            redirect.contains("http://a/b, which isn't followed"),
            "{redirect}"
        );
    }
}
