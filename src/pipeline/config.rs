//! `landfall.toml`: which stages there are, in what order, and how each is run.

mod cage;
mod running;
mod scanning;
mod storing;
mod transcoding;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use running::{MAX_OUTPUT_BYTES, Running};
pub use scanning::{Mismatch, Scanning};
#[cfg(feature = "s3")]
pub use storing::S3Store;
pub use storing::Storing;

pub use transcoding::Transcoding;

use super::environment;
use crate::sys::toml::{self, Need, Spot, TomlTable, Wrong, WrongLines, in_lines};

/// The stages that every file goes through.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// In this order; one at least.
    pub stages: Vec<Stage>,
    /// What has to be there for what the file says, each with its line.
    pub needs: Vec<(usize, Need)>,
}

/// A stage, and how it is run.
#[derive(Clone, Debug)]
pub struct Stage {
    /// 1 to 64 of a-z 0-9 _ -, and no other stage's.
    pub name: String,
    /// What it does.
    pub kind: StageKind,
    /// How many files are in it at once; more wait. Default: 1 for transcoding and commands,
    /// 2 for scanning and storing.
    pub concurrency: usize,
    /// How long it may take for a file; `error` beyond it. Default: 1 h for transcoding and
    /// commands, 10 min for scanning and storing.
    pub timeout: Duration,
    /// How often it is tried again after a failure that may pass, with waits that double
    /// from 1 s to 30 s. Default: 3 for scanning and storing, 0 for the rest.
    pub retries: u32,
    /// Its nice level, from 0 to 19. Default: 10 for transcoding, 0 for the rest.
    pub nice: u8,
    /// What SIGTERM gives a command before SIGKILL. Default: 5 s.
    pub grace: Duration,
    /// The names of the server's variables that its commands get as well. Default: none; they
    /// always get PATH, HOME and the locale.
    pub env: Vec<String>,
    /// What its commands may touch and take.
    pub cage: cage::CageOptions,
    /// Where its temporary folders are made. Default: `work` in the data directory.
    pub output_dir: Option<PathBuf>,
}

/// What a stage does.
#[derive(Clone, Debug)]
pub enum StageKind {
    /// Looks at the file.
    Scan(Scanning),
    /// Makes another of it with ffmpeg.
    Transcode(Transcoding),
    /// Keeps it.
    Store(Storing),
    /// Runs a command.
    Command(Running),
}

/// A stage of each kind, with everything that can be said of it.
pub const EXAMPLE: &str = include_str!("config/example.toml");

const NAME_MAX_BYTES: usize = 64;
/// More threads than this do a small host no good.
const CONCURRENCY_MAX: i64 = 64;
const STAGES_MAX: usize = 32;

impl Default for StagePlan {
    /// Scanning, transcoding and storing, with what is there.
    fn default() -> StagePlan {
        let stage = |name: &str| Stage::built_in(name).expect("a built-in stage");
        StagePlan {
            stages: ["scanning", "transcoding", "storing"].map(stage).to_vec(),
            needs: Vec::new(),
        }
    }
}

impl StagePlan {
    /// Reads a file. What is `beside` the stages is passed over: others read it. Blocks for
    /// the disk.
    ///
    /// # Errors
    /// It can't be read, or says something that can't be: all of it, with the file's name.
    pub fn read(path: &Path, beside: &[String]) -> Result<StagePlan, Vec<String>> {
        toml::read(path, |text| StagePlan::parse(text, beside))
    }

    /// Reads the text of a file. One that names no stages has the default ones.
    ///
    /// # Errors
    /// It isn't TOML, or says something that can't be: each line, and what would be right.
    pub fn parse(text: &str, beside: &[String]) -> Result<StagePlan, WrongLines> {
        let mut document = TomlTable::parse(text).map_err(|wrong| in_lines(text, vec![wrong]))?;
        document.only(&["stage", "webhook"], beside);
        let has_stages = document.has("stage");
        let tables = document.tables("stage");
        let counted = tables.len();
        let (mut wrong, _) = document.into_findings();
        let mut plan = StagePlan {
            stages: Vec::new(),
            needs: Vec::new(),
        };
        for table in tables {
            plan.add(table, &mut wrong, |at| toml::line(text, at));
        }
        if has_stages && wrong.is_empty() && !(1..=STAGES_MAX).contains(&counted) {
            wrong.push(Wrong {
                at: text.find("stage").unwrap_or(0),
                message: format!(
                    "{counted} stages: there must be 1 to {STAGES_MAX}, each begun with [[stage]] \
                     and its name, as name = \"scanning\""
                ),
            });
        }
        match wrong.is_empty() {
            false => Err(in_lines(text, wrong)),
            true if has_stages => Ok(plan),
            true => Ok(StagePlan::default()),
        }
    }

    fn add(
        &mut self,
        mut table: TomlTable<'_>,
        wrong: &mut Vec<Wrong>,
        line: impl Fn(usize) -> usize,
    ) {
        let at = table.at();
        let stage = Stage::read(&mut table);
        if let Some(Stage { name, .. }) = &stage
            && self.stages.iter().any(|stage| stage.name == *name)
        {
            let message = format!("there are two stages {name:?}: give each its own name");
            table.refuse(at, message);
        }
        if let Some(StageKind::Store(_)) = self.stages.last().map(|stage| &stage.kind) {
            table.refuse(at, "storing is the last stage: put this one before it");
        }
        self.stages.extend(stage);
        let (found, needs) = table.into_findings();
        wrong.extend(found);
        let needs = needs.into_iter();
        self.needs
            .extend(needs.map(|(at, need)| (line(at.offset()), need)));
    }
}

impl Stage {
    fn built_in(name: &str) -> Option<Stage> {
        Some(match name {
            "scanning" => Stage::new(name, StageKind::Scan(Scanning::default()), 2, 10, 3),
            "transcoding" => Stage {
                nice: 10,
                ..Stage::new(name, StageKind::Transcode(Transcoding::default()), 1, 60, 0)
            },
            "storing" => Stage::new(name, StageKind::Store(Storing::default()), 2, 10, 3),
            _ => return None,
        })
    }

    fn new(name: &str, kind: StageKind, concurrency: usize, minutes: u64, retries: u32) -> Stage {
        Stage {
            name: name.to_owned(),
            kind,
            concurrency,
            timeout: Duration::from_secs(60 * minutes),
            retries,
            nice: 0,
            grace: Duration::from_secs(5),
            env: Vec::new(),
            cage: cage::CageOptions::default(),
            output_dir: None,
        }
    }

    /// None where there is too much wrong with it to tell what stage it is.
    fn read(table: &mut TomlTable<'_>) -> Option<Stage> {
        let mut stage = Stage::named(table)?;
        match &mut stage.kind {
            StageKind::Scan(options) => options.read(table),
            StageKind::Transcode(options) => options.read(table),
            StageKind::Store(options) => options.read(table),
            StageKind::Command(_) => {}
        }
        stage.read_limits(table);
        stage.cage.read(table);
        table.finish();
        Some(stage)
    }

    /// The stage of the name that a table has, with what it is like where nothing else is
    /// said.
    fn named(table: &mut TomlTable<'_>) -> Option<Stage> {
        let Some((name, at)) = table.text("name") else {
            let message = "a stage needs a name: scanning, transcoding, storing, or one of \
                           your own with run = [\"command\", ...]";
            table.refuse(table.at(), message);
            return None;
        };
        let has_run = table.has("run");
        if let Err(message) = check_name(&name) {
            table.refuse(at, message);
            if !has_run {
                return None;
            }
        }
        match (Stage::built_in(&name), table.list("run")) {
            (Some(stage), None) => Some(stage),
            (_, Some((run, at))) => {
                let kind = StageKind::Command(Running::read(run, at, table));
                let mut stage = Stage::new(&name, kind, 1, 60, 0);
                stage.cage.leave = vec![std::env::temp_dir()];
                Some(stage)
            }
            (None, None) => {
                if !has_run {
                    let message = format!(
                        "{name:?} is none of scanning, transcoding and storing, so it needs \
                         run = [\"command\", ...]"
                    );
                    table.refuse(at, message);
                }
                None
            }
        }
    }

    fn read_limits(&mut self, table: &mut TomlTable<'_>) {
        if let Some(concurrency) = table.integer("concurrency", 1, CONCURRENCY_MAX) {
            self.concurrency = concurrency as usize;
        }
        if let Some(timeout) = table.duration("timeout") {
            self.timeout = timeout;
        }
        if let Some(retries) = table.integer("retries", 0, 100) {
            self.retries = retries as u32;
        }
        if let Some(nice) = table.integer("nice", 0, 19) {
            self.nice = nice as u8;
        }
        if let Some(grace) = table.duration("grace") {
            self.grace = grace;
        }
        if let Some((names, at)) = table.list("env") {
            for why in names
                .iter()
                .filter_map(|name| environment::check(name).err())
            {
                table.refuse(at, why);
            }
            self.env = names;
        }
        if let Some((folder, at)) = table.text("output_dir") {
            let folder = PathBuf::from(folder);
            if folder.is_absolute() {
                table.need(at, Need::Folder(folder.clone()));
            } else {
                table.refuse(at, "output_dir is an absolute path, as \"/mnt/scratch\"");
            }
            self.output_dir = Some(folder);
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(fits) {
        return Err(format!(
            "a stage's name is 1 to {NAME_MAX_BYTES} of a-z 0-9 _ -"
        ));
    }
    if ["queued", "uploading"].contains(&name) {
        return Err(format!("{name} is what is told before a stage begins"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let wrong = StagePlan::parse(text, &[]).unwrap_err().into_iter();
        let lines = wrong.map(|(line, message)| format!("line {line}: {message}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_stage_that_says_nothing_has_the_defaults() {
        let text = "[[stage]]\nname = 'scanning'\n[[stage]]\nname = 'transcoding'\n\
                    [[stage]]\nname = 'storing'\n";
        let plan = StagePlan::parse(text, &[]).unwrap();
        assert_eq!(
            format!("{:?}", plan.stages),
            format!("{:?}", StagePlan::default().stages)
        );
    }

    #[test]
    fn a_file_without_stages_has_the_default_ones_and_what_others_read_is_passed_over() {
        let default = format!("{:?}", StagePlan::default());
        let parsed = |text, beside: &[String]| {
            let plan = StagePlan::parse(text, beside);
            plan.map(|plan| format!("{plan:?}"))
        };
        assert_eq!(parsed("", &[]), Ok(default.clone()));
        let text = "retry = '5s'\n";
        assert_eq!(parsed(text, &["retry".to_owned()]), Ok(default));
        assert!(refused(text).starts_with("line 1: "));
    }

    #[test]
    fn every_option_is_read() {
        let text = r#"
            [[stage]]
            name = "scanning"
            clamd = "unix:/run/clamav/clamd.ctl"
            mismatch = "refuse"
            types = ["Video/*", "image/png"]
            max_size = "2GiB"
            [[stage]]
            name = "transcoding"
            args = ["-c:v", "mpeg4"]
            extension = "mkv"
            [[stage]]
            name = "thumbnail"
            run = ["ffmpeg", "-i", "{input}", "{output}"]
            output = "thumb.jpg"
            max_output = "1MiB"
            format = "number"
            concurrency = 3
            timeout = "90s"
            retries = 2
            nice = 19
            grace = "1s"
            env = ["TZ", "MODEL_DIR"]
            read = ["/srv/models"]
            write = ["/srv/thumbs"]
            network = true
            max_memory = "512MiB"
            max_processes = 32
            output_dir = "/mnt/scratch"
        "#;
        let plan = StagePlan::parse(text, &[]).unwrap();
        let [scan, transcode, thumbnail] = &plan.stages[..] else {
            panic!("{plan:?}");
        };
        let scan = format!("{scan:?}");
        for part in ["clamd.ctl", "Refuse", "video/*", "2147483648"] {
            assert!(scan.contains(part), "{part}: {scan}");
        }
        let transcode = format!("{transcode:?}");
        assert!(
            transcode.contains("mpeg4") && transcode.contains("mkv"),
            "{transcode}"
        );
        assert_eq!(
            (thumbnail.concurrency, thumbnail.retries, thumbnail.nice),
            (3, 2, 19)
        );
        assert_eq!(thumbnail.timeout, Duration::from_secs(90));
        assert_eq!(thumbnail.grace, Duration::from_secs(1));
        let cage = thumbnail
            .cage
            .of_command("/own".as_ref(), "/in".as_ref(), 1 << 20);
        assert_eq!(cage.read, ["/in", "/srv/models"].map(PathBuf::from));
        assert_eq!(cage.own, ["/own", "/srv/thumbs"].map(PathBuf::from));
        assert!(cage.has_network && cage.leave.is_empty());
        assert_eq!((cage.limits.memory, cage.limits.processes), (512 << 20, 32));
        assert_eq!(thumbnail.env, ["TZ", "MODEL_DIR"]);
        assert_eq!(thumbnail.output_dir, Some("/mnt/scratch".into()));
        let thumbnail = format!("{:?}", thumbnail.kind);
        for part in ["{input}", "thumb.jpg", "1048576", "Number"] {
            assert!(thumbnail.contains(part), "{part}: {thumbnail}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_would_be_right() {
        for (text, line, part) in [
            ("[[stage]]\nname = 'scanning'\n\nfoo = 1\n", 4, "clamd"),
            (
                "[[stage]]\nname = 'scanning'\ntimeot = '5s'\n",
                3,
                "there is no timeot here: the nearest is timeout",
            ),
            (
                "[[stage]]\nname = 'x'\nrun = ['a']\nclamd = 'b'\n",
                4,
                "output",
            ),
            ("[[stage]]\nname = 'scanning'\ntimeout = 5\n", 3, "a string"),
            ("[[stage]]\nname = 'scanning'\ntimeout = '5'\n", 3, "15m"),
            (
                "[[stage]]\nname = 'scanning'\nmax_size = '5 lots'\n",
                3,
                "KiB",
            ),
            ("[[stage]]\nname = 'scanning'\nnice = -1\n", 3, "0 to 19"),
            (
                "[[stage]]\nname = 'scanning'\nmismatch = 'x'\n",
                3,
                "report",
            ),
            (
                "[[stage]]\nname = 'scanning'\nclamd = 'x'\n",
                3,
                "unix:PATH",
            ),
            (
                "[[stage]]\nname = 'scanning'\noutput_dir = 'x'\n",
                3,
                "absolute",
            ),
            (
                "[[stage]]\nname = 'transcoding'\nenv = ['A=b']\n",
                3,
                "names",
            ),
            (
                "[[stage]]\nname = 'x'\nrun = ['a']\nread = ['b']\n",
                4,
                "absolute",
            ),
            (
                "[[stage]]\nname = 'x'\nrun = ['a']\nnetwork = 1\n",
                4,
                "true or false",
            ),
            ("[[stage]]\nname = 'storing'\nto = 'ftp'\n", 3, "files"),
            (
                "[[stage]]\nname = 'scanning'\ntypes = ['video/*', 'video/**']\n",
                3,
                "is no type",
            ),
            (
                "[[stage]]\nname = 'scanning'\ntypes = ['*/png']\n",
                3,
                "is no type",
            ),
            (
                "[[stage]]\nname = 'transcoding'\nextension = '../x'\n",
                3,
                "letters",
            ),
            ("\n[[stage]]\nrun = ['a']\n", 2, "needs a name"),
            ("[[stage]]\nname = 'Scan'\n", 2, "a-z"),
            ("[[stage]]\nname = 'queued'\n", 2, "before a stage"),
            ("[[stage]]\nname = 'thumb'\n", 2, "run ="),
            ("[[stage]]\nname = 'thumb'\nrun = 'ls'\n", 3, "a list"),
            ("[[stage]]\nname = 'thumb'\nrun = []\n", 3, "command"),
            ("[[stage]]\nname = 'thumb'\nrun = ['a', 1]\n", 3, "a string"),
            (
                "[[stage]]\nname = 'thumb'\nrun = ['a']\noutput = '../b'\n",
                4,
                "file name",
            ),
            ("[[stage]]\nname = 'a'\nname = 'b'\n", 3, "duplicate"),
            ("[stage]\nname = 'a'\n", 1, "[[stage]]"),
            ("retries = 1\n", 1, "stage"),
            ("a = \n", 1, ""),
            (
                "[[stage]]\nname = 'storing'\n[[stage]]\nname = 'scanning'\n",
                3,
                "last",
            ),
            (
                "[[stage]]\nname = 'storing'\n\n[[stage]]\nname = 'storing'\n",
                4,
                "two",
            ),
        ] {
            let message = refused(text);
            let begin = format!("line {line}: ");
            assert!(
                message.starts_with(&begin) && message.contains(part),
                "{text}\n{message}"
            );
        }
        assert!(refused("stage = []").starts_with("line 1: 0 stages: there must be 1 to 32"));
    }

    #[test]
    fn all_that_is_wrong_is_said_in_the_order_of_the_lines() {
        let text = "stag = 1\n[[stage]]\nname = 'scanning'\nnice = 20\ntimeot = '5s'\nclamd = 'x'\n\
                    [[stage]]\nname = 'Thumb'\nrun = []\nread = ['a']\n\
                    [[stage]]\nretries = 'x'\n[[stage]]\nname = 'scanning'\n";
        let lines = refused(text);
        let lines: Vec<&str> = lines.lines().collect();
        let begins = [
            "1: there",
            "4: nice",
            "5: there",
            "6: ",
            "8: a stage's",
            "9: run",
            "10: read",
        ];
        let ends = ["11: a stage needs", "13: there are two"];
        assert_eq!(lines.len(), begins.len() + ends.len(), "{lines:#?}");
        for (line, begin) in lines.iter().zip(begins.iter().chain(&ends)) {
            assert!(
                line.starts_with(&format!("line {begin}")),
                "{begin}: {line}"
            );
        }
    }

    #[test]
    fn what_has_to_be_there_is_told_with_its_line() {
        let text = "[[stage]]\nname = 'transcoding'\n[[stage]]\nname = 'thumb'\n\
                    run = ['convert', '{input}']\noutput_dir = '/mnt/x'\n";
        let program = |name: &str| Need::Program(name.to_owned());
        let needs = [
            (1, program("ffmpeg")),
            (1, program("ffprobe")),
            (5, program("convert")),
            (6, Need::Folder("/mnt/x".into())),
        ];
        assert_eq!(StagePlan::parse(text, &[]).unwrap().needs, needs);
    }

    #[test]
    fn the_example_says_all_that_can_be_said() {
        let mut document = TomlTable::parse(EXAMPLE).unwrap();
        for mut table in document.tables("stage") {
            Stage::read(&mut table).unwrap();
            for key in table.known() {
                // What all may have stands with the first, and what commands may with theirs.
                let line = format!("\n{key} = ");
                assert!(EXAMPLE.contains(&line), "{key}");
            }
            let (wrong, _) = table.into_findings();
            assert!(wrong.is_empty(), "{wrong:?}");
        }
        #[cfg(feature = "s3")]
        for key in ["endpoint", "bucket", "region", "style", "prefix"] {
            assert!(EXAMPLE.contains(key), "{key}");
        }
    }

    #[test]
    fn a_built_in_name_with_a_command_is_a_command() {
        let plan = StagePlan::parse(
            "[[stage]]\nname = 'storing'\nrun = ['cp', '{input}', '/x']\n",
            &[],
        );
        let stage = &plan.unwrap().stages[0];
        assert!(matches!(stage.kind, StageKind::Command(_)));
        assert_eq!((stage.concurrency, stage.retries), (1, 0));
    }
}
