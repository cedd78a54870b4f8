//! yt-dlp, which downloads a video in parts, and a list of videos one by one.

use crate::progress::update::{LineReading, Update};

/// What is known of its downloads.
#[derive(Default)]
pub(in crate::progress) struct YtDlp {
    is_known: bool,
    /// Which of the list it is at, and how many there are; from 1.
    item: Option<(f64, f64)>,
    /// How many parts the video has, and at which it is; from 0.
    parts: f64,
    part: Option<f64>,
    /// It never falls, though more may come.
    told: f64,
}

impl YtDlp {
    /// Reads a line, which may not have ended yet.
    pub fn read(&mut self, line: &str, ended: bool) -> LineReading {
        let tagged = line.strip_prefix('[').and_then(|it| it.split_once("] "));
        let Some((tag, said)) = tagged else {
            return LineReading::NotMine;
        };
        match tag {
            "download" => self.read_download(said, ended),
            "info" if ended => self.read_info(said),
            // What else it says names its files.
            _ if self.is_known => LineReading::Mine(None),
            _ => LineReading::NotMine,
        }
    }

    /// `abc: Downloading 1 format(s): 137+140`: a video without its sound, and the sound.
    fn read_info(&mut self, said: &str) -> LineReading {
        if let Some((_, formats)) = said.split_once(" format(s): ") {
            self.is_known = true;
            let videos = formats.split(", ").map(|it| it.split('+').count());
            self.parts = videos.sum::<usize>() as f64;
            self.part = None;
        }
        if self.is_known {
            LineReading::Mine(None)
        } else {
            LineReading::NotMine
        }
    }

    fn read_download(&mut self, said: &str, ended: bool) -> LineReading {
        if ended {
            self.take(said);
        }
        match percent(said) {
            _ if !self.is_known => LineReading::NotMine,
            Some(percent) => LineReading::Mine(self.tell(percent)),
            None => LineReading::Mine(None),
        }
    }

    /// Takes what it begins with.
    fn take(&mut self, said: &str) {
        let item = ["Downloading item ", "Downloading video "];
        let item = item.iter().find_map(|it| said.strip_prefix(it));
        let item = item.and_then(|it| it.split_once(" of "));
        let item = item.and_then(|(at, all)| Some((at.parse().ok()?, all.parse().ok()?)));
        if let Some((at, all)) = item.filter(|(at, all)| 1.0 <= *at && at <= all) {
            self.is_known = true;
            self.item = Some((at, all));
            (self.parts, self.part) = (0.0, None);
        } else if said.starts_with("Destination: ") || said.ends_with(" already been downloaded") {
            self.is_known = true;
            self.part = Some(self.part.map_or(0.0, |part| part + 1.0));
        }
    }

    fn tell(&mut self, percent: f64) -> Option<Update> {
        let part = self.part.unwrap_or(0.0);
        let video = (part + percent / 100.0) / self.parts.max(part + 1.0);
        let (at, all) = self.item.unwrap_or((1.0, 1.0));
        self.told = self.told.max((at - 1.0 + video) / all);
        Update::part(self.told)
    }
}

/// `  12.5% of   60.00MiB at    2.53MiB/s ETA 00:23`
fn percent(said: &str) -> Option<f64> {
    let (percent, rest) = said.trim_start().split_once('%')?;
    let percent: f64 = percent.parse().ok()?;
    let is_own = rest.is_empty()
        || [" of ", " at ", " in "]
            .iter()
            .any(|it| rest.starts_with(it));
    (is_own && (0.0..=100.0).contains(&percent)).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Vec<f64> {
        let mut yt_dlp = YtDlp::default();
        let read = |line: &&str| match yt_dlp.read(line, true) {
            LineReading::Mine(update) => update?.percent,
            LineReading::NotMine => None,
        };
        lines.iter().filter_map(read).collect()
    }

    #[test]
    fn the_parts_of_a_video_and_the_videos_of_a_list_are_told_as_one() {
        let lines = [
            "[youtube:tab] Playlist Top 10%: Downloading 2 items of 2",
            "[download] Downloading item 1 of 2",
            "[info] x: Downloading 1 format(s): 137+140",
            "[download] Destination: 90% fail [x].f137.mp4",
            "[download]   0.0% of ~  10.00MiB at 1.0MiB/s ETA 00:10 (frag 0/10)",
            "[download] 100% of 10.00MiB in 00:00:10",
            "[download] Destination: 90% fail [x].f140.m4a",
            "[download]  40.0% of 1.00MiB at 1.0MiB/s ETA 00:10",
            "[Merger] Merging formats into \"90% fail [x].mp4\"",
            "[download] Downloading item 2 of 2",
            "[info] y: Downloading 1 format(s): 22",
            "[download] 100% real.mp4 has already been downloaded",
            "[download] 100% of 9.00MiB",
        ];
        assert_eq!(told(&lines), [0.0, 25.0, 35.0, 100.0]);
    }

    #[test]
    fn others_with_the_same_tags_are_left_alone() {
        for line in [
            "[download] 20% of 9MiB",
            "[info] 5% done",
            "[x] 5%",
            "5%",
            "[download",
        ] {
            assert_eq!(
                YtDlp::default().read(line, true),
                LineReading::NotMine,
                "{line}"
            );
        }
    }
}
