//! What a stage goes by that runs a command.

use std::path::Path;

use super::{Need, Spot, TomlTable};
use crate::progress::Format;

/// What is run.
#[derive(Clone, Debug)]
pub struct Running {
    /// The command and its arguments, one at least. In each, `{input}`, `{output}`,
    /// `{job}`, `{name}` and `{stem}` stand for what they name. No shell reads them.
    pub run: Vec<String>,
    /// The name of the file that `{output}` names, in the stage's folder. Default: `output`.
    pub output: String,
    /// The most that the command may write into the stage's folder, in bytes. It is looked at
    /// twice a second. Default: 16 GiB.
    pub max_output: u64,
    /// How its output is to be understood. Default: auto.
    pub format: Format,
}

/// The default of `max_output`.
pub const MAX_OUTPUT_BYTES: u64 = 16 << 30;

impl Running {
    pub(super) fn read(run: Vec<String>, at: Spot, table: &mut TomlTable<'_>) -> Running {
        match run.first() {
            Some(program) if !program.is_empty() => table.need(at, Need::Program(program.clone())),
            _ => table.refuse(
                at,
                "run begins with the command, as [\"convert\", \"{input}\"]",
            ),
        }
        if run.iter().any(|argument| argument.contains('\0')) {
            table.refuse(at, "an argument can't hold NUL");
        }
        let mut options = Running {
            run,
            output: "output".to_owned(),
            max_output: MAX_OUTPUT_BYTES,
            format: Format::Auto,
        };
        if let Some((output, at)) = table.text("output") {
            let is_name = Path::new(&output)
                .file_name()
                .is_some_and(|name| *name == *output);
            if !is_name || output.contains('\0') {
                table.refuse(at, "output is a file name without a folder, as \"out.jpg\"");
            }
            options.output = output;
        }
        if let Some(size) = table.size("max_output") {
            options.max_output = size;
        }
        if let Some((format, at)) = table.text("format") {
            match format.as_str() {
                "auto" => options.format = Format::Auto,
                "number" => options.format = Format::Number,
                _ => table.refuse(at, "format is \"auto\" or \"number\""),
            }
        }
        options
    }
}
