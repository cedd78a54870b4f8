//! For zsh, as a function of its completion system.

use super::{FlagValue, SHELLS, Words, about, value, words};
use crate::cli::{COMMANDS, flags, help};

pub fn script() -> String {
    let mut script = String::from(BEGIN);
    let others = [("help", help::HELP), ("version", help::VERSION)];
    let commands = COMMANDS.iter().map(|command| (command.name, command.about));
    for (name, about) in commands.chain(others) {
        script += &format!("            '{name}:{}'\n", quote(about));
    }
    script += MIDDLE;
    for command in COMMANDS {
        script += &format!("        {}) _arguments -S", command.name);
        for (_, flag) in flags::of(command.name) {
            let star = if flag.is_list() { "*" } else { "" };
            let name = flag.name;
            let about = quote(about(flag));
            let label = flag.value();
            let label = label.trim_end_matches("...");
            let (equals, value) = match value(flag) {
                FlagValue::Nothing => ("", String::new()),
                FlagValue::File => ("=", format!(":{label}:_files")),
                FlagValue::Folder => ("=", format!(":{label}:_files -/")),
                FlagValue::OneOf(choices) => ("=", format!(":{label}:({})", choices.join(" "))),
                FlagValue::Other => ("=", format!(":{label}: ")),
            };
            script += &format!(" \\\n            '{star}--{name}{equals}[{about}]{value}'");
        }
        script += match words(command) {
            Words::Nothing => "",
            Words::Files => " \\\n            '*:file:_files'",
            Words::Program => {
                " \\\n            '(-)1:command:_command_names -e' '*::argument:_normal'"
            }
            Words::Shells => " \\\n            \"1:shell:(@)\"",
        }
        .replace('@', &SHELLS.join(" "))
        .as_str();
        script += " \\\n            '--help[tells the flags]' '--version[tells the version]' ;;\n";
    }
    script + END
}

/// In single quotes, where brackets and colons are the description's own.
fn quote(text: &str) -> String {
    let text = text.replace('\'', "'\\''").replace(':', "\\:");
    text.replace('[', "\\[").replace(']', "\\]")
}

const BEGIN: &str = r#"#compdef landfall
# What zsh completes after landfall.
_landfall() {
    local command=serve
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        local -a commands=(
"#;
const MIDDLE: &str = r#"        )
        _describe command commands
        return
    fi
    if [[ $words[2] != -* ]]; then
        command=$words[2]
        shift words
        (( CURRENT-- ))
    fi
    case $command in
"#;
const END: &str = r#"    esac
}
if [[ $funcstack[1] == _landfall ]]; then
    _landfall "$@"
else
    compdef _landfall landfall
fi
"#;
