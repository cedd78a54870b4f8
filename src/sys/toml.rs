//! A table of the file, of which every key is used or refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use toml_span::value::{Value, ValueInner};

use super::nearest::nearest;
use super::order::sort_by_key;
use super::units::{self, UnitError};

/// A table. What is wrong with it is gathered, so that all of it can be said at once.
pub struct TomlTable<'a> {
    members: toml_span::value::Table<'a>,
    at: Spot,
    known: Vec<&'static str>,
    wrong: Vec<Wrong>,
    needs: Vec<(Spot, Need)>,
}

/// A place in the file.
#[derive(Clone, Copy, Debug)]
pub struct Spot(usize);

/// Something outside of the file that has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A program that can be run: a path, or a name that is looked for in `PATH`.
    Program(String),
    /// A folder that can be written to, or made.
    Folder(PathBuf),
    /// A folder that is there already, and can be written to.
    Place(PathBuf),
    /// A file or a folder that can be read.
    Readable(PathBuf),
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Wrong {
    /// How many bytes are before it.
    pub at: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl<'a> TomlTable<'a> {
    /// The whole file.
    pub fn parse(text: &'a str) -> Result<TomlTable<'a>, Wrong> {
        let mut value = toml_span::parse(text)
            .map_err(|error| Spot(error.span.start.min(text.len())).wrong(error.to_string()))?;
        TomlTable::of(&mut value).ok_or_else(|| Spot(0).wrong("the file is no table"))
    }

    /// Where it begins.
    pub fn at(&self) -> Spot {
        self.at
    }

    /// The keys that there may be.
    #[cfg(test)]
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Says what is wrong somewhere in it.
    pub fn refuse(&mut self, at: Spot, message: impl Into<String>) {
        self.wrong.push(at.wrong(message));
    }

    /// Says what has to be there for what stands at a place.
    pub fn need(&mut self, at: Spot, need: Need) {
        self.needs.push((at, need));
    }

    /// What is wrong with it, and what it needs.
    pub fn into_findings(self) -> (Vec<Wrong>, Vec<(Spot, Need)>) {
        (self.wrong, self.needs)
    }

    /// Says that there are no keys but these, and those that others read.
    pub fn only(&mut self, known: &[&'static str], others: &[String]) {
        self.known.extend(known);
        let is_known = |key: &str| known.contains(&key) || others.iter().any(|other| other == key);
        self.refuse_keys(|key| !is_known(key));
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        self.members.keys().any(|it| it.name == key)
    }

    /// The tables of `[[key]]`.
    pub fn tables(&mut self, key: &'static str) -> Vec<TomlTable<'a>> {
        let Some(mut value) = self.take(key) else {
            return Vec::new();
        };
        let at = Spot(value.span.start);
        let message = format!("{key} is a list of tables: begin each with [[{key}]]");
        let ValueInner::Array(values) = value.take() else {
            self.refuse(at, message);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for mut value in values {
            match TomlTable::of(&mut value) {
                Some(table) => tables.push(table),
                None => self.refuse(at, message.as_str()),
            }
        }
        tables
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Option<(String, Spot)> {
        let value = self.take(key)?;
        self.as_text(key, value)
    }

    /// A list of strings.
    pub fn list(&mut self, key: &'static str) -> Option<(Vec<String>, Spot)> {
        let mut value = self.take(key)?;
        let at = Spot(value.span.start);
        let ValueInner::Array(values) = value.take() else {
            let message = format!("{key} is a list of strings, as [\"a\", \"b\"]");
            self.refuse(at, message);
            return None;
        };
        let mut texts = Vec::new();
        for value in values {
            texts.push(self.as_text(key, value)?.0);
        }
        Some((texts, at))
    }

    /// Strings by their names, in a table of their own.
    pub fn texts(&mut self, key: &'static str) -> Vec<(String, String, Spot)> {
        let Some(mut value) = self.take(key) else {
            return Vec::new();
        };
        let at = Spot(value.span.start);
        let ValueInner::Table(members) = value.take() else {
            self.refuse(at, format!("{key} is a table, as {{ Name = \"value\" }}"));
            return Vec::new();
        };
        let mut members: Vec<_> = members.into_iter().collect();
        sort_by_key(&mut members, |(name, _)| name.span.start);
        let mut texts = Vec::new();
        for (name, value) in members {
            if let Some((value, at)) = self.as_text(&format!("{key}: {}", name.name), value) {
                texts.push((name.name.into_owned(), value, at));
            }
        }
        texts
    }

    /// JSON: as a table, or as a string that holds it.
    pub fn json(&mut self, key: &'static str) -> Option<(Json, Spot)> {
        let value = self.take(key)?;
        let at = Spot(value.span.start);
        let json = match json(value) {
            Json::String(text) => serde_json::from_slice(text.as_bytes()),
            json => Ok(json),
        };
        match json {
            Ok(json) => Some((json, at)),
            Err(error) => {
                self.refuse(at, format!("{key} is no JSON: {error}"));
                None
            }
        }
    }

    /// Where a key's value is; the table itself where there is none.
    pub fn spot(&self, key: &str) -> Spot {
        let mut members = self.members.iter();
        let found = members.find(|(name, _)| name.name == key);
        found.map_or(self.at, |(_, value)| Spot(value.span.start))
    }

    /// A whole number in these bounds.
    pub fn integer(&mut self, key: &'static str, min: i64, max: i64) -> Option<i64> {
        let value = self.take(key)?;
        let number = value
            .as_integer()
            .filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let message = format!("{key} is a whole number from {min} to {max}");
            self.refuse(Spot(value.span.start), message);
        }
        number
    }

    /// Yes or no.
    pub fn switch(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let is_on = value.as_bool();
        if is_on.is_none() {
            self.refuse(Spot(value.span.start), format!("{key} is true or false"));
        }
        is_on
    }

    /// A duration, as `"15m"`.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let (text, at) = self.text(key)?;
        let duration = units::duration(&text).ok().filter(|it| !it.is_zero());
        if duration.is_none() {
            self.refuse(at, format!("{key} is {}", UnitError::NotADuration));
        }
        duration
    }

    /// A size in bytes, as `"2GiB"`.
    pub fn size(&mut self, key: &'static str) -> Option<u64> {
        let (text, at) = self.text(key)?;
        let size = units::size(&text).ok().filter(|size| *size > 0);
        if size.is_none() {
            self.refuse(at, format!("{key} is {}", UnitError::NotASize));
        }
        size
    }

    /// Refuses what nobody asked for.
    pub fn finish(&mut self) {
        self.refuse_keys(|_| true);
    }

    fn refuse_keys(&mut self, is_strange: impl Fn(&str) -> bool) {
        let strange = self.members.keys().filter(|key| is_strange(&key.name));
        let strange: Vec<_> = strange
            .map(|key| self.unknown(&key.name, key.span.start))
            .collect();
        self.wrong.extend(strange);
    }

    fn as_text(&mut self, key: &str, mut value: Value<'_>) -> Option<(String, Spot)> {
        let at = Spot(value.span.start);
        match value.take() {
            ValueInner::String(text) => Some((text.into_owned(), at)),
            _ => {
                self.refuse(at, format!("{key} takes a string, in quotes"));
                None
            }
        }
    }

    fn of(value: &mut Value<'a>) -> Option<TomlTable<'a>> {
        let at = Spot(value.span.start);
        match value.take() {
            ValueInner::Table(members) => Some(TomlTable {
                members,
                at,
                known: Vec::new(),
                wrong: Vec::new(),
                needs: Vec::new(),
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
        let what = match nearest(key, &mut self.known.iter().copied()) {
            Some(nearest) => format!("the nearest is {nearest}"),
            None => format!("there are {}", self.known.join(", ")),
        };
        Spot(at).wrong(format!("there is no {key} here: {what}"))
    }
}

/// What is wrong with a file, each with its line and in their order.
pub type WrongLines = Vec<(usize, String)>;

/// Reads a file. Blocks for the disk.
///
/// # Errors
/// It can't be read, or says something that can't be: all of it, with the file's name.
pub fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, WrongLines>,
) -> Result<T, Vec<String>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{name}: {error}")])?;
    parse(&text).map_err(|wrong| {
        let wrong = wrong.into_iter();
        let named = wrong.map(|(line, message)| format!("{name}:{line}: {message}"));
        named.collect()
    })
}

/// What is wrong with a text, by its lines.
pub fn in_lines(text: &str, mut wrong: Vec<Wrong>) -> WrongLines {
    sort_by_key(&mut wrong, |wrong| wrong.at);
    let wrong = wrong.into_iter();
    let lines = wrong.map(|Wrong { at, message }| (line(text, at), message));
    lines.collect()
}

/// The line that a place is in.
pub fn line(text: &str, at: usize) -> usize {
    // A place may be within a character.
    let before = &text.as_bytes()[..at.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

impl Spot {
    /// How many bytes are before it.
    pub fn offset(self) -> usize {
        self.0
    }

    /// What is wrong here.
    fn wrong(self, message: impl Into<String>) -> Wrong {
        Wrong {
            at: self.0,
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
            // Not collected: that would sort, by code of its own.
            let mut object = serde_json::Map::new();
            for (name, value) in members {
                object.insert(name.name.into_owned(), json(value));
            }
            Json::Object(object)
        }
    }
}
