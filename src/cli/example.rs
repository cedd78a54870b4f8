//! A configuration file that has everything, made from the table of flags.

use super::file;
use super::help::HelpPage;
use super::settings::Settings;
#[cfg(feature = "uploads")]
use crate::pipeline::config::EXAMPLE as STAGES;
#[cfg(feature = "uploads")]
use crate::webhook::EXAMPLE as HOOKS;

/// How wide its comments are.
const WIDTH: usize = 96;
const HEAD: &str = "Landfall's configuration, with every setting. All are commented out, at their \
                    defaults where they have one: remove the # in front of a setting to change it. \
                    landfall check says what is wrong with the file.";
/// What stands there beside the settings, each with its title.
#[cfg(feature = "uploads")]
const SECTIONS: &[(&str, &str)] = &[("Stages", STAGES), ("Webhooks", HOOKS)];
#[cfg(not(feature = "uploads"))]
const SECTIONS: &[(&str, &str)] = &[];
const LIVE: &str = "A running server takes a new value on SIGHUP.";

/// The file.
pub fn file() -> String {
    let mut page = HelpPage::commented(WIDTH);
    page.paragraph(0, HEAD);
    let mut defaults = Settings::default();
    let mut title = "";
    for (group, flag) in file::flags() {
        if std::mem::replace(&mut title, group) != group {
            page.blank();
            page.blank();
            page.line(&format!("==== {group} ===="));
        }
        page.blank();
        page.paragraph(0, flag.help);
        if flag.is_live {
            page.paragraph(0, LIVE);
        }
        page.code(&format!("{} = {}", flag.name, flag.example(&mut defaults)));
    }
    for (title, section) in SECTIONS {
        page.blank();
        page.blank();
        page.line(&format!("==== {title} ===="));
        page.blank();
        for line in section.lines() {
            match line.strip_prefix("# ") {
                _ if line.is_empty() => page.blank(),
                Some(text) => page.paragraph(0, text),
                None => page.code(line),
            }
        }
    }
    page.into_text()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::error::{Usage, ValuePlace};
    use crate::cli::file::ConfigFile;
    use crate::pipeline::config::StagePlan;
    use crate::webhook::HookPlan;

    /// The example with every setting in force.
    fn in_force() -> String {
        let text = file();
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            _ => line,
        });
        lines.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn it_changes_nothing_as_it_is() {
        let text = file();
        let lines = || text.lines().filter(|line| !line.is_empty());
        assert!(lines().all(|line| line.starts_with('#')), "{text}");
        assert!(lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn everything_stands_in_it_and_all_of_it_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        // Of what it names, this has to be there.
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let secret = secret.display().to_string();
        let text = in_force().replace("/etc/landfall/webhook.key", &secret);
        std::fs::write(&path, text).unwrap();
        let (file, wrong) = ConfigFile::read(&path);
        assert_eq!(wrong, []);
        let mut settings = Settings::default();
        for (_, flag) in file::flags() {
            let said = file.get(flag);
            let (values, place) = said.unwrap_or_else(|| panic!("{} isn't there", flag.name));
            flag.set(&mut settings, &values, place).unwrap();
        }
        // Where a default is shown, it is the default.
        for (_, flag) in file::flags().filter(|(_, flag)| flag.has_default()) {
            let mut settings = Settings::default();
            let (values, _) = file.get(flag).unwrap();
            flag.set(&mut settings, &values, ValuePlace::Flag(flag.name))
                .unwrap();
            let defaults = format!("{:?}", Settings::default());
            assert_eq!(format!("{settings:?}"), defaults, "{}", flag.name);
        }
        let plan = StagePlan::read(Path::new(&path), &file.keys).unwrap();
        assert_eq!(plan.stages.len(), 4);
        assert_eq!(HookPlan::read(&path).unwrap().hooks.len(), 2);
        let broken = in_force().replace("retry = \"5s\"", "retry = \"5\"");
        std::fs::write(&path, broken).unwrap();
        let (file, _) = ConfigFile::read(&path);
        let retry = file::flags()
            .find(|(_, flag)| flag.name == "retry")
            .unwrap()
            .1;
        let (values, place) = file.get(retry).unwrap();
        let wrong = retry.set(&mut Settings::default(), &values, place);
        assert!(matches!(wrong, Err(Usage::Value { .. })), "{wrong:?}");
    }
}
