//! What a command has to do, as far as its arguments and the files that they name tell: some
//! programs say how much they have done and not of how much.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::progress::{Amount, Known, arguments, commands};

/// tar writes so much at once where it isn't told otherwise.
const TAR_BLOCKS: u64 = 20;
const BLOCK_BYTES: u64 = 512;
/// How long it is looked what there is to pack, at most: what the command says waits.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// What is known of a command.
pub fn known(words: &[String]) -> Known {
    let commands = commands(words);
    // A script may be elsewhere when it comes to a file, and other lines are of others.
    let arguments = |name| match &commands[..] {
        [command] => arguments(command, name),
        _ => None,
    };
    let dd = arguments("dd").and_then(dd);
    let dd = dd.map(|bytes| Amount {
        bytes,
        record_bytes: BLOCK_BYTES,
    });
    let to_tar = arguments("tar");
    let mut known = Known::of_commands(&commands);
    known.rsync_tells_files = arguments("rsync").map(rsync_tells_files);
    known.is_tar = to_tar.is_some();
    known.amount = dd.or_else(|| to_tar.and_then(tar));
    known
}

/// How much a dd copies: what it counts, or what its input holds.
fn dd(arguments: &[String]) -> Option<u64> {
    let value = |name: &str| {
        let mut values = arguments.iter().filter_map(|it| it.split_once('='));
        values.find(|(it, _)| *it == name).map(|(_, value)| value)
    };
    let has =
        |name: &str, flag: &str| value(name).is_some_and(|it| it.split(',').any(|it| it == flag));
    let size = |name: &str| value(name).map(dd_number);
    let block = size("ibs")
        .or_else(|| size("bs"))
        .unwrap_or(Some(BLOCK_BYTES))?;
    let blocks = |name: &str, flag: &str| match value(name) {
        None => Some(None),
        Some(text) => {
            let is_bytes = has("iflag", flag) || text.ends_with('B');
            let number = dd_number(text)?;
            let bytes = if is_bytes {
                Some(number)
            } else {
                number.checked_mul(block)
            };
            bytes.map(Some)
        }
    };
    let count = blocks("count", "count_bytes")?;
    let skip = blocks("skip", "skip_bytes")?.unwrap_or(0);
    let input = value("if").and_then(|path| file_bytes(Path::new(path)));
    let input = input.map(|bytes| bytes.saturating_sub(skip));
    let bytes = count.into_iter().chain(input).min();
    bytes.filter(|bytes| *bytes > 0)
}

/// `512`, `4k`, `1M`, `60MB`, `2x4K`.
fn dd_number(text: &str) -> Option<u64> {
    text.split('x').try_fold(1_u64, |product, part| {
        let unit_at = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let (digits, unit) = part.split_at(unit_at);
        let letter = unit.chars().next().map_or(' ', |c| c.to_ascii_uppercase());
        let power = "KMGTPE".find(letter).map(|power| power as u32 + 1);
        let factor = match (unit, power) {
            ("" | "c" | "B", _) => 1,
            ("w", _) => 2,
            ("b", _) => BLOCK_BYTES,
            (_, Some(power)) if unit.len() == 2 && unit.ends_with('B') => 1000_u64.pow(power),
            (_, Some(power)) if unit.len() == 1 || unit.ends_with("iB") => 1024_u64.pow(power),
            _ => return None,
        };
        let number: u64 = digits.parse().ok()?;
        product.checked_mul(number.checked_mul(factor)?)
    })
}

/// What a file or a disk holds.
fn file_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::fs::FileTypeExt;
    let kind = fs::metadata(path).ok()?;
    if kind.is_file() {
        return Some(kind.len());
    }
    let is_disk = kind.file_type().is_block_device();
    let mut disk = is_disk.then(|| File::open(path)).and_then(Result::ok)?;
    disk.seek(SeekFrom::End(0)).ok()
}

/// How much a tar reads or writes, where it tells how far it is.
fn tar(arguments: &[String]) -> Option<Amount> {
    let mut call = TarCall::default();
    call.read(arguments);
    if !call.has_checkpoints {
        return None;
    }
    let record_bytes = call.blocks.unwrap_or(TAR_BLOCKS).checked_mul(BLOCK_BYTES)?;
    let bytes = match (call.packs, call.archive) {
        (true, _) => {
            let until = Instant::now() + LOOK_MAX;
            let sizes = call.paths.iter().map(|path| packed_bytes(path, until));
            sizes.sum::<Option<u64>>()?
        }
        // Of a packed one it counts what comes out.
        (false, Some(archive)) if is_plain(&archive) => file_bytes(&archive)?,
        (false, _) => return None,
    };
    (bytes > 0).then_some(Amount {
        bytes,
        record_bytes,
    })
}

/// What the arguments of a tar say.
#[derive(Default)]
struct TarCall {
    packs: bool,
    has_checkpoints: bool,
    blocks: Option<u64>,
    archive: Option<PathBuf>,
    directory: PathBuf,
    paths: Vec<PathBuf>,
}

impl TarCall {
    fn read(&mut self, arguments: &[String]) {
        let mut words = arguments.iter().map(String::as_str);
        let mut is_first = true;
        while let Some(word) = words.next() {
            let is_cluster = word.starts_with('-') || std::mem::take(&mut is_first);
            is_first = false;
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                match name {
                    "create" => self.packs = true,
                    "checkpoint" | "checkpoint-action" => self.has_checkpoints = true,
                    "file" => self.archive = value.or_else(|| words.next()).map(PathBuf::from),
                    "directory" => self.enter(value.or_else(|| words.next())),
                    "blocking-factor" => {
                        self.blocks = value
                            .or_else(|| words.next())
                            .and_then(|it| it.parse().ok());
                    }
                    "exclude" | "files-from" | "exclude-from" if value.is_none() => {
                        words.next();
                    }
                    _ => {}
                }
            } else if is_cluster {
                self.read_cluster(word.trim_start_matches('-'), &mut words);
            } else {
                self.paths.push(self.directory.join(word));
            }
        }
    }

    /// `czf`: what takes a value has the rest of the word, or the next one.
    fn read_cluster<'a>(&mut self, cluster: &'a str, words: &mut impl Iterator<Item = &'a str>) {
        for (at, letter) in cluster.char_indices() {
            let takes_value = matches!(letter, 'f' | 'C' | 'b' | 'T' | 'X' | 'I' | 'H' | 'K' | 'N');
            let rest = &cluster[at + letter.len_utf8()..];
            let is_last = rest.is_empty() || !cluster[at..].contains(['=', '/', '.']);
            match letter {
                'c' => self.packs = true,
                _ if !takes_value => {}
                _ => {
                    let value = if is_last { words.next() } else { Some(rest) };
                    match letter {
                        'f' => self.archive = value.map(PathBuf::from),
                        'C' => self.enter(value),
                        'b' => self.blocks = value.and_then(|it| it.parse().ok()),
                        _ => {}
                    }
                    if !is_last {
                        return;
                    }
                }
            }
        }
    }

    fn enter(&mut self, directory: Option<&str>) {
        self.directory.push(directory.unwrap_or_default());
    }
}

/// What a file, or a directory with all that is in it, takes in an archive. `None`: there is
/// more than can be looked at in this time.
fn packed_bytes(path: &Path, until: Instant) -> Option<u64> {
    let mut bytes = 0_u64;
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        if Instant::now() > until {
            return None;
        }
        let Ok(kind) = fs::symlink_metadata(&path) else {
            continue;
        };
        let content = if kind.is_file() { kind.len() } else { 0 };
        bytes = bytes.saturating_add(BLOCK_BYTES + content.next_multiple_of(BLOCK_BYTES));
        if kind.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            paths.extend(entries.map(|entry| entry.path()));
        }
    }
    Some(bytes)
}

/// Whether an archive isn't packed, by its name.
fn is_plain(archive: &Path) -> bool {
    archive.extension().is_some_and(|it| it == "tar")
}

/// Whether an rsync is asked for the progress of each file and copies more than one.
fn rsync_tells_files(arguments: &[String]) -> bool {
    let is_cluster = |word: &str| {
        let letters = word.strip_prefix('-').unwrap_or_default();
        !letters.is_empty() && letters.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let tells = |word: &&String| *word == "--progress" || is_cluster(word) && word.contains('P');
    if !arguments.iter().any(|word| tells(&word))
        || arguments.iter().any(|it| it.contains("progress2"))
    {
        return false;
    }
    let is_file = |word: &&String| !word.starts_with('-') && Path::new(word).is_file();
    let is_folder = |word: &&String| !word.starts_with('-') && Path::new(word).is_dir();
    let sources = &arguments[..arguments.len().saturating_sub(1)];
    let files = sources.iter().filter(is_file).count();
    files > 1 || sources.iter().filter(is_folder).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_dd_copies_what_it_counts_or_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("in");
        fs::write(&input, vec![0; 100_000]).unwrap();
        let input = input.display();
        for (arguments, bytes) in [
            (
                "if=/dev/zero of=o bs=1M count=60".to_owned(),
                Some(60 << 20),
            ),
            ("if=/dev/zero bs=4k count=2x3".to_owned(), Some(6 * 4096)),
            ("count=5".to_owned(), Some(5 * 512)),
            (
                "if=/dev/zero bs=1MB count=60MB iflag=count_bytes,fullblock".to_owned(),
                Some(60_000_000),
            ),
            ("if=/dev/zero bs=1M count=7kiB".to_owned(), Some(7168)),
            (format!("if={input} of=o"), Some(100_000)),
            (format!("if={input} bs=1000 skip=10"), Some(90_000)),
            (format!("if={input} bs=1000 count=10"), Some(10_000)),
            (format!("if={input} bs=1000 count=1000"), Some(100_000)),
            ("if=/dev/zero of=o".to_owned(), None),
            ("if=/dev/zero bs=x count=1".to_owned(), None),
            ("bs=99999999999E count=99999999E".to_owned(), None),
        ] {
            assert_eq!(dd(&words(&arguments)), bytes, "{arguments}");
        }
    }

    #[test]
    fn a_tar_packs_its_files_or_reads_its_archive() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("in");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a"), vec![0; 1000]).unwrap();
        fs::write(directory.path().join("a.tar"), vec![0; 20_480]).unwrap();
        let at = directory.path().display();
        for (arguments, bytes) in [
            (format!("-cf o.tar --checkpoint=100 {at}/in"), Some(2048)),
            (format!("cf o.tar --checkpoint -C {at} in"), Some(2048)),
            (
                format!("--create --file o.tar --directory={at} --checkpoint in"),
                Some(2048),
            ),
            (format!("-xf {at}/a.tar --checkpoint=10"), Some(20_480)),
            (format!("-cf o.tar {at}/in"), None),
            (format!("-xf {at}/a.tar.gz --checkpoint=10"), None),
            ("-cf o.tar --checkpoint nowhere".to_owned(), None),
            ("--checkpoint -f".to_owned(), None),
        ] {
            let amount = tar(&words(&arguments));
            assert_eq!(amount.map(|it| it.bytes), bytes, "{arguments}");
        }
        let amount = tar(&words(&format!("-b 40 -cf o --checkpoint {at}/in"))).unwrap();
        assert_eq!(amount.record_bytes, 40 * 512);
    }

    #[test]
    fn an_rsync_of_several_files_tells_of_each() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let at = directory.path().display();
        for (arguments, expected) in [
            (format!("-a --progress {at} to"), true),
            (format!("-aP {at}/a {at}/b to"), true),
            (format!("-aP {at}/a to"), false),
            (format!("-a {at} to"), false),
            (format!("-a --progress --info=progress2 {at} to"), false),
            ("-P host:file to".to_owned(), false),
        ] {
            assert_eq!(
                rsync_tells_files(&words(&arguments)),
                expected,
                "{arguments}"
            );
        }
    }
}
