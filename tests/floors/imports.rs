//! What each file of a crate takes from which other: enough of Rust's grammar for that,
//! and of its rules for names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module's path from the root, which is empty: `["hub", "life"]`.
pub type Module = Vec<String>;

/// The files of a crate.
#[derive(Default)]
pub struct Tree {
    files: BTreeMap<Module, File>,
}

/// A file takes something from another.
#[derive(Clone, Debug)]
pub struct Import {
    pub from: Module,
    pub to: Module,
    /// `src/hub/life.rs:12`.
    pub place: String,
    /// As it is written: `crate::event::job::JobId`.
    pub path: String,
}

struct File {
    name: String,
    /// What its uses bring in, by the name that it has here.
    names: BTreeMap<String, Vec<String>>,
    paths: Vec<(Vec<String>, usize)>,
    text: String,
}

impl Tree {
    /// Reads every `.rs` file below a directory.
    pub fn read(source: &Path) -> Tree {
        let mut tree = Tree::default();
        let mut tests = BTreeSet::new();
        let mut directories = vec![source.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let inner = path.strip_prefix(source).unwrap();
                    tests.extend(tree.add(&inner.display().to_string(), &text));
                }
            }
        }
        tree.files
            .retain(|module, _| !tests.iter().any(|test: &Module| module.starts_with(test)));
        tree
    }

    /// Adds a file, by its path below `src`. Returns the modules that are tests' alone.
    pub fn add(&mut self, path: &str, text: &str) -> Vec<Module> {
        let stem = path.strip_suffix(".rs").unwrap();
        let mut module: Module = stem.split('/').map(str::to_owned).collect();
        let last = module.last().map(String::as_str);
        if matches!(last, Some("mod" | "lib")) || stem == "main" {
            module.pop();
        }
        let (text, tests) = without_tests(&without_comments_and_strings(text));
        let (names, paths) = paths(&text);
        let tests = tests.into_iter().map(|name| joined(&module, &name));
        let tests = tests.collect();
        let name = format!("src/{path}");
        // The root's two files are one module: its names are those of the library.
        let paths = paths.into_iter();
        let file = self.files.entry(module).or_insert(File {
            name,
            names: BTreeMap::new(),
            paths: Vec::new(),
            text: String::new(),
        });
        file.names.extend(names);
        file.paths.extend(paths);
        file.text += &text;
        tests
    }

    /// Everything that one file takes from another.
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (module, file) in &self.files {
            for (path, line) in &file.paths {
                let Some(to) = self.owner(module, path, 0) else {
                    continue;
                };
                if to != *module {
                    imports.push(Import {
                        from: module.clone(),
                        to,
                        place: format!("{}:{line}", file.name),
                        path: path.join("::"),
                    });
                }
            }
        }
        imports
    }

    /// Where a room's code has one of `words`, tests and comments apart.
    pub fn mentions(&self, room: &str, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (module, file) in &self.files {
            if module.first().map(String::as_str) != Some(room) {
                continue;
            }
            for (line, text) in (1..).zip(file.text.lines()) {
                let words = words.iter().filter(|word| text.contains(**word));
                found.extend(words.map(|word| format!("{}:{line}: {word}", file.name)));
            }
        }
        found
    }

    /// The names of the modules in the root.
    pub fn rooms(&self) -> BTreeSet<&str> {
        let firsts = self.files.keys().filter_map(|module| module.first());
        firsts.map(String::as_str).collect()
    }

    /// The file in which what a path names in `module` is written. None for other crates.
    fn owner(&self, module: &[String], path: &[String], depth: usize) -> Option<Module> {
        // A name that is brought in from where it is brought in, and so on.
        if depth > 16 {
            return None;
        }
        let mut at = match path[0].as_str() {
            "crate" => Module::new(),
            "self" => module.to_vec(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            first => return self.named(module, first, &path[1..], depth),
        };
        for (index, segment) in path.iter().enumerate().skip(1) {
            if segment == "super" {
                at.pop()?;
            } else if segment != "self" {
                return self.named(&at, segment, &path[index + 1..], depth).or({
                    // An item of the module itself.
                    Some(at)
                });
            }
        }
        Some(at)
    }

    /// The same for a name in a module, and what follows it.
    fn named(
        &self,
        module: &[String],
        name: &str,
        rest: &[String],
        depth: usize,
    ) -> Option<Module> {
        let inner = joined(module, name);
        if self.files.contains_key(&inner) {
            return match rest.first() {
                None => Some(inner),
                Some(next) => self
                    .named(&inner, next, &rest[1..], depth + 1)
                    .or(Some(inner)),
            };
        }
        let brought = self.files.get(module)?.names.get(name)?;
        // `use journal::Journal` beside `mod journal`: not a name that means itself.
        if brought[0] == name && brought.len() == 1 {
            return None;
        }
        let path: Vec<String> = brought.iter().chain(rest).cloned().collect();
        self.owner(module, &path, depth + 1)
    }
}

fn joined(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The text with nothing but spaces in comments, strings and characters. Lines stay.
fn without_comments_and_strings(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let blank = |out: &mut String, from: usize, to: usize| {
        let blanked = bytes[from..to].iter();
        out.extend(blanked.map(|&c| if c == '\n' { '\n' } else { ' ' }));
    };
    let starts = |at: usize, with: &str| {
        let found = bytes[at..].iter().take(with.len());
        found.copied().eq(with.chars())
    };
    let find = |from: usize, what: &str| {
        let mut places = from..bytes.len();
        places
            .find(|&at| starts(at, what))
            .map_or(bytes.len(), |at| at + what.len())
    };
    while at < bytes.len() {
        let end = if starts(at, "//") {
            find(at, "\n") - 1
        } else if starts(at, "/*") {
            find(at, "*/")
        } else if bytes[at] == '"' {
            let mut end = at + 1;
            while bytes.get(end).is_some_and(|&c| c != '"') {
                end += if bytes[end] == '\\' { 2 } else { 1 };
            }
            end + 1
        } else if let Some(hashes) = raw_string(&bytes[at..])
            && !out.ends_with(is_of_name)
        {
            let start = find(at, "\"");
            find(start, &format!("\"{}", "#".repeat(hashes)))
        } else if bytes[at] == '\'' && bytes.get(at + 1) == Some(&'\\') {
            find(at + 3, "'")
        } else if bytes[at] == '\'' && bytes.get(at + 2) == Some(&'\'') {
            at + 3
        } else {
            out.push(bytes[at]);
            at += 1;
            continue;
        };
        let end = end.min(bytes.len());
        blank(&mut out, at, end);
        at = end;
    }
    out
}

/// How many `#` the raw string has that begins here.
fn raw_string(text: &[char]) -> Option<usize> {
    let text = text.strip_prefix(&['b']).unwrap_or(text);
    let text = text.strip_prefix(&['r'])?;
    let hashes = text.iter().take_while(|&&c| c == '#').count();
    (text.get(hashes) == Some(&'"')).then_some(hashes)
}

/// The text without the items that only tests have, and the names of those of them that
/// are modules in files of their own.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut modules = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        out += before;
        let (item, after) = item.split_at(item_length(item));
        if let Some((_, name)) = item.trim_end().split_once("mod ")
            && let Some(name) = name.strip_suffix(';')
        {
            modules.push(name.to_owned());
        }
        out.extend(item.chars().filter(|&c| c == '\n'));
        rest = after;
    }
    (out + rest, modules)
}

/// How long an item is: to its semicolon, or the end of its braces.
fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

type Names = BTreeMap<String, Vec<String>>;
type Paths = Vec<(Vec<String>, usize)>;

/// The names that uses bring in, and every path that begins within the crate, or with a
/// use, with its line.
fn paths(text: &str) -> (Names, Paths) {
    let tokens = tokens(text);
    let mut names = Names::new();
    let mut found = Paths::new();
    // The depths of braces at which modules within the file begin.
    let (mut inner, mut depth) = (Vec::new(), 0);
    let mut at = 0;
    while at < tokens.len() {
        let (token, line) = tokens[at];
        let next = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.0);
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inner.pop_if(|began| *began == depth);
            }
            "mod" if next(2) == "{" => inner.push(depth),
            "use" => {
                let mut uses = Vec::new();
                at = uses_of(&tokens, at + 1, &[], &mut uses);
                for (name, path, line) in uses {
                    if inner.is_empty() {
                        names.insert(name, path.clone());
                    }
                    found.extend(without_inner(path, inner.len()).map(|path| (path, line)));
                }
                continue;
            }
            "crate" | "super" | "self" if next(1) == "::" => {
                let mut path = vec![token.to_owned()];
                while tokens.get(at + 1).map(|token| token.0) == Some("::")
                    && let Some((name, _)) = tokens.get(at + 2)
                    && name.starts_with(is_of_name)
                {
                    path.push((*name).to_owned());
                    at += 2;
                }
                found.extend(without_inner(path, inner.len()).map(|path| (path, line)));
            }
            _ => {}
        }
        at += 1;
    }
    (names, found)
}

/// The path as it would be outside the modules within its file. None where it doesn't
/// lead out of them.
fn without_inner(mut path: Vec<String>, inner: usize) -> Option<Vec<String>> {
    if path[0] != "super" || inner == 0 {
        return Some(path);
    }
    let supers = path.iter().take_while(|part| *part == "super").count();
    if supers < inner {
        return None;
    }
    path.drain(..inner);
    if supers == inner {
        path.insert(0, "self".to_owned());
    }
    Some(path)
}

/// Reads the tree of a use from `at`, and returns where it ends.
fn uses_of(
    tokens: &[(&str, usize)],
    mut at: usize,
    before: &[String],
    uses: &mut Vec<(String, Vec<String>, usize)>,
) -> usize {
    let mut path = before.to_vec();
    let mut line = 0;
    while let Some(&(token, its_line)) = tokens.get(at) {
        match token {
            "::" => {}
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.0 != "}") {
                    at = uses_of(tokens, at, &path, uses);
                    if tokens.get(at).is_some_and(|token| token.0 == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => {
                let name = tokens.get(at + 1).map_or("", |token| token.0);
                uses.push((name.to_owned(), path, line));
                return at + 2;
            }
            "*" => {
                uses.push((format!("{}::*", path.join("::")), path, its_line));
                return at + 1;
            }
            name if name.starts_with(is_of_name) => {
                line = its_line;
                if name != "self" || path.is_empty() {
                    path.push(name.to_owned());
                }
            }
            _ => break,
        }
        at += 1;
    }
    if let Some(name) = path.last() {
        uses.push((name.clone(), path.clone(), line));
    }
    at
}

/// Names, `::`, and every other character by itself, each with its line.
fn tokens(text: &str) -> Vec<(&str, usize)> {
    let mut tokens = Vec::new();
    for (line, mut text) in (1..).zip(text.lines()) {
        while let Some(first) = text.chars().next() {
            let length = if is_of_name(first) {
                text.find(|c| !is_of_name(c)).unwrap_or(text.len())
            } else if text.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, rest) = text.split_at(length);
            if !first.is_whitespace() {
                tokens.push((token, line));
            }
            text = rest;
        }
    }
    tokens
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
