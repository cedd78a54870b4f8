//! What ffmpeg's filters do to how long something is.

use super::super::words::is_in;
use super::time::argument;

/// What becomes of a length.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum LengthChange {
    /// It is multiplied.
    Times(f64),
    /// The inputs come one after another.
    Sum,
    /// It can't be told.
    Unknown,
}

/// Filters after which a length can't be told from the one before.
const UNKNOWN: &str = "acrossfade adelay aecho aloop amovie apad areverse aselect asetpts asetrate atrim framestep \
     loop movie mpdecimate rubberband select setpts shuffleframes silenceremove thumbnail tile \
     tpad trim xfade zoompan";

/// What a chain or a graph of filters does.
pub(super) fn change(graph: &str) -> LengthChange {
    let mut change = LengthChange::Times(1.0);
    for filter in split(graph) {
        let labels = filter.rfind(']').filter(|_| filter.starts_with('['));
        // The labels before it; those behind it end the filter, and don't matter.
        let filter = match labels {
            Some(_) => without_labels(filter),
            None => filter,
        };
        let (name, value) = filter.split_once('=').unwrap_or((filter, ""));
        let name = name.split(['@', '[']).next().unwrap_or_default().trim();
        let value = value.split('[').next().unwrap_or_default();
        let factor = match name {
            "setpts" => factor(value),
            "atempo" => factor_of_tempo(value),
            "concat" if change == LengthChange::Times(1.0) => {
                change = LengthChange::Sum;
                continue;
            }
            "concat" => None,
            _ if is_in(UNKNOWN, name) => None,
            _ => continue,
        };
        change = match (change, factor) {
            (_, None) => return LengthChange::Unknown,
            (LengthChange::Times(before), Some(factor)) => LengthChange::Times(before * factor),
            // Which of the inputs it was done to isn't looked at.
            (_, Some(factor)) if factor != 1.0 => return LengthChange::Unknown,
            (change, Some(_)) => change,
        };
    }
    change
}

/// How long that is, in microseconds, what a graph makes that begins with a source and has no
/// other: `testsrc=d=6:r=5,setpts=2*PTS`.
pub(super) fn source(graph: &str) -> Option<u64> {
    let [source, filters @ ..] = &split(graph)[..] else {
        return None;
    };
    let (_, options) = source.split_once('=')?;
    let mut options = options.split(['[', ':']);
    let us = options.find_map(|option| match option.split_once('=')? {
        ("d" | "duration", value) => argument(value),
        _ => None,
    })?;
    let is_one = !graph.contains(';');
    match change(&filters.join(",")) {
        LengthChange::Times(factor) if is_one => Some((us as f64 * factor) as u64),
        _ => None,
    }
}

/// The filters of a graph, which are parted by commas and semicolons outside of quotes.
fn split(graph: &str) -> Vec<&str> {
    let mut filters = Vec::new();
    let (mut start, mut quoted, mut escaped, mut depth) = (0, false, false, 0_usize);
    for (at, c) in graph.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' | ';' if depth == 0 => {
                filters.push(graph[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    filters.push(graph[start..].trim());
    filters
}

fn without_labels(mut filter: &str) -> &str {
    while let Some(rest) = filter.strip_prefix('[') {
        let Some((_, rest)) = rest.split_once(']') else {
            break;
        };
        filter = rest.trim_start();
    }
    filter
}

/// What `setpts` multiplies by: `0.5*PTS`, `PTS/2`, `2*(PTS-STARTPTS)`.
fn factor(value: &str) -> Option<f64> {
    let value: String = value.chars().filter(|c| !" '\\\"".contains(*c)).collect();
    let value = value.strip_prefix("expr=").unwrap_or(&value);
    if matches!(value, "PTS-STARTPTS") {
        return Some(1.0);
    }
    // Of arithmetic only what stands from left to right is read.
    if value.replace("(PTS-STARTPTS)", "PTS").rfind('(') > Some(0) {
        return None;
    }
    let (mut product, mut is_of_time, mut rest, mut divides) = (1.0, false, value, false);
    loop {
        let end = rest.find(['*', '/']).unwrap_or(rest.len());
        let part = &rest[..end];
        match part {
            "PTS" | "(PTS-STARTPTS)" if !is_of_time && !divides => is_of_time = true,
            _ => {
                let number: f64 = part.trim_matches(['(', ')']).parse().ok()?;
                product *= if divides { 1.0 / number } else { number };
            }
        }
        match rest[end..].chars().next() {
            None => break,
            Some(sign) => divides = sign == '/',
        }
        rest = &rest[end + 1..];
    }
    (is_of_time && product.is_finite() && product > 0.0).then_some(product)
}

fn factor_of_tempo(value: &str) -> Option<f64> {
    let value = value.trim_matches(['\'', '"', ' ']);
    let value = value.strip_prefix("tempo=").unwrap_or(value);
    let tempo: f64 = value.parse().ok()?;
    (tempo.is_finite() && tempo > 0.0).then(|| 1.0 / tempo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_does_to_a_length_is_known_or_said_to_be_unknown() {
        for (graph, expected) in [
            ("scale=1280:-2,format=yuv420p", LengthChange::Times(1.0)),
            ("setpts=0.5*PTS", LengthChange::Times(0.5)),
            ("setpts=PTS/2", LengthChange::Times(0.5)),
            ("setpts='2.0*(PTS-STARTPTS)'", LengthChange::Times(2.0)),
            ("setpts=(1/4)*PTS", LengthChange::Times(0.25)),
            ("setpts=PTS/(2*3)", LengthChange::Unknown),
            ("setpts=1/4*PTS", LengthChange::Times(0.25)),
            ("setpts=PTS-STARTPTS", LengthChange::Times(1.0)),
            ("setpts=N/(25*TB)", LengthChange::Unknown),
            ("setpts=0/0*PTS", LengthChange::Unknown),
            ("setpts=PTS*PTS", LengthChange::Unknown),
            ("setpts=", LengthChange::Unknown),
            ("atempo=2.0,atempo=2", LengthChange::Times(0.25)),
            ("atempo=0", LengthChange::Unknown),
            ("trim=5:10,setpts=PTS-STARTPTS", LengthChange::Unknown),
            ("pad=640:480", LengthChange::Times(1.0)),
            ("drawtext=text='a,trim=3'", LengthChange::Times(1.0)),
            ("select='between(t,1,2)',scale=2:2", LengthChange::Unknown),
            (
                "[0:v][0:a][1:v][1:a]concat=n=2:v=1:a=1[v][a]",
                LengthChange::Sum,
            ),
            (
                "[0:v]setpts=0.5*PTS[a];[a][1:v]concat=n=2[v]",
                LengthChange::Unknown,
            ),
            (
                "[0:v]setpts=PTS-STARTPTS[a];[a][1:v]concat=n=2[v]",
                LengthChange::Sum,
            ),
            ("[0:v]scale=2:2[v]", LengthChange::Times(1.0)),
            ("[", LengthChange::Times(1.0)),
            ("", LengthChange::Times(1.0)),
        ] {
            assert_eq!(change(graph), expected, "{graph}");
        }
    }
}
