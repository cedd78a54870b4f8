//! What a webhook says where the receiver wants it said in its own way: texts and JSON with
//! places that are filled in.

use serde_json::{Map, Value};

use super::HookEvent;
use crate::event::json::Object;
use crate::sys::nearest::nearest;

/// What is filled in; of `data`, a member as well, as `data.message`.
const PLACES: [&str; 5] = ["job", "event", "id", "time", "data"];

/// A text with places, each a name in braces. Other braces are themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookText(Vec<TextPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TextPart {
    Plain(String),
    Job,
    Event,
    Id,
    Time,
    /// A member of the data, by the names on the way to it; none for all of it.
    Data(Vec<String>),
}

/// JSON whose texts have places. A text that is one place and nothing else becomes what is
/// there, a number or an object too.
#[derive(Clone, Debug, PartialEq)]
pub enum HookJson {
    /// As it is.
    Plain(Value),
    /// A text.
    Text(HookText),
    /// A list.
    List(Vec<HookJson>),
    /// An object.
    Object(Vec<(String, HookJson)>),
}

impl HookText {
    /// Reads one.
    ///
    /// # Errors
    /// A name in braces is no place.
    pub fn parse(text: &str) -> Result<HookText, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            plain += before;
            match from[1..].split_once('}').filter(|(name, _)| is_name(name)) {
                Some((name, after)) => {
                    if !plain.is_empty() {
                        parts.push(TextPart::Plain(std::mem::take(&mut plain)));
                    }
                    parts.push(TextPart::of(name)?);
                    rest = after;
                }
                None => {
                    plain.push('{');
                    rest = &from[1..];
                }
            }
        }
        plain += rest;
        if !plain.is_empty() {
            parts.push(TextPart::Plain(plain));
        }
        Ok(HookText(parts))
    }

    /// The text for an event. What isn't there is empty.
    pub fn fill(&self, event: &HookEvent<'_>) -> String {
        let parts = self.0.iter().map(|part| match part.fill(event) {
            Value::Null => String::new(),
            Value::String(text) => text,
            value => value.to_string(),
        });
        parts.collect()
    }
}

impl HookJson {
    /// Reads the places in a value's texts.
    ///
    /// # Errors
    /// As of [`HookText::parse`].
    pub fn of(value: Value) -> Result<HookJson, String> {
        Ok(match value {
            Value::String(text) => HookJson::Text(HookText::parse(&text)?),
            Value::Array(list) => {
                let list = list.into_iter().map(HookJson::of);
                HookJson::List(list.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members.into_iter();
                let members = members.map(|(name, value)| Ok((name, HookJson::of(value)?)));
                HookJson::Object(members.collect::<Result<_, String>>()?)
            }
            plain => HookJson::Plain(plain),
        })
    }

    /// The value for an event. What isn't there is null, or empty within a text.
    pub fn fill(&self, event: &HookEvent<'_>) -> Value {
        match self {
            HookJson::Plain(value) => value.clone(),
            HookJson::Text(HookText(parts)) if matches!(parts[..], [_]) => parts[0].fill(event),
            HookJson::Text(text) => Value::String(text.fill(event)),
            HookJson::List(list) => list.iter().map(|it| it.fill(event)).collect(),
            HookJson::Object(members) => {
                // Not collected: that would sort, by code of its own.
                let mut object = Map::new();
                for (name, it) in members {
                    object.insert(name.clone(), it.fill(event));
                }
                Value::Object(object)
            }
        }
    }
}

impl TextPart {
    fn of(name: &str) -> Result<TextPart, String> {
        Ok(match name {
            "job" => TextPart::Job,
            "event" => TextPart::Event,
            "id" => TextPart::Id,
            "time" => TextPart::Time,
            "data" => TextPart::Data(Vec::new()),
            _ => {
                if let Some(path) = name.strip_prefix("data.") {
                    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                    if path.iter().all(|name| !name.is_empty()) {
                        return Ok(TextPart::Data(path));
                    }
                }
                let right = match nearest(name, &mut PLACES.into_iter()) {
                    Some(nearest) => format!("the nearest is {{{nearest}}}"),
                    None => "there are {job}, {event}, {id}, {time}, {data} and members of the \
                             data, as {data.message}"
                        .to_owned(),
                };
                return Err(format!("there is no {{{name}}} to fill in: {right}"));
            }
        })
    }

    fn fill(&self, event: &HookEvent<'_>) -> Value {
        match self {
            TextPart::Plain(text) => Value::from(text.as_str()),
            TextPart::Job => Value::from(event.job),
            TextPart::Event => Value::from(event.name),
            TextPart::Id => Value::from(event.id.0),
            TextPart::Time => Value::from(event.time()),
            TextPart::Data(path) => {
                let data = Object::read(event.data.as_bytes()).map(Object::rest);
                let data = Value::from(data.unwrap_or_default());
                path.iter().fold(data, |mut value, name| match &mut value {
                    Value::Object(members) => members.remove(name).unwrap_or_default(),
                    Value::Array(list) => match name.parse() {
                        Ok(index) if index < list.len() => list.swap_remove(index),
                        _ => Value::Null,
                    },
                    _ => Value::Null,
                })
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::job::EventId;

    const EVENT: HookEvent<'_> = HookEvent {
        job: "up_1",
        name: "error",
        id: EventId(7),
        time_ms: 0,
        data: r#"{"jobId":"up_1","message":"a \"b\"\n","percent":30.5,"list":[1,{"x":2}],"a-b":1}"#,
    };

    fn filled(text: &str) -> String {
        HookText::parse(text).unwrap().fill(&EVENT)
    }

    #[test]
    fn places_are_filled_and_other_braces_are_themselves() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{job}: {event} {id}", "up_1: error 7"),
            ("at {time}", "at 1970-01-01T00:00:00.000Z"),
            ("{data.message}!", "a \"b\"\n!"),
            ("{data.percent} %", "30.5 %"),
            ("{data.list.1.x}{data.list.9}", "2"),
            ("<{data.none}{data.message.more}>", "<>"),
            ("{data.a-b}", "1"),
            ("{ job } {} {{job}} }{", "{ job } {} {up_1} }{"),
            ("{\"a\":1}", "{\"a\":1}"),
            ("{é}", "{é}"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
        assert!(filled("{data}").starts_with("{\"a-b\":1,"));
    }

    #[test]
    fn a_place_that_there_is_none_of_is_named_with_the_nearest() {
        for (text, part) in [
            ("{jobs}", "the nearest is {job}"),
            ("{a} {tiem}", "there are {job}"),
            ("{data.}", "{data.}"),
            ("{data..a}", "{data..a}"),
        ] {
            let error = HookText::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn json_stays_json_whatever_is_filled_in() {
        let json = |text: &str| HookJson::of(serde_json::from_str(text).unwrap());
        let text = r#"{"text":"{job}: {data.message}","n":5,"is":true,"none":null,"{job}":1,
                       "percent":"{data.percent}","all":"{data}","list":["{id}","{data.no}"]}"#;
        let value = json(text).unwrap().fill(&EVENT);
        assert_eq!(value["text"], "up_1: a \"b\"\n");
        assert_eq!(value["n"], 5);
        assert_eq!(value["percent"], 30.5);
        assert_eq!(value["all"]["jobId"], "up_1");
        assert_eq!(value["list"], serde_json::json!([7, null]));
        assert_eq!(value["{job}"], 1, "names stay what they are");
        assert!(json(r#"{"a":["{jbo}"]}"#).unwrap_err().contains("{job}"));
    }
}
