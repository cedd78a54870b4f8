//! Services that people have, each by a receiver that checks what the service documents.

use serde_json::Value;

use crate::receiver::{Received, Receiver, Reply};
use crate::support::Hooked;

/// What a service documents of a request: why it would refuse it.
type Service = fn(&Received) -> Result<&'static str, String>;

/// Tells a service of one end of a job. Returns what it was told.
fn told(service: Service, path: &str, rest: &str) -> Received {
    let receiver = Receiver::answering(move |received| {
        let (status, body) = match service(received) {
            Ok(body) => ("200 OK", body.to_owned()),
            Err(why) => ("400 Bad Request", why),
        };
        let length = body.len();
        Reply::Bytes(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    });
    let url = receiver.url(path);
    let toml = format!("[[webhook]]\nname = 's'\nurl = '{url}'\nretry_first = '1h'\n{rest}");
    let server = Hooked::start(&toml);
    let data = r#"{"message":"no \"room\" für alle","title":"Urlaub ☀"}"#;
    server.publish("up_1", "error", data);
    let received = receiver.wait_for(1).remove(0);
    if let Err(why) = service(&received) {
        panic!("{why}: {received:?}");
    }
    server.wait_for_count("s", "delivered", 1);
    received
}

/// https://docs.ntfy.sh/publish/: a POST to the topic whose body is the message, in UTF-8 and 4,096
/// bytes at most; `Title`, `Priority` (1 to 5) and `Tags` are headers, which may be RFC 2047
/// encoded words; `Authorization: Bearer tk_...`.
fn ntfy(received: &Received) -> Result<&'static str, String> {
    let wrong = |what: &str| Err(what.to_owned());
    if received.line != "POST /landfall HTTP/1.1" {
        return wrong("the topic is the path");
    }
    if received.body.is_empty() || received.body.len() > 4096 {
        return wrong("the message");
    }
    let priority = received.field("Priority").unwrap_or("3").parse();
    if !priority.is_ok_and(|it: u8| (1..=5).contains(&it)) {
        return wrong("Priority");
    }
    let title = received.field("Title").unwrap_or_default();
    if !title.is_ascii() {
        return wrong("Title");
    }
    if !received
        .field("Authorization")
        .is_some_and(|it| it.starts_with("Bearer tk_"))
    {
        return wrong("Authorization");
    }
    Ok(r#"{"id":"xE73Iyuabi","time":1673542291,"event":"message","topic":"landfall"}"#)
}

/// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/: a POST of
/// `application/json` with `text`; the answer is `ok`, or 400 with `invalid_payload` or `no_text`.
fn slack(received: &Received) -> Result<&'static str, String> {
    if !received
        .line
        .starts_with("POST /services/T00000000/B00000000/")
    {
        return Err("no_service".to_owned());
    }
    match json(received).as_ref().and_then(|it| it.as_object()) {
        None => Err("invalid_payload".to_owned()),
        Some(payload) => match payload.get("text").and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok("ok"),
            _ => Err("no_text".to_owned()),
        },
    }
}

/// https://www.home-assistant.io/docs/automation/trigger/#webhook-trigger: a POST to
/// `/api/webhook/<id>`; JSON has to say so in its Content-Type to be `trigger.json`. The answer is
/// 200 without a body.
fn home_assistant(received: &Received) -> Result<&'static str, String> {
    if received.line != "POST /api/webhook/landfall-8f3a HTTP/1.1" {
        return Err("the webhook's id is in the path".to_owned());
    }
    json(received)
        .map(|_| "")
        .ok_or_else(|| "no trigger.json".to_owned())
}

/// https://gotify.net/api-docs: `POST /message` of `application/json` with `message`, and
/// `title` and `priority`, a whole number; the application's token in `X-Gotify-Key`.
fn gotify(received: &Received) -> Result<&'static str, String> {
    if received.line != "POST /message HTTP/1.1" {
        return Err("the path".to_owned());
    }
    if received.field("X-Gotify-Key") != Some("AwpDrb3.HRSuaok") {
        return Err("you need to provide a valid access token".to_owned());
    }
    let payload = json(received).ok_or("no JSON")?;
    if payload["message"].as_str().is_none_or(str::is_empty) {
        return Err("Field 'message' is required".to_owned());
    }
    if !payload["title"].is_string() || payload["priority"].as_i64().is_none() {
        return Err("title and priority".to_owned());
    }
    Ok(r#"{"id":25,"appid":5}"#)
}

fn json(received: &Received) -> Option<Value> {
    let kind = received.field("Content-Type")?;
    let json = serde_json::from_str(&received.body).ok();
    json.filter(|_| kind == "application/json")
}

#[test]
fn ntfy_takes_a_text_and_headers() {
    let received = told(
        ntfy,
        "/landfall",
        "text = 'Job {job}: {event} {data.message}'\n\
         [webhook.headers]\nTitle = '{data.title}'\nPriority = '4'\nTags = 'warning'\n\
         Authorization = 'Bearer tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2'\n",
    );
    assert_eq!(received.body, "Job up_1: error no \"room\" für alle");
    assert_eq!(
        received.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        received.field("Title"),
        Some("=?UTF-8?B?VXJsYXViIOKYgA==?=")
    );
    assert_eq!(received.field("Tags"), Some("warning"));
}

#[test]
fn slack_takes_json() {
    let received = told(
        slack,
        "/services/T00000000/B00000000/XXXX",
        "json = { text = 'Job *{job}*: {event} {data.message}' }\n",
    );
    assert_eq!(
        received.json()["text"],
        "Job *up_1*: error no \"room\" für alle"
    );
}

#[test]
fn home_assistant_takes_json() {
    let received = told(
        home_assistant,
        "/api/webhook/landfall-8f3a",
        "json = { job = '{job}', event = '{event}', data = '{data}' }\n",
    );
    assert_eq!(received.json()["data"]["title"], "Urlaub ☀");
    // And what it is told without any template.
    let received = told(home_assistant, "/api/webhook/landfall-8f3a", "");
    assert_eq!(received.json()["type"], "job.error");
}

#[test]
fn gotify_takes_json_and_a_header() {
    let received = told(
        gotify,
        "/message",
        "json = { title = '{data.title}', message = '{job}: {data.message}', priority = 5 }\n\
         headers = { X-Gotify-Key = 'AwpDrb3.HRSuaok' }\n",
    );
    assert_eq!(received.json()["title"], "Urlaub ☀");
}
