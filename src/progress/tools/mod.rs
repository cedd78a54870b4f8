//! Programs whose output says more than its lines do one by one.

pub(super) mod aria2;
pub(super) mod backup;
pub(super) mod buildkit;
pub(super) mod copied;
pub(super) mod curl;
pub(super) mod layers;
mod parts;
pub(super) mod rclone;
pub(super) mod robots;
pub(super) mod rsync;
pub(super) mod yt_dlp;
pub(super) mod zip;

use serde_json::{Map, Value};

use super::known::{Amount, Known};
use super::number;
use super::update::{LineReading, Update};
use aria2::Aria2;
use buildkit::BuildKit;
use layers::Layers;
use rclone::Rclone;
use robots::{HandBrake, MakeMkv};
use rsync::Rsync;
use yt_dlp::YtDlp;

/// What was read of them so far.
#[derive(Default)]
pub(super) struct Tools {
    curl_meter_seen: bool,
    rclone: Rclone,
    buildkit: BuildKit,
    layers: Layers,
    handbrake: HandBrake,
    makemkv: MakeMkv,
    rsync: Rsync,
    aria2: Aria2,
    yt_dlp: YtDlp,
    /// It is a tar, which names its files in lines of their own.
    is_tar: bool,
    /// What dd or tar has to copy, where that is known.
    amount: Option<Amount>,
}

impl Tools {
    /// Nothing was read yet, and this is known.
    pub fn knowing(known: &Known) -> Tools {
        Tools {
            rsync: known
                .rsync_tells_files
                .map_or_else(Rsync::default, Rsync::started),
            is_tar: known.is_tar,
            amount: known.amount,
            ..Tools::default()
        }
    }

    /// Reads a line, without the blanks around it, that may not be ended yet.
    pub fn read(&mut self, line: &str, ended: bool) -> LineReading {
        if let LineReading::Mine(update) = self.read_curl(line) {
            return LineReading::Mine(update);
        }
        if let Some(percent) = self.rclone.read(line) {
            return LineReading::Mine(percent.map(Update::percent));
        }
        let mut reading = copied::read(line, self.amount);
        if reading == LineReading::NotMine {
            reading = self.rsync.read(line);
        }
        if reading == LineReading::NotMine {
            reading = self.aria2.read(line, ended);
        }
        if reading == LineReading::NotMine {
            reading = self.yt_dlp.read(line, ended);
        }
        if reading == LineReading::NotMine {
            reading = zip::read(line);
        }
        // How far partclone has looked, beside how much it has copied.
        let is_place = line.starts_with("current block: ");
        if reading == LineReading::NotMine && (self.is_tar || is_place) {
            reading = LineReading::Mine(None);
        }
        match reading {
            LineReading::NotMine if ended => self.read_ended(line),
            // What would be told of these by half a line would not be true.
            LineReading::NotMine if self.would_read(line) => LineReading::Mine(None),
            reading => reading,
        }
    }

    fn read_ended(&mut self, line: &str) -> LineReading {
        let readings: [fn(&mut Tools, &str) -> LineReading; 4] = [
            |it, line| it.buildkit.read(line),
            |it, line| it.layers.read(line),
            |it, line| it.handbrake.read(line),
            |it, line| it.makemkv.read(line),
        ];
        let mut readings = readings.into_iter().map(|read| read(self, line));
        readings
            .find(|reading| *reading != LineReading::NotMine)
            .unwrap_or(LineReading::NotMine)
    }

    /// Whether an open line begins as one of those that are read when they have ended.
    fn would_read(&self, line: &str) -> bool {
        self.buildkit.would_read(line)
            || self.layers.would_read(line)
            || self.handbrake.is_working()
            || line.starts_with("PRG")
    }

    /// Reads a line of JSON. `None`: it is none of theirs.
    pub fn read_json(&mut self, line: &Map<String, Value>) -> Option<Option<Update>> {
        let build = self.buildkit.read_json(line);
        build
            .or_else(|| self.layers.read_json(line))
            .or_else(|| backup::read(line).map(Some))
    }

    fn read_curl(&mut self, line: &str) -> LineReading {
        if curl::is_header(line) {
            self.curl_meter_seen = true;
            return LineReading::Mine(None);
        }
        let percent = Some(line).filter(|_| self.curl_meter_seen);
        match percent.and_then(curl::percent) {
            Some(percent) => LineReading::Mine(Some(Update::percent(percent))),
            None => LineReading::NotMine,
        }
    }
}

/// Which part the first is of the second: `12.3MB` of `40MB`, `3` of `5`.
fn part_of((done, all): (&str, &str)) -> Option<f64> {
    let number = |text: &str| number::starting_at(text.trim(), 0).map(|it| it.value);
    let (done, all) = (number(done)?, number(all)?);
    (all > 0.0 && done <= all).then(|| done / all)
}
