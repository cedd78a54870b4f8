//! The description, and what it says of answers.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::http::Answer;

/// Every method that a path may have.
pub const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE",
];

/// `src/routes/openapi.json`.
pub struct Description(pub Value);

impl Description {
    pub fn new() -> Description {
        let text = include_str!("../../src/routes/openapi.json");
        Description(serde_json::from_str(text).unwrap())
    }

    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).expect(pointer)
    }

    /// What a reference stands for, or the value itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolve(self.at(&reference[1..])),
            None => value,
        }
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        object(self.at("/paths")).keys().map(String::as_str)
    }

    /// The operations of a path by method, and whether each is public.
    fn operations(&self, path: &str) -> impl Iterator<Item = (&'static str, &Value, bool)> {
        let path = &self.at("/paths")[path];
        let is_public = |value: &Value| value.get("servers").is_none();
        METHODS.into_iter().filter_map(move |method| {
            let operation = path.get(method.to_lowercase())?;
            Some((method, operation, is_public(path) && is_public(operation)))
        })
    }

    pub fn methods(&self, path: &str, on_public: bool) -> BTreeSet<&'static str> {
        let operations = self.operations(path);
        let served = operations.filter(|(_, _, is_public)| *is_public || !on_public);
        served.map(|(method, ..)| method).collect()
    }

    /// Every status that is described by its number.
    pub fn statuses(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for path in self.paths() {
            for (method, operation, _) in self.operations(path) {
                let statuses = object(&operation["responses"]).keys();
                let numbers = statuses.filter(|status| *status != "default");
                all.extend(numbers.map(|status| format!("{method} {path} {status}")));
            }
        }
        all
    }

    /// Holds an answer against the response of its status.
    pub fn check(&self, what: &str, path: &str, method: &str, answer: &Answer) {
        let operation = &self.at("/paths")[path][method.to_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        assert!(
            !response.is_null(),
            "{what}: {} isn't described",
            answer.status
        );
        self.check_response(what, self.resolve(response), method, answer);
    }

    fn check_response(&self, what: &str, response: &Value, method: &str, answer: &Answer) {
        for name in response.get("headers").map(object).into_iter().flatten() {
            assert!(answer.field(name.0).is_some(), "{what}: no {}", name.0);
        }
        let Some(content) = response.get("content").map(object) else {
            assert_eq!(answer.field("Content-Type"), None, "{what}");
            assert_eq!(answer.body, "", "{what}");
            return;
        };
        let kind = answer.field("Content-Type").expect(what);
        let media = content.get(kind).expect(kind);
        if method == "HEAD" {
            assert_eq!(answer.body, "", "{what}");
            return;
        }
        let body = match kind {
            "application/json" => answer.json(),
            _ => json!(answer.body),
        };
        if let Err(why) = self.validate(&media["schema"], &body) {
            panic!("{what}: {why}: {body}");
        }
    }

    /// Holds an answer against the response for what breaks HTTP.
    pub fn check_refusal(&self, what: &str, answer: &Answer) {
        let response = self.at("/components/responses/Refused");
        let statuses = response["description"].as_str().unwrap();
        let status = answer.status.to_string();
        assert!(statuses.contains(&status), "{what}: {status}");
        let method = what.split(' ').next().unwrap();
        self.check_response(what, response, method, answer);
    }

    /// Whether `value` is as `schema` says: as much of JSON Schema as is used here, and a
    /// panic for what isn't known.
    pub fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        for (keyword, rule) in object(schema) {
            let fits = match keyword.as_str() {
                "$ref" => {
                    self.validate(self.at(&rule.as_str().unwrap()[1..]), value)?;
                    true
                }
                "not" => self.validate(rule, value).is_err(),
                "description" | "format" | "default" => true,
                "type" => types(rule).any(|name| has_type(value, name)),
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
                "pattern" => value
                    .as_str()
                    .is_none_or(|text| fits_pattern(rule.as_str().unwrap(), text)),
                "required" => value.as_object().is_none_or(|members| {
                    let mut names = rule.as_array().unwrap().iter();
                    names.all(|name| members.contains_key(name.as_str().unwrap()))
                }),
                "properties" => {
                    for (name, member) in value.as_object().into_iter().flatten() {
                        if let Some(schema) = rule.get(name) {
                            self.validate(schema, member)
                                .map_err(|why| format!("{name}: {why}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" if *rule == json!(false) => {
                    let known = &schema["properties"];
                    let mut members = value.as_object().into_iter().flatten();
                    members.all(|(name, _)| known.get(name).is_some())
                }
                "items" => {
                    let mut items = value.as_array().into_iter().flatten();
                    items.try_for_each(|item| self.validate(rule, item))?;
                    true
                }
                "oneOf" => {
                    let schemas = rule.as_array().unwrap().iter();
                    let fitting = schemas.filter(|schema| self.validate(schema, value).is_ok());
                    fitting.count() == 1
                }
                unknown => panic!("the keyword {unknown} isn't known to this test"),
            };
            if !fits {
                return Err(format!("{keyword}: {rule}"));
            }
        }
        Ok(())
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

/// `"type"` is a name or several.
fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten();
    several.chain([rule]).filter_map(Value::as_str)
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        unknown => panic!("the type {unknown} isn't known to this test"),
    }
}

/// Patterns here are one class of characters and how many: `^[a-z]{1,64}$`.
fn fits_pattern(pattern: &str, text: &str) -> bool {
    let (class, range) = pattern
        .strip_prefix("^[")
        .and_then(|rest| rest.strip_suffix("}$"))
        .and_then(|rest| rest.split_once("]{"))
        .expect(pattern);
    let (least, most) = range.split_once(',').expect(pattern);
    let class: Vec<char> = class.chars().collect();
    let fits = |c: char| {
        let is_between = |w: &[char]| w[1] == '-' && (w[0]..=w[2]).contains(&c);
        // A last "-" is itself.
        class.windows(3).any(is_between)
            || c == class[class.len() - 1]
            || class.contains(&c) && c != '-'
    };
    let length = text.chars().count();
    (least.parse().unwrap()..=most.parse().unwrap()).contains(&length) && text.chars().all(fits)
}
