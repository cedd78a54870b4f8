//! JSON objects that this program writes, or a server of its kind, member by member. Whatever else
//! is in one that is read is passed over.
//!
//! What serde derives is code anew for each type: this is for what isn't read or written often.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};

use serde_core::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// An object whose members are taken out, each read when it is.
pub(crate) struct Object(HashMap<String, Box<RawValue>>);

impl Object {
    /// Reads one.
    ///
    /// # Errors
    /// It is something else, or has a member twice.
    pub fn read(json: &[u8]) -> io::Result<Object> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let members = reader.deserialize_map(MemberMap)?;
        reader.end()?;
        Ok(Object(members))
    }

    /// A member, whatever it is; none where it isn't there, or is null.
    ///
    /// # Errors
    /// It can't be held: it is nested too deep, or a number that is too large.
    pub fn value(&mut self, name: &str) -> io::Result<Option<Value>> {
        let value = self.0.remove(name).map(|raw| value(&raw)).transpose();
        let value = value.map_err(|_| wrong(name, "can't be read"))?;
        Ok(value.filter(|value| !value.is_null()))
    }

    /// A text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&mut self, name: &str) -> io::Result<Option<String>> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "isn't a text")),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&mut self, name: &str) -> io::Result<Option<u64>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        let number = value.as_u64().ok_or_else(|| wrong(name, "isn't a number"));
        number.map(Some)
    }

    /// Whether something is so; not where nothing is said.
    ///
    /// # Errors
    /// It is something else.
    pub fn flag(&mut self, name: &str) -> io::Result<bool> {
        match self.value(name)? {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(wrong(name, "isn't true or false")),
        }
    }

    /// An object.
    ///
    /// # Errors
    /// It is something else.
    pub fn object(&mut self, name: &str) -> io::Result<Option<Object>> {
        let raw = self.0.remove(name).filter(|raw| raw.get() != "null");
        let object = raw.map(|raw| Object::read(raw.get().as_bytes()));
        object
            .transpose()
            .map_err(|_| wrong(name, "isn't an object"))
    }

    /// A list; an empty one where there is none.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&mut self, name: &str) -> io::Result<Vec<Value>> {
        match self.value(name)? {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(wrong(name, "isn't a list")),
        }
    }

    /// A list of objects; an empty one where there is none.
    ///
    /// # Errors
    /// It is something else.
    pub fn objects(&mut self, name: &str) -> io::Result<Vec<Object>> {
        let Some(raw) = self.0.remove(name).filter(|raw| raw.get() != "null") else {
            return Ok(Vec::new());
        };
        let list = serde_json::from_slice::<Vec<&RawValue>>(raw.get().as_bytes());
        let objects = list.map_err(io::Error::from).and_then(|list| {
            let objects = list.into_iter();
            objects
                .map(|raw| Object::read(raw.get().as_bytes()))
                .collect()
        });
        objects.map_err(|_| wrong(name, "isn't a list of objects"))
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// It isn't, or is something else.
    pub fn needed_text(&mut self, name: &str) -> io::Result<String> {
        self.text(name)?.ok_or_else(|| wrong(name, "is missing"))
    }

    /// A number that has to be there.
    ///
    /// # Errors
    /// It isn't, or is something else.
    pub fn needed_number(&mut self, name: &str) -> io::Result<u64> {
        self.number(name)?.ok_or_else(|| wrong(name, "is missing"))
    }

    /// All that is left and can be held.
    pub fn rest(self) -> Map<String, Value> {
        let mut members = Map::new();
        for (name, raw) in self.0 {
            if let Ok(value) = value(&raw) {
                members.insert(name, value);
            }
        }
        members
    }
}

/// What a worker says may be valid, and more than can be held: nested too deep, a number that is
/// too large, or half a character, which is shown as a replacement.
fn value(raw: &RawValue) -> serde_json::Result<Value> {
    let json = raw.get().as_bytes();
    serde_json::from_slice(json).or_else(|error| match json.first() {
        Some(b'"') => serde_json::Deserializer::from_slice(json)
            .deserialize_bytes(JsonText)
            .map(Value::String),
        _ => Err(error),
    })
}

/// A text, whatever its escapes stand for.
struct JsonText;

impl Visitor<'_> for JsonText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Takes each member once: of two it would be open which counts.
struct MemberMap;

impl<'de> Visitor<'de> for MemberMap {
    type Value = HashMap<String, Box<RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = HashMap::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name} is there twice")));
            }
            members.insert(name, access.next_value()?);
        }
        Ok(members)
    }
}

/// An object of these members, but for those that are null.
#[cfg(feature = "uploads")]
pub(crate) fn object(members: &mut [(&str, Value)]) -> Value {
    let members = members.iter_mut().filter(|(_, value)| !value.is_null());
    let mut object = Map::new();
    for (name, value) in members {
        object.insert((*name).to_owned(), value.take());
    }
    object.into()
}

/// A path as a text.
///
/// # Errors
/// It can't be one.
#[cfg(feature = "uploads")]
pub(crate) fn path(path: &std::path::Path) -> io::Result<Value> {
    let text = path.to_str().map(Value::from);
    text.ok_or_else(|| wrong("a path", "isn't UTF-8"))
}

/// A member isn't as it has to be.
pub(crate) fn wrong(name: &str, what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_what_is_asked_for_or_an_error_names_them() {
        let read = || {
            let json = br#"{"text":"a","number":9007199254740993,"flag":true,"null":null,
                "object":{"text":"b"},"list":[1,{}],"objects":[{"number":1}],"other":[1]}"#;
            Object::read(json).unwrap()
        };
        let mut object = read();
        assert_eq!(object.needed_text("text").unwrap(), "a");
        assert_eq!(
            object.needed_number("number").unwrap(),
            9_007_199_254_740_993
        );
        assert!(object.flag("flag").unwrap());
        let inner = object.object("object").unwrap();
        assert_eq!(inner.unwrap().text("text").unwrap().unwrap(), "b");
        assert_eq!(object.list("list").unwrap().len(), 2);
        assert_eq!(object.objects("objects").unwrap().len(), 1);
        assert_eq!(object.rest().len(), 2);

        for absent in ["null", "absent"] {
            let mut object = read();
            assert_eq!(object.text(absent).unwrap(), None);
            assert_eq!(object.number(absent).unwrap(), None);
            assert!(!object.flag(absent).unwrap());
            assert!(object.object(absent).unwrap().is_none());
            assert!(object.list(absent).unwrap().is_empty());
            let error = object.needed_text(absent).unwrap_err();
            assert_eq!(error.to_string(), format!("{absent} is missing"));
        }
        assert!(read().text("number").is_err());
        assert!(read().number("text").is_err());
        assert!(read().flag("number").is_err());
        assert!(read().object("list").is_err());
        assert!(read().list("object").is_err());
        assert!(read().objects("list").is_err());
        assert!(Object::read(b"[]").is_err());
        assert!(Object::read(b"{} {}").is_err());
        assert!(Object::read(br#"{"a":1,"a":1}"#).is_err());
        assert!(Object::read(b"{").is_err());
    }

    #[test]
    fn a_member_that_is_more_than_can_be_held_hides_no_other() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let json = format!(r#"{{"a":{{"deep":{deep},"huge":1e999,"half":"x\ud83d","b":1}}}}"#);
        let mut object = Object::read(json.as_bytes()).unwrap();
        let inner = || Object::read(json.as_bytes()).unwrap().object("a");
        let mut inner = inner().unwrap().unwrap();
        assert!(inner.value("deep").is_err());
        let rest = object.object("a").unwrap().unwrap().rest();
        let half = rest["half"].as_str().unwrap();
        assert!(half.starts_with("x\u{fffd}"), "{half}");
        assert_eq!((rest.len(), &rest["b"]), (2, &Value::from(1)));
    }
}
