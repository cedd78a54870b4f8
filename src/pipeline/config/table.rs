//! A table of the file, of which every key is used or refused.

use std::time::Duration;

use serde_json::Value as Json;
use toml_span::value::{Value, ValueInner};

use crate::sys::nearest::nearest;
use crate::sys::units::{self, UnitError};

/// A table.
pub struct Table<'a> {
    members: toml_span::value::Table<'a>,
    at: Spot,
    known: Vec<&'static str>,
}

/// A place in the file.
#[derive(Clone, Copy, Debug)]
pub struct Spot(usize);

/// What is wrong, and where.
#[derive(Debug)]
pub struct Wrong {
    /// How many bytes are before it.
    pub at: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub fn parse(text: &'a str) -> Result<Table<'a>, Wrong> {
        let mut value = toml_span::parse(text)
            .map_err(|error| Spot(error.span.start.min(text.len())).wrong(error.to_string()))?;
        Table::of(&mut value).ok_or_else(|| Spot(0).wrong("the file is no table"))
    }

    /// Where it begins.
    pub fn at(&self) -> Spot {
        self.at
    }

    /// Says that there are no keys but these, and those that others read.
    pub fn only(&mut self, known: &[&'static str], others: &[String]) -> Result<(), Wrong> {
        self.known.extend(known);
        let is_known = |key: &str| known.contains(&key) || others.iter().any(|other| other == key);
        let stray = self.members.keys().find(|key| !is_known(&key.name));
        match stray {
            None => Ok(()),
            Some(key) => Err(self.unknown(&key.name, key.span.start)),
        }
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        self.members.keys().any(|it| it.name == key)
    }

    /// The tables of `[[key]]`.
    pub fn tables(&mut self, key: &'static str) -> Result<Vec<Table<'a>>, Wrong> {
        let Some(mut value) = self.take(key) else {
            return Ok(Vec::new());
        };
        let at = Spot(value.span.start);
        let wanted = || {
            at.wrong(format!(
                "{key} is a list of tables: begin each with [[{key}]]"
            ))
        };
        match value.take() {
            ValueInner::Array(tables) => tables
                .into_iter()
                .map(|mut value| Table::of(&mut value).ok_or_else(wanted))
                .collect(),
            _ => Err(wanted()),
        }
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Result<Option<(String, Spot)>, Wrong> {
        self.take(key).map(|value| text(key, value)).transpose()
    }

    /// A list of strings.
    pub fn list(&mut self, key: &'static str) -> Result<Option<(Vec<String>, Spot)>, Wrong> {
        let Some(mut value) = self.take(key) else {
            return Ok(None);
        };
        let at = Spot(value.span.start);
        let ValueInner::Array(values) = value.take() else {
            return Err(at.wrong(format!("{key} is a list of strings, as [\"a\", \"b\"]")));
        };
        let texts = values.into_iter().map(|value| Ok(text(key, value)?.0));
        Ok(Some((texts.collect::<Result<_, _>>()?, at)))
    }

    /// Strings by their names, in a table of their own.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<(String, String, Spot)>, Wrong> {
        let Some(mut value) = self.take(key) else {
            return Ok(Vec::new());
        };
        let at = Spot(value.span.start);
        let ValueInner::Table(members) = value.take() else {
            return Err(at.wrong(format!("{key} is a table, as {{ Name = \"value\" }}")));
        };
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_by_key(|(name, _)| name.span.start);
        let texts = members.into_iter().map(|(name, value)| {
            let (value, at) = text(&format!("{key}: {}", name.name), value)?;
            Ok((name.name.into_owned(), value, at))
        });
        texts.collect()
    }

    /// JSON: as a table, or as a string that holds it.
    pub fn json(&mut self, key: &'static str) -> Result<Option<(Json, Spot)>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let at = Spot(value.span.start);
        let json = match json(value) {
            Json::String(text) => serde_json::from_str(&text)
                .map_err(|error| at.wrong(format!("{key} is no JSON: {error}")))?,
            json => json,
        };
        Ok(Some((json, at)))
    }

    /// Where a key's value is; the table itself where there is none.
    pub fn spot(&self, key: &str) -> Spot {
        let mut members = self.members.iter();
        let found = members.find(|(name, _)| name.name == key);
        found.map_or(self.at, |(_, value)| Spot(value.span.start))
    }

    /// A whole number in these bounds.
    pub fn integer(&mut self, key: &'static str, min: i64, max: i64) -> Result<Option<i64>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match value.as_integer() {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("{key} is a whole number from {min} to {max}");
                Err(Spot(value.span.start).wrong(message))
            }
        }
    }

    /// Yes or no.
    pub fn switch(&mut self, key: &'static str) -> Result<Option<bool>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match value.as_bool() {
            Some(is_on) => Ok(Some(is_on)),
            None => Err(Spot(value.span.start).wrong(format!("{key} is true or false"))),
        }
    }

    /// A duration, as `"15m"`.
    pub fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, Wrong> {
        let Some((text, at)) = self.text(key)? else {
            return Ok(None);
        };
        match units::duration(&text) {
            Ok(duration) if !duration.is_zero() => Ok(Some(duration)),
            _ => Err(at.wrong(format!("{key} is {}", UnitError::NotADuration))),
        }
    }

    /// A size in bytes, as `"2GiB"`.
    pub fn size(&mut self, key: &'static str) -> Result<Option<u64>, Wrong> {
        let Some((text, at)) = self.text(key)? else {
            return Ok(None);
        };
        match units::size(&text) {
            Ok(size) if size > 0 => Ok(Some(size)),
            _ => Err(at.wrong(format!("{key} is {}", UnitError::NotASize))),
        }
    }

    /// Refuses what nobody asked for.
    pub fn finish(&mut self) -> Result<(), Wrong> {
        match self.members.keys().min_by_key(|key| key.span.start) {
            None => Ok(()),
            Some(key) => Err(self.unknown(&key.name, key.span.start)),
        }
    }

    fn of(value: &mut Value<'a>) -> Option<Table<'a>> {
        let at = Spot(value.span.start);
        match value.take() {
            ValueInner::Table(members) => Some(Table {
                members,
                at,
                known: Vec::new(),
            }),
            _ => None,
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.members.remove(key)
    }

    fn unknown(&self, key: &str, at: usize) -> Wrong {
        let what = match nearest(key, self.known.iter().copied()) {
            Some(nearest) => format!("the nearest is {nearest}"),
            None => format!("there are {}", self.known.join(", ")),
        };
        Spot(at).wrong(format!("there is no {key} here: {what}"))
    }
}

impl Spot {
    /// What is wrong here.
    pub fn wrong(self, message: impl Into<String>) -> Wrong {
        Wrong {
            at: Some(self.0),
            message: message.into(),
        }
    }
}

fn json(mut value: Value<'_>) -> Json {
    match value.take() {
        ValueInner::String(text) => text.into_owned().into(),
        ValueInner::Integer(number) => number.into(),
        ValueInner::Float(number) => number.into(),
        ValueInner::Boolean(is_true) => is_true.into(),
        ValueInner::Array(list) => list.into_iter().map(json).collect(),
        ValueInner::Table(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (name.name.into_owned(), json(value)));
            Json::Object(members.collect())
        }
    }
}

fn text(key: &str, mut value: Value<'_>) -> Result<(String, Spot), Wrong> {
    let at = Spot(value.span.start);
    match value.take() {
        ValueInner::String(text) => Ok((text.into_owned(), at)),
        _ => Err(at.wrong(format!("{key} takes a string, in quotes"))),
    }
}
