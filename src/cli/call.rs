//! How a command is called: its arguments and its variables, read by the table of flags.

use std::ffi::OsString;
#[cfg(feature = "uploads")]
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use super::error::{Failure, Usage, ValuePlace};
use super::file::{self, ConfigFile};
use super::flags::{self, Flag};
use super::settings::Settings;
#[cfg(feature = "uploads")]
use crate::command::leftover;
#[cfg(feature = "cli")]
use crate::event::Malformed;
#[cfg(feature = "cli")]
use crate::event::job::JobId;
#[cfg(feature = "uploads")]
use crate::pipeline::config::StagePlan;
use crate::server::handover;
use crate::sys::nearest::nearest;
#[cfg(feature = "uploads")]
use crate::webhook::HookPlan;

/// Variables that are no flags: what the server tells the commands of stages, and the
/// server that takes its place.
const OTHER_VARIABLES: &[&str] = &[
    handover::VARIABLE,
    #[cfg(feature = "uploads")]
    leftover::MARK,
    "LANDFALL_NAME",
    "LANDFALL_CONTENT_TYPE",
    "LANDFALL_ATTEMPT",
];

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// What follows its name, a line for each form.
    pub usage: &'static [&'static str],
    /// The rest of its help, by paragraphs.
    pub text: &'static [&'static str],
    /// Whether everything from the first word on is another program's.
    pub runs_another: bool,
    /// Does it.
    pub main: fn(Call) -> Result<ExitCode, Failure>,
}

/// A call of a command.
#[derive(Debug)]
pub struct Call {
    /// What the flags, their twins and the file say.
    pub settings: Settings,
    /// What is no flag.
    pub words: Vec<OsString>,
    /// What is wrong with flags, with their twins, and with the file.
    pub wrong: Vec<Usage>,
    /// Every flag that has a value, whoever said it.
    pub given: Vec<GivenFlag>,
    /// What the file says of webhooks.
    pub webhooks: String,
    arguments: Vec<OsString>,
}

/// What was said of a flag.
#[derive(Debug)]
pub struct GivenFlag {
    /// Which, without dashes.
    pub flag: &'static str,
    /// One value, or those of a list.
    pub values: Vec<String>,
    /// Where it was said.
    pub place: ValuePlace,
}

/// What the caller wants.
#[derive(Debug)]
pub enum Wish {
    /// That the command does what it is for.
    Work(Box<Call>),
    /// Its help.
    Help,
    /// The version.
    Version,
}

/// What is on the command line.
struct CommandLine {
    given: Vec<(&'static Flag, String)>,
    words: Vec<OsString>,
}

/// Reads the arguments that follow a command's name, the environment, and the configuration
/// file where the command has one. A flag wins over its variable, and that over the file.
///
/// # Errors
/// The command isn't called as it is used. What is wrong with values stands in the call.
pub fn read(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
    variables: &[(OsString, OsString)],
) -> Result<Wish, Usage> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let line = match CommandLine::read(command, arguments.iter().cloned())? {
        Ok(line) => line,
        Err(wish) => return Ok(wish),
    };
    let names = variables.iter().filter_map(|(name, _)| name.to_str());
    let mut wrong: Vec<Usage> = names.filter_map(check_variable).collect();
    let mut settings = Settings::default();
    let file = line.read_file(command, variables, &mut settings, &mut wrong);
    let mut given = Vec::new();
    for (_, flag) in flags::of(command.name) {
        let said = match line.value(flag, variables) {
            Ok(said) => said.or_else(|| file.get(flag)),
            Err(usage) => {
                wrong.push(usage);
                None
            }
        };
        let Some((values, place)) = said else {
            continue;
        };
        wrong.extend(flag.set(&mut settings, &values, place.clone()).err());
        given.push(GivenFlag {
            flag: flag.name,
            values: values.into_iter().map(str::to_owned).collect(),
            place,
        });
    }
    #[cfg(feature = "cli")]
    settings
        .hub
        .base_path
        .clone_from(&settings.server.base_path);
    Ok(Wish::Work(Box::new(Call {
        settings,
        words: line.words,
        wrong,
        given,
        webhooks: file.webhooks,
        arguments,
    })))
}

impl Call {
    /// The same call, with what the environment and the file say now.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn again(&self, command: &Command) -> Result<Call, Vec<Usage>> {
        let variables: Vec<_> = std::env::vars_os().collect();
        match read(command, self.arguments.iter().cloned(), &variables) {
            Ok(Wish::Work(call)) if call.wrong.is_empty() => Ok(*call),
            Ok(Wish::Work(call)) => Err(call.wrong),
            Ok(_) => Err(Vec::new()),
            Err(usage) => Err(vec![usage]),
        }
    }

    /// What was said of a flag, if anything was.
    pub fn given(&self, flag: &str) -> Option<&GivenFlag> {
        self.given.iter().find(|given| given.flag == flag)
    }

    /// The words as text, `most` at most.
    ///
    /// # Errors
    /// There are more, or one isn't UTF-8.
    pub fn texts(&self, most: usize) -> Result<Vec<&str>, Usage> {
        if let Some(extra) = self.words.get(most) {
            return Err(Usage::Extra(extra.to_string_lossy().into_owned()));
        }
        let texts = self.words.iter().map(|word| word.to_str());
        let texts = texts.collect::<Option<_>>();
        texts.ok_or(Usage::NotText(ValuePlace::Word("a word")))
    }
}

#[cfg(feature = "cli")]
impl Call {
    /// The words as names of jobs, each once.
    ///
    /// # Errors
    /// One is no name.
    pub fn jobs(&self) -> Result<Vec<JobId>, Usage> {
        let mut jobs: Vec<JobId> = Vec::new();
        for word in self.texts(usize::MAX)? {
            let job = word.parse().map_err(|why: Malformed| Usage::Value {
                place: ValuePlace::Word("JOB"),
                value: word.to_owned(),
                why: why.to_string(),
            })?;
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
        Ok(jobs)
    }
}

impl CommandLine {
    /// The configuration file, where the command has one, and all that is wrong in it.
    fn read_file(
        &self,
        command: &Command,
        variables: &[(OsString, OsString)],
        settings: &mut Settings,
        wrong: &mut Vec<Usage>,
    ) -> ConfigFile {
        let Some(flag) = file::flag_of(command.name) else {
            return ConfigFile::default();
        };
        let named = self.value(flag, variables).ok().flatten();
        let named = named.and_then(|(values, _)| Some(PathBuf::from(values.last()?)));
        let there = named.or_else(|| {
            let path = PathBuf::from(file::DEFAULT);
            path.exists().then_some(path)
        });
        let Some(path) = there else {
            return ConfigFile::default();
        };
        #[cfg_attr(not(feature = "uploads"), expect(unused_mut))]
        let (mut file, mut all) = ConfigFile::read(&path);
        #[cfg(feature = "uploads")]
        add_sections(&path, &mut file, &mut all);
        wrong.append(&mut all);
        #[cfg(feature = "uploads")]
        settings.server.pipeline.beside.clone_from(&file.keys);
        settings.file = Some(path);
        file
    }

    /// What was given for a flag, or for its variable, and where.
    fn value<'a>(
        &'a self,
        flag: &Flag,
        variables: &'a [(OsString, OsString)],
    ) -> Result<Option<(Vec<&'a str>, ValuePlace)>, Usage> {
        let given = self.given.iter().filter(|(it, _)| it.name == flag.name);
        let given: Vec<&str> = given.map(|(_, value)| value.as_str()).collect();
        if !given.is_empty() {
            return Ok(Some((given, ValuePlace::Flag(flag.name))));
        }
        let variable = flag.variable();
        let Some((_, value)) = variables.iter().find(|(it, _)| *it == *variable) else {
            return Ok(None);
        };
        let place = ValuePlace::Variable(variable);
        match value.to_str() {
            Some(value) => Ok(Some((vec![value], place))),
            None => Err(Usage::NotText(place)),
        }
    }

    /// The line; or else a wish that needs nothing more.
    fn read(
        command: &Command,
        mut arguments: impl Iterator<Item = OsString>,
    ) -> Result<Result<CommandLine, Wish>, Usage> {
        let mut line = CommandLine {
            given: Vec::new(),
            words: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            match argument.to_str().unwrap_or_default() {
                "--" => {
                    line.words.extend(arguments);
                    break;
                }
                "-h" | "--help" => return Ok(Err(Wish::Help)),
                "-V" | "--version" => return Ok(Err(Wish::Version)),
                text if text.starts_with('-') && text != "-" => {
                    let given = flag(command, text, &mut arguments)?;
                    line.given.push(given);
                }
                _ => {
                    line.words.push(argument);
                    if command.runs_another {
                        line.words.extend(arguments);
                        break;
                    }
                }
            }
        }
        Ok(Ok(line))
    }
}

/// Adds what a file says of webhooks, and what is wrong in that and in its stages.
#[cfg(feature = "uploads")]
fn add_sections(path: &Path, file: &mut ConfigFile, wrong: &mut Vec<Usage>) {
    let stages = StagePlan::read(path, &file.keys).err();
    let hooks = HookPlan::read(path);
    let hooks = hooks.map(|plan| file.webhooks = format!("{plan:?}")).err();
    let others = stages.into_iter().chain(hooks).flatten();
    for usage in others.map(Usage::File) {
        // A file that can't be read is found so twice.
        if !wrong.contains(&usage) {
            wrong.push(usage);
        }
    }
}

/// A flag and its value, which may be the next argument.
fn flag(
    command: &Command,
    text: &str,
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<(&'static Flag, String), Usage> {
    let (dashed, value) = match text.split_once('=') {
        Some((dashed, value)) => (dashed, Some(value.to_owned())),
        None => (text, None),
    };
    let name = dashed.strip_prefix("--").unwrap_or_default();
    let found = flags::of(command.name).find(|(_, flag)| flag.name == name);
    let Some((_, flag)) = found else {
        let names = flags::of(command.name).map(|(_, flag)| flag.name);
        return Err(Usage::NoFlag {
            name: dashed.to_owned(),
            nearest: nearest(name, &mut names.chain(["help", "version"])),
            has_it: flags::owner(name),
        });
    };
    let value = match value {
        Some(value) => value,
        None if flag.is_switch() => "true".to_owned(),
        None => {
            let next = arguments.next();
            let next = next.ok_or(Usage::NoValue(ValuePlace::Flag(flag.name)))?;
            let text = next.into_string();
            text.map_err(|_| Usage::NotText(ValuePlace::Flag(flag.name)))?
        }
    };
    Ok((flag, value))
}

/// A variable that is nearly a flag's is a mistake, which would have a server serve
/// without what it was told. One that isn't may be anybody's: it is only told of.
fn check_variable(name: &str) -> Option<Usage> {
    let rest = name.strip_prefix("LANDFALL_")?;
    let groups = flags::GROUPS.iter().flat_map(|group| group.flags);
    let known: Vec<String> = groups.map(Flag::variable).collect();
    if OTHER_VARIABLES.contains(&name) || known.iter().any(|known| known == name) {
        return None;
    }
    let mut known = known.iter().map(|known| &known["LANDFALL_".len()..]);
    match nearest(rest, &mut known) {
        Some(nearest) => Some(Usage::NoVariable {
            name: name.to_owned(),
            nearest: format!("LANDFALL_{nearest}"),
        }),
        None => {
            warn!("no flag has the variable {name}: it is passed over");
            None
        }
    }
}
