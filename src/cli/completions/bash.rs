//! For bash, of which nothing is needed but its own commands.

use super::{FlagValue, SHELLS, Words, every_flag, value, words};
use crate::cli::{COMMANDS, flags};

pub fn script() -> String {
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let mut script = BEGIN.replace("NAMES", &names.join(" "));
    for command in COMMANDS {
        let flags = flags::of(command.name).map(|(_, flag)| format!(" --{}", flag.name));
        let words = match words(command) {
            Words::Nothing => String::new(),
            Words::Files => "files".to_owned(),
            Words::Program => "program".to_owned(),
            Words::Shells => SHELLS.join(" "),
        };
        script += &format!(
            "        {}) flags=\"--help --version{}\" words=\"{words}\" ;;\n",
            command.name,
            flags.collect::<String>()
        );
    }
    script += MIDDLE;
    for flag in every_flag() {
        let kind = match value(flag) {
            FlagValue::Nothing => "switch",
            FlagValue::File => "files",
            FlagValue::Folder => "folders",
            FlagValue::OneOf(choices) => &choices.join(" "),
            FlagValue::Other => continue,
        };
        script += &format!("        --{}) kind=\"{kind}\" ;;\n", flag.name);
    }
    script + END
}

const BEGIN: &str = r#"# What bash completes after landfall.
_landfall() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command=serve flags= words= kind= i
    COMPREPLY=()
    # --flag=value is three words to bash.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then
        _landfall_offer "NAMES help version"
        return
    fi
    [[ ${COMP_WORDS[1]} == -* ]] || command=${COMP_WORDS[1]}
    case $command in
        help) words="NAMES" ;;
"#;
const MIDDLE: &str = r#"    esac
    if [[ $words == program ]]; then
        for ((i = 2; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
                --) ((i++)); break ;;
                =) ((i++)) ;;
                -*)
                    _landfall_kind "${COMP_WORDS[i]}"
                    [[ $kind == switch || ${COMP_WORDS[i + 1]} == = ]] || ((i++))
                    ;;
                *) break ;;
            esac
        done
        if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
            _command_offset $i
            return
        elif ((i < COMP_CWORD)); then
            compopt -o default
            return
        elif ((i == COMP_CWORD)) && [[ $cur != -* ]]; then
            COMPREPLY=($(compgen -c -- "$cur"))
            return
        fi
    fi
    kind=switch
    [[ $prev != --?* ]] || _landfall_kind "$prev"
    if [[ $kind != switch ]]; then
        _landfall_offer "$kind"
    elif [[ $cur == -* ]]; then
        _landfall_offer "$flags"
    else
        _landfall_offer "$words"
    fi
}
_landfall_offer() {
    case $1 in
        files) compopt -o default ;;
        folders) compopt -o dirnames ;;
        *) COMPREPLY=($(compgen -W "$1" -- "$cur")) ;;
    esac
}
_landfall_kind() {
    case $1 in
        --help | --version) kind=switch ;;
"#;
const END: &str = "        *) kind= ;;
    esac
}
complete -F _landfall landfall
";
