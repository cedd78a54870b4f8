//! For fish.

use super::{FlagValue, SHELLS, Words, about, every_flag, value, words};
use crate::cli::{COMMANDS, flags, help};

pub fn script() -> String {
    let switches = every_flag().filter(|flag| flag.is_switch());
    let switches = switches.map(|flag| format!(" --{}", flag.name));
    let mut script = BEGIN.replace(" SWITCHES", &switches.collect::<String>());
    let mut add = |command: &str, rest: &str| {
        script +=
            &format!("complete -c landfall -n 'test (__landfall_command) = {command}' {rest}\n");
    };
    let others = [("help", help::HELP), ("version", help::VERSION)];
    let commands = COMMANDS.iter().map(|command| (command.name, command.about));
    for (name, about) in commands.chain(others) {
        add("none", &format!("-a {name} -d '{}'", quote(about)));
    }
    for command in COMMANDS {
        for (_, flag) in flags::of(command.name) {
            let takes = match value(flag) {
                FlagValue::Nothing => String::new(),
                FlagValue::File => " -rF".to_owned(),
                FlagValue::Folder => " -xa '(__fish_complete_directories)'".to_owned(),
                FlagValue::OneOf(choices) => format!(" -xa '{}'", choices.join(" ")),
                FlagValue::Other => " -x".to_owned(),
            };
            let about = quote(about(flag));
            let rest = format!("-l {}{takes} -d '{about}'", flag.name);
            add(command.name, &rest);
            if command.name == "serve" {
                add("none", &rest);
            }
        }
        match words(command) {
            Words::Nothing => {}
            Words::Files => add(command.name, "-F"),
            Words::Program => add(command.name, "-xa '(__landfall_program)'"),
            Words::Shells => add(command.name, &format!("-a '{}'", SHELLS.join(" "))),
        }
    }
    script
}

/// In single quotes.
fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

const BEGIN: &str = r#"# What fish completes after landfall.
function __landfall_command
    set -l words (commandline -opc)
    if not set -q words[2]
        echo none
    else if string match -q -- '-*' $words[2]
        echo serve
    else
        echo $words[2]
    end
end
function __landfall_program
    set -l words (commandline -opc)[3..] (commandline -ct)
    while set -q words[2]
        switch $words[1]
            case --
                set -e words[1]
                break
            case SWITCHES '--*=*'
                set -e words[1]
            case '-*'
                set -e words[1..2]
            case '*'
                break
        end
    end
    set -q words[1]; or return
    set -l last $words[-1]
    set -e words[-1]
    set -l line (string escape -- $words) $last
    complete -C "$line"
end
complete -c landfall -f
complete -c landfall -l help -d 'tells the flags'
complete -c landfall -l version -d 'tells the version'
"#;
