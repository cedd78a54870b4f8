//! Manual pages, made from the tables of commands and of flags.

use super::call::Command;
use super::settings::Settings;
use super::{flags, help};

/// How wide its lines are.
const LINE: usize = 80;

/// The page of the whole program.
pub fn overview(commands: &[&Command]) -> String {
    let mut page = ManualPage::new("landfall", "the progress of jobs, streamed to browsers");
    page.macros(".SH SYNOPSIS\n.B landfall\n[COMMAND] [FLAGS]\n.SH DESCRIPTION\n");
    page.text(help::ABOUT);
    page.macros(".SH COMMANDS\n");
    for command in commands {
        page.macros(&format!(".TP\n.BR landfall\\-{} (1)\n", command.name));
        page.text(&format!("{}.", command.about));
    }
    page.macros(".TP\n.B landfall help\nCOMMAND\n.br\n");
    page.text(help::HELP);
    page.macros(".TP\n.B landfall version\n");
    page.text(help::VERSION);
    page.macros(".SH FILES\n.TP\n.I landfall.toml\n");
    page.text(
        "The server's configuration, in its working directory, or elsewhere with --config; \
         landfall check --example shows one with everything in it.",
    );
    page.macros(".SH \"SEE ALSO\"\n");
    let pages = commands.iter().map(|command| command.name);
    page.references(pages.map(|name| format!("landfall-{name}")));
    page.0
}

/// A command's page.
pub fn of(command: &Command) -> String {
    let Command { name, about, .. } = command;
    let mut page = ManualPage::new(&format!("landfall-{name}"), about);
    page.macros(".SH SYNOPSIS\n");
    for (index, usage) in command.usage.iter().enumerate() {
        let end = if index == 0 { "" } else { ".br\n" };
        page.macros(&format!("{end}.B landfall {name}\n"));
        page.text(usage);
    }
    page.macros(".SH DESCRIPTION\n");
    page.text(&format!("It {about}."));
    for text in command.text {
        page.macros(".PP\n");
        page.text(text);
    }
    page.flags(command);
    page.macros(".SH \"SEE ALSO\"\n");
    page.references(["landfall".to_owned()].into_iter());
    page.0
}

/// A page that is being written, for troff.
struct ManualPage(String);

impl ManualPage {
    fn new(name: &str, about: &str) -> ManualPage {
        let title = name.to_ascii_uppercase();
        let version = env!("CARGO_PKG_VERSION");
        let mut page = ManualPage(format!(
            ".TH {title} 1 \"\" \"landfall {version}\" \"User Commands\"\n.SH NAME\n"
        ));
        page.macros(&format!("{} \\- {about}\n", escape(name)));
        page
    }

    fn flags(&mut self, command: &Command) {
        let mut defaults = Settings::default();
        let mut title = "";
        for (group, flag) in flags::of(command.name) {
            if title.is_empty() {
                self.macros(".SH FLAGS\n");
                self.text(&help::legend(command));
            }
            if std::mem::replace(&mut title, group) != group {
                self.macros(&format!(".SS \"{group}\"\n"));
            }
            let default = flag.default_text(&mut defaults);
            let default = default.map(|text| format!(" [{text}]")).unwrap_or_default();
            let name = escape(flag.name);
            let rest = escape(&format!("{}{default}", flag.value()));
            let head = format!(".TP\n\\fB\\-\\-{name}\\fR {rest}");
            self.macros(&format!("{}\n", head.trim_end()));
            self.text(flag.help);
        }
    }

    /// As it is.
    fn macros(&mut self, lines: &str) {
        self.0 += lines;
    }

    /// A text in which nothing is meant for troff.
    fn text(&mut self, text: &str) {
        let mut lines = help::HelpPage::new(LINE);
        lines.paragraph(0, &escape(text));
        self.0 += &lines.into_text();
    }

    fn references(&mut self, pages: impl Iterator<Item = String>) {
        let pages: Vec<String> = pages
            .map(|page| format!(".BR {} (1)", escape(&page)))
            .collect();
        self.0 += &pages.join(",\n");
        self.0 += "\n";
    }
}

/// A text as troff has it. A word that begins so would be a macro at the beginning of a line.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let text = text.replace('~', "\\(ti").replace(" .", " \\&.");
    text.replace(" '", " \\&'")
}
