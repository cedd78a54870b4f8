//! Builds by BuildKit, as docker and buildctl show them: line by line, drawn, and as JSON.

use serde_json::{Map, Value};

use super::part_of;
use super::parts::{PARTS_MAX, Parts};
use crate::progress::update::{LineReading, Update};

/// What is known of a build.
#[derive(Default)]
pub(in crate::progress) struct BuildKit {
    /// Its stages, and how many steps of each are done.
    stages: Parts,
    /// Numbers of lines, as `#8`, each with the place of its stage and the step that it is of.
    steps: Vec<(u32, usize, f64)>,
    /// Its vertices, by their digests.
    vertices: Parts,
    is_drawn: bool,
    /// What was told last: it never falls, though more may turn out to be to do.
    told: f64,
}

impl BuildKit {
    /// Reads a line that is no JSON.
    pub fn read(&mut self, line: &str) -> LineReading {
        if let Some(drawn) = line.strip_prefix("[+] ") {
            self.is_drawn = true;
            let counted = drawn.rsplit_once('(').map_or_else(
                || drawn.rsplit(' ').next().unwrap_or_default(),
                |(_, counted)| counted.split(')').next().unwrap_or_default(),
            );
            let part = counted.split_once('/').and_then(part_of);
            return LineReading::Mine(part.and_then(|part| self.tell(part)));
        }
        if self.is_drawn && line.starts_with("=>") {
            return LineReading::Mine(None);
        }
        match numbered(line) {
            Some((number, rest)) => self.read_numbered(number, rest),
            None => LineReading::NotMine,
        }
    }

    /// Whether a line that has only begun is one of a build.
    pub fn would_read(&self, line: &str) -> bool {
        line.starts_with("[+] ")
            || self.is_drawn && line.starts_with("=>")
            || !self.stages.is_empty() && numbered(line).is_some()
    }

    /// Reads a line of JSON. `None`: it is none of a build.
    pub fn read_json(&mut self, line: &Map<String, Value>) -> Option<Option<Update>> {
        let is_mine = ["vertexes", "statuses", "logs"]
            .iter()
            .any(|key| line.get(*key).is_some_and(Value::is_array));
        if !is_mine {
            return None;
        }
        let vertices = line.get("vertexes").and_then(Value::as_array);
        for vertex in vertices.into_iter().flatten() {
            let Some(digest) = vertex.get("digest").and_then(Value::as_str) else {
                continue;
            };
            let is_completed = vertex.get("completed").is_some_and(Value::is_string);
            let done = if is_completed { 1.0 } else { 0.0 };
            self.vertices.note(digest, done, 1.0);
        }
        let part = self.vertices.done();
        Some(vertices.and_then(|_| self.tell(part)))
    }

    /// `#8 [2/4] RUN make`, `#8 [build 2/4] RUN make`, `#8 DONE 1.2s`, `#8 CACHED`; of a build
    /// once one of the first two was seen.
    fn read_numbered(&mut self, number: u32, rest: &str) -> LineReading {
        let step = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .and_then(|(inner, _)| {
                let (name, counted) = inner.rsplit_once(' ').unwrap_or(("", inner));
                let (at, of) = counted.split_once('/')?;
                let (at, of) = (at.parse::<u32>().ok()?, of.parse::<u32>().ok()?);
                let step = (name, f64::from(at), f64::from(of));
                (1..=of).contains(&at).then_some(step)
            });
        if let Some((name, at, of)) = step {
            self.steps.retain(|step| step.0 != number);
            if self.steps.len() < PARTS_MAX
                && let Some(stage) = self.stages.note(name, at - 1.0, of)
            {
                self.steps.push((number, stage, at));
            }
            let part = self.stages.done();
            return LineReading::Mine(self.tell(part));
        }
        if self.stages.is_empty() {
            return LineReading::NotMine;
        }
        if (rest.starts_with("DONE") || rest.starts_with("CACHED"))
            && let Some(&(_, stage, at)) = self.steps.iter().find(|step| step.0 == number)
        {
            self.stages.advance(stage, at);
            let part = self.stages.done();
            return LineReading::Mine(self.tell(part));
        }
        // What a step prints.
        LineReading::Mine(None)
    }

    fn tell(&mut self, part: f64) -> Option<Update> {
        self.told = self.told.max(part);
        Update::part(self.told)
    }
}

/// A line that begins with the number of its part: `#8 `.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    Some((number.parse().ok()?, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Vec<f64> {
        let mut build = BuildKit::default();
        let read = |line: &&str| match build.read(line) {
            LineReading::Mine(update) => update?.percent,
            LineReading::NotMine => None,
        };
        lines.iter().filter_map(read).collect()
    }

    #[test]
    fn steps_that_have_begun_and_those_that_are_done_are_counted_over_all_stages() {
        let lines = [
            "#1 [internal] load build definition from Dockerfile",
            "#1 DONE 0.0s",
            "#5 [build 1/3] FROM docker.io/library/rust",
            "#5 sha256:63b65145d645c1250c391b2d16ebe53b3747c295ca8ba2fcb6b0cf064a4dc21c 2MB / 3MB",
            "#6 [stage-1 1/1] FROM docker.io/library/debian",
            "#5 CACHED",
            "#7 [build 2/3] COPY . .",
            "#7 DONE 0.1s",
            "#8 [build 3/3] RUN make",
            "#8 1.234 [ 97%] Built target x",
            "#8 DONE 3.2s",
            "#6 DONE 3.2s",
        ];
        assert_eq!(
            told(&lines),
            [0.0, 0.0, 25.0, 25.0, 50.0, 50.0, 75.0, 100.0]
        );
        assert_eq!(told(&["#8 [2/4] RUN make", "#9 [3/4] RUN a"]), [25.0, 50.0]);
    }

    #[test]
    fn what_is_drawn_is_counted_in_its_first_line() {
        let lines = [
            "[+] Building 0.2s (1/9)",
            "=> [internal] load metadata 97%",
            "=> => transferring context 12MB / 40MB",
            "[+] Building 1.2s (5/9) docker:default",
            "[+] Building 2.2s (6/11)",
        ];
        assert_eq!(told(&lines), [11.1, 55.5, 55.5]);
        assert_eq!(told(&["[+] Running 3/5"]), [60.0]);
    }

    #[test]
    fn json_tells_which_parts_are_completed() {
        let mut build = BuildKit::default();
        let mut told = |line: &str| build.read_json(&serde_json::from_str(line).unwrap());
        let percent = |percent| Some(Some(Update::percent(percent)));
        let begin = r#"{"vertexes":[{"digest":"a"},{"digest":"b","started":"t"}]}"#;
        assert_eq!(told(begin), percent(0.0));
        let status = r#"{"statuses":[{"id":"x","current":9,"total":9}]}"#;
        assert_eq!(told(status), Some(None));
        let done = r#"{"vertexes":[{"digest":"b","completed":"t"}]}"#;
        assert_eq!(told(done), percent(50.0));
        let more = r#"{"vertexes":[{"digest":"c"},{"digest":5},7]}"#;
        assert_eq!(told(more), percent(50.0));
        assert_eq!(told(r#"{"vertexes":5}"#), None);
    }

    #[test]
    fn what_is_no_build_is_left_alone() {
        for line in [
            "#8",
            "#8 DONE",
            "# a 50%",
            "#3fa9c1 16MiB/60MiB(26%)",
            "50%",
        ] {
            assert_eq!(
                BuildKit::default().read(line),
                LineReading::NotMine,
                "{line}"
            );
        }
    }
}
