//! Programs whose output says more than its lines do one by one.

pub(super) mod backup;
pub(super) mod buildkit;
pub(super) mod copied;
pub(super) mod curl;
pub(super) mod layers;
pub(super) mod rclone;
pub(super) mod robots;
pub(super) mod rsync;

use serde_json::{Map, Value};

use super::number;
use super::update::{Reading, Update};
use buildkit::BuildKit;
use copied::Amount;
use layers::Layers;
use rclone::Rclone;
use robots::HandBrake;
use rsync::Rsync;

/// What was read of them so far.
#[derive(Default)]
pub(super) struct Tools {
    curl_meter_seen: bool,
    rclone: Rclone,
    buildkit: BuildKit,
    layers: Layers,
    handbrake: HandBrake,
    /// Where it is known to tell of each file.
    rsync: Option<Rsync>,
    /// What dd or tar has to copy, where that is known.
    amount: Option<Amount>,
}

impl Tools {
    /// Nothing was read yet, and this is known.
    pub fn knowing(rsync_tells_files: bool, amount: Option<Amount>) -> Tools {
        Tools {
            rsync: rsync_tells_files.then(Rsync::default),
            amount,
            ..Tools::default()
        }
    }

    /// Reads a line, without the blanks around it, that may not be ended yet.
    pub fn read(&mut self, line: &str) -> Reading {
        if let Reading::Mine(update) = self.read_curl(line) {
            return Reading::Mine(update);
        }
        if let Some(percent) = self.rclone.read(line) {
            return Reading::Mine(percent.map(Update::percent));
        }
        let readings: [fn(&mut Tools, &str) -> Reading; 6] = [
            Tools::read_copied,
            Tools::read_rsync,
            |it, line| it.buildkit.read(line),
            |it, line| it.layers.read(line),
            |it, line| it.handbrake.read(line),
            |_, line| robots::read_makemkv(line),
        ];
        let mut readings = readings.into_iter().map(|read| read(self, line));
        readings
            .find(|reading| *reading != Reading::NotMine)
            .unwrap_or(Reading::NotMine)
    }

    /// Reads a line of JSON. `None`: it is none of theirs.
    pub fn read_json(&mut self, line: &Map<String, Value>) -> Option<Option<Update>> {
        let build = self.buildkit.read_json(line);
        build
            .or_else(|| self.layers.read_json(line))
            .or_else(|| backup::read(line).map(Some))
    }

    fn read_curl(&mut self, line: &str) -> Reading {
        if curl::is_header(line) {
            self.curl_meter_seen = true;
            return Reading::Mine(None);
        }
        let percent = Some(line).filter(|_| self.curl_meter_seen);
        match percent.and_then(curl::percent) {
            Some(percent) => Reading::Mine(Some(Update::percent(percent))),
            None => Reading::NotMine,
        }
    }

    fn read_copied(&mut self, line: &str) -> Reading {
        copied::read(line, self.amount)
    }

    fn read_rsync(&mut self, line: &str) -> Reading {
        match &mut self.rsync {
            Some(rsync) => rsync.read(line),
            None => Reading::NotMine,
        }
    }
}

/// Which part the first is of the second: `12.3MB` of `40MB`, `3` of `5`.
fn part_of((done, all): (&str, &str)) -> Option<f64> {
    let number = |text: &str| number::starting_at(text.trim(), 0).map(|it| it.value);
    let (done, all) = (number(done)?, number(all)?);
    (all > 0.0 && done <= all).then(|| done / all)
}
