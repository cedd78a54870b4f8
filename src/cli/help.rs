//! Help texts, made from the tables of commands and of flags.

use super::call::Command;
use super::flags;
use super::settings::Settings;

/// Where the text below a flag begins.
const INDENT: usize = 6;
/// Narrower than this a text isn't made, and no wider than that: lines would be hard to
/// read.
const WIDTHS: (usize, usize) = (40, 100);

/// What landfall does.
pub const ABOUT: &str =
    "Landfall streams the progress of jobs to browsers over Server-Sent Events.";
/// What `landfall help COMMAND` does.
pub const HELP: &str =
    "shows a command's flags, as COMMAND --help does, or with --man its manual page";
/// What `landfall version` does.
pub const VERSION: &str = "prints the version";

/// What commands there are.
pub fn overview(commands: &[&Command], width: usize) -> String {
    let mut page = HelpPage::new(width);
    page.paragraph(0, ABOUT);
    page.line("");
    page.line("Usage:");
    for command in commands {
        let name = match command.name {
            "serve" => "[serve]",
            name => name,
        };
        for usage in command.usage {
            page.paragraph(2, &format!("landfall {name} {usage}"));
        }
        page.paragraph(INDENT, command.about);
    }
    page.paragraph(2, "landfall help [--man] COMMAND");
    page.paragraph(INDENT, HELP);
    page.paragraph(2, "landfall version");
    page.paragraph(INDENT, VERSION);
    page.text
}

/// A command's help.
pub fn of(command: &Command, width: usize) -> String {
    let mut page = HelpPage::new(width);
    let Command { name, about, .. } = command;
    page.paragraph(0, &format!("landfall {name}: {about}."));
    page.line("");
    for (index, usage) in command.usage.iter().enumerate() {
        let label = if index == 0 { "Usage:" } else { "      " };
        page.entry(0, 7, &format!("{label} landfall {name} {usage}"));
    }
    for text in command.text {
        page.line("");
        page.paragraph(0, text);
    }
    if flags::of(name).next().is_some() {
        page.line("");
        page.paragraph(0, &legend(command));
    }
    let mut defaults = Settings::default();
    let mut title = "";
    for (group, flag) in flags::of(name) {
        if std::mem::replace(&mut title, group) != group {
            page.line("");
            page.line(&format!("{group}:"));
        }
        let default = flag.default_text(&mut defaults);
        let default = default.map(|text| format!(" [{text}]")).unwrap_or_default();
        let value = flag.value();
        let space = if value.is_empty() { "" } else { " " };
        let head = format!("--{}{space}{value}{default}", flag.name);
        page.entry(2, 4, &head);
        page.paragraph(INDENT, flag.help);
    }
    page.line("");
    page.line("  --help");
    page.line("  --version");
    page.text
}

/// What the words and signs in a command's help mean.
pub fn legend(command: &Command) -> String {
    let values: Vec<String> = flags::of(command.name)
        .map(|(_, flag)| flag.value())
        .collect();
    let has = |what: &str| values.iter().any(|value| value == what);
    let mut legend = String::from("Defaults are in brackets.");
    if has("DUR") {
        legend += " DUR is a number and a unit, such as 500ms, 5s, 15m, 24h or 7d.";
    }
    if has("SIZE") {
        legend +=
            " SIZE is bytes, or a number and a unit, such as 64KiB, 2MB or 4G; K is always 1,024.";
    }
    if values.iter().any(|value| value.ends_with("...")) {
        legend += " A flag that ends with ... may be repeated, or takes a list with commas.";
    }
    let some = flags::of(command.name)
        .next()
        .map_or("help", |(_, flag)| flag.name);
    let variable = some.replace('-', "_").to_ascii_uppercase();
    legend
        + &format!(
            " Each flag has a variable in the environment: LANDFALL_{variable} for --{some}. The \
             flag wins. An empty variable is an error."
        )
}

/// A text that is being written, in lines that aren't wider than the terminal.
pub struct HelpPage {
    text: String,
    width: usize,
    /// What every line begins with.
    mark: &'static str,
}

impl HelpPage {
    /// One of lines that are so wide.
    pub fn new(width: usize) -> HelpPage {
        HelpPage {
            text: String::new(),
            width: width.clamp(WIDTHS.0, WIDTHS.1),
            mark: "",
        }
    }

    /// One of comments in a file, of so many characters a line.
    pub fn commented(width: usize) -> HelpPage {
        HelpPage {
            mark: "# ",
            ..HelpPage::new(width - 2)
        }
    }

    /// The whole of it.
    pub fn into_text(self) -> String {
        self.text
    }

    /// A line.
    pub fn line(&mut self, line: &str) {
        self.text += self.mark;
        self.text += line;
        self.text += "\n";
    }

    /// A line of nothing.
    pub fn blank(&mut self) {
        self.text += "\n";
    }

    /// A line of a file that is commented out.
    pub fn code(&mut self, line: &str) {
        self.text += "#";
        self.text += line;
        self.text += "\n";
    }

    /// A text in lines.
    pub fn paragraph(&mut self, indent: usize, text: &str) {
        self.entry(indent, indent, text);
    }

    /// A text whose first line is indented by `first`, and whose others by `rest`.
    fn entry(&mut self, first: usize, rest: usize, text: &str) {
        let mut line = " ".repeat(first);
        let mut is_empty = true;
        for word in text.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > self.width {
                self.line(line.trim_end());
                line = " ".repeat(rest);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line += word;
            is_empty = false;
        }
        self.line(line.trim_end());
    }
}
