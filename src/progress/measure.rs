//! The numbers in a line that may be how far the work is.

use super::number::{self, Number, is_blank};
use super::place::{NumberPlace, Trust};
use super::words;

/// What stands between the two numbers of a counter, besides `/`.
const OF: [&str; 9] = [
    " of ", " out of ", " von ", " sur ", " de ", " di ", " van ", " av ", " из ",
];
/// What stands behind a percentage, besides `%`.
const PERCENT: [&str; 5] = [" percent", " pct", " Prozent", " procent", " por ciento"];

/// A number that may be how far the work is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Measure<'a> {
    /// From 0 to 100.
    pub percent: f64,
    /// How far it is believed.
    pub standing: Trust,
    /// A counter, and not a percentage.
    pub is_counter: bool,
    /// It says that it is all of the work.
    pub is_of_all: bool,
    /// It does so where others of its line are of parts.
    pub is_whole: bool,
    /// Which part of how many is at work, where that is said: `Epoch 2/3`. It is counted in then.
    pub part: Option<(f64, f64)>,
    /// What stands before it in its line.
    pub head: &'a str,
    /// What stands behind it.
    pub tail: &'a str,
}

/// A counter, as `3/10` or `12.3 of 40.0 MiB`, in its line.
struct Fraction<'a> {
    done: Number,
    total: Number,
    /// Where it ends.
    end: usize,
    place: NumberPlace<'a>,
    standing: Trust,
}

/// A line that is looked through.
#[derive(Clone, Copy)]
pub(super) struct TextLine<'a> {
    /// The line.
    pub text: &'a str,
    /// It is drawn over another, or another over it.
    pub redrawn: bool,
    /// It is the rest of one that was too long.
    pub continued: bool,
}

/// The measure in a line that is believed most, as far as it is. Of two that are alike, a
/// percentage goes before a counter, the whole before a part, and then the first beside a
/// bar or in the first column, but the last elsewhere.
pub(super) fn best(row: TextLine<'_>) -> Option<Measure<'_>> {
    let counters = counters(row);
    let percents = percents(row, &counters);
    // Labels of several numbers are a table of something.
    let labels = percents.iter().filter(|it| it.standing == Trust::Labelled);
    let is_table = !row.redrawn && labels.count() > 1;
    let counted = counters.iter().filter_map(Fraction::measure);
    let all = percents.into_iter().chain(counted);
    let all = all.filter(|it| it.standing > Trust::Prose);
    let all = all.filter(|it| !(is_table && it.standing == Trust::Labelled));
    let rank = |it: &Measure<'_>| (it.is_whole, it.standing, !it.is_counter, it.is_of_all);
    let best = all.reduce(|best, it| {
        let later = it.standing < Trust::First || is_row(it.head);
        let later = later && rank(&it) == rank(&best);
        if later || rank(&it) > rank(&best) {
            it
        } else {
            best
        }
    })?;
    Some(match current_file(row.text) {
        Some((file, files)) => Measure {
            percent: tenths((file - 1.0 + best.percent / 100.0) / files),
            part: Some((file, files)),
            ..best
        },
        None => best,
    })
}

/// Which of how many files a line of zstd is about: `Compress: 1/2 files. Current: a Read: ...`.
fn current_file(text: &str) -> Option<(f64, f64)> {
    let (front, _) = text.split_once(" files. Current: ")?;
    let (file, files) = front.rsplit_once(' ')?.1.split_once('/')?;
    let (file, files) = (number::value(file)?, number::value(files)?);
    (1.0 <= file && file <= files).then_some((file, files))
}

/// A part of 1 in percent, rounded down so that 100 is not told before the end.
pub(super) fn tenths(part: f64) -> f64 {
    // What is 0.29 in decimals is a little less in a float.
    ((part + 1e-9) * 1000.0).floor() / 10.0
}

/// Whether a percentage behind this text is the newest of a row of them: `0%...10%...20%`.
fn is_row(head: &str) -> bool {
    let in_row = |c: char| c.is_ascii_digit() || matches!(c, '%' | '.' | ' ');
    head.contains("%.") && head.chars().all(in_row)
}

fn percents<'a>(row: TextLine<'a>, counters: &[Fraction<'a>]) -> Vec<Measure<'a>> {
    let mut is_of_other = false;
    let signs = row.text.match_indices('%');
    let words = PERCENT.iter().flat_map(|word| row.text.match_indices(word));
    let mut all: Vec<Measure> = signs
        .chain(words)
        .filter_map(|(at, sign)| {
            let before = before_sign(row, at, at + sign.len());
            before.or_else(|| after_sign(row, at).filter(|_| sign == "%"))
        })
        .filter_map(|(number, end)| {
            let (head, tail) = (&row.text[..number.start], &row.text[end..]);
            let place = NumberPlace::new(head, tail, row.redrawn, row.continued);
            let mut measure = Measure {
                percent: number.value,
                standing: place.of_percent(),
                is_counter: false,
                is_of_all: place.is_of_all(),
                is_whole: place.is_named_as_all(),
                part: None,
                head: place.head(),
                tail,
            };
            is_of_other |= place.is_named_as_other();
            let counter = counters
                .iter()
                .rfind(|it| it.belongs(row.text, number.start));
            if let Some(counter) = counter
                && !place.is_of_other()
            {
                measure.standing = match (measure.standing, counter.standing) {
                    // It is said twice: `[6400/60000 (11%)]`.
                    (Trust::Prose, Trust::Prose)
                        if head.ends_with('(') && counter.agrees(measure.percent) =>
                    {
                        Trust::Labelled
                    }
                    // It has a label, and is said to be of what is done.
                    (Trust::Said, Trust::Labelled) => Trust::Named,
                    (own, of_counter) => own.max(of_counter),
                };
                measure.head = counter.place.head();
                // Of one of several tasks.
                let steps = counter.steps().filter(|steps| steps.1 > 1.0);
                if let Some((step, steps)) = steps.filter(|_| counter.is_of_parts()) {
                    let percent = (step - 1.0 + measure.percent / 100.0) / steps;
                    measure.percent = tenths(percent);
                    measure.part = Some((step, steps));
                }
            }
            // `(2/3) installing a  [#####] 50%`
            let front = counters.iter().find_map(|it| it.of_part(measure.percent));
            if let Some(percent) = front {
                measure.percent = percent;
            }
            (0.0..=100.0).contains(&measure.percent).then_some(measure)
        })
        .collect();
    // `file 60% total 20%`, but not `cache 60% total 20%`.
    let has_parts = all.len() > 1 && !is_of_other;
    for it in &mut all {
        it.is_whole &= has_parts;
        if it.is_whole {
            it.standing = it.standing.max(Trust::Named);
        }
    }
    all
}

/// The number that ends at the percent sign from `sign` to `end`, and where the percentage ends. Not
/// every sign has one: `%20` in a URL, `50%off`, `-5%` and `99%.pdf` say nothing.
fn before_sign(row: TextLine<'_>, sign: usize, end: usize) -> Option<(Number, usize)> {
    let after = &row.text[end..];
    // `10%完了`: in these scripts words need no spaces.
    let is_unspaced = after.starts_with(|c| ('\u{3040}'..='\u{9fff}').contains(&c));
    if !(ends_number(after) || is_unspaced) || after.starts_with(['%', '/']) {
        return None;
    }
    let head = &row.text[..sign];
    let head = head.strip_suffix(is_blank).unwrap_or(head);
    let number = number::ending_at(row.text, head.len())?;
    let before = row.text[..number.start].chars().next_back();
    let glued = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '%' | '/' | '\\' | '.');
    let is_half = before.is_none() && row.continued;
    let is_led_to = row.text[..number.start].ends_with("..");
    let is_glued = before.is_some_and(glued) && !is_led_to;
    let is_alone = !is_half && !is_glued && number.unit.is_none();
    is_alone.then_some((number, end))
}

/// The number that begins behind the percent sign, as in Turkish: `%40`.
fn after_sign(row: TextLine<'_>, sign: usize) -> Option<(Number, usize)> {
    let before = row.text[..sign].chars().next_back();
    let is_apart = before.is_none_or(|c| c.is_whitespace() || matches!(c, '[' | '(' | ':'));
    if !is_apart || (before.is_none() && row.continued) {
        return None;
    }
    let rest = &row.text[sign + 1..];
    // `% 40`, where nothing stands before it.
    let is_begin = row.text[..sign].trim().is_empty();
    let unspaced = rest.strip_prefix(is_blank).filter(|_| is_begin);
    let rest = unspaced.unwrap_or(rest);
    let start = row.text.len() - rest.len();
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','));
    let number = number::ending_at(row.text, row.text.len() - digits.len())?;
    let is_alone = number.start == start && ends_number(digits) && !digits.starts_with('%');
    let number = Number {
        start: sign,
        ..number
    };
    is_alone.then_some((number, row.text.len() - digits.len()))
}

/// Whether what follows a number leaves it a number: no letter, and none behind a point.
fn ends_number(after: &str) -> bool {
    let mut chars = after.chars();
    match (chars.next(), chars.next()) {
        (Some('.' | '-' | '/' | ','), Some(c)) => !c.is_alphanumeric(),
        (Some(c), _) => !c.is_alphanumeric() && c != '_',
        (None, _) => true,
    }
}

fn counters(row: TextLine<'_>) -> Vec<Fraction<'_>> {
    let slashes = row.text.match_indices('/');
    let ofs = OF.iter().flat_map(|of| row.text.match_indices(of));
    let mut found: Vec<Fraction> = Vec::new();
    for (at, sign) in slashes.chain(ofs) {
        if let Some(it) = counter(row, at, at + sign.len()) {
            let place = found.partition_point(|before| before.end <= it.end);
            found.insert(place, it);
        }
    }
    found
}

/// The counter whose sign is from `sign` to `after`.
fn counter(row: TextLine<'_>, sign: usize, after: usize) -> Option<Fraction<'_>> {
    let text = row.text;
    let blank = text[after..].len() - text[after..].trim_start_matches(is_blank).len();
    let mut total = number::starting_at(text, after + blank)?;
    let done_end = text[..sign].trim_end_matches(is_blank).len();
    let mut done = number::ending_at(text, done_end)?;
    let in_groups = number::starting_in_groups(text, after + blank)?;
    let are_apart = text[sign..after + blank].contains(is_blank);
    if let Some(it) =
        number::ending_in_groups(text, done_end).filter(|it| it.value <= in_groups.value)
    {
        (done, total) = (it, in_groups);
    } else if are_apart && in_groups.unit == done.unit {
        total = in_groups;
    }
    // One unit may be enough for both.
    if let (None, Some(unit)) = (done.unit, total.unit) {
        done.value *= unit;
    }
    if let (Some(_), None) = (done.unit, total.unit) {
        return None;
    }
    let before = text[..done.start].chars().next_back();
    let glued = |c: char| c.is_alphanumeric() || "_-./\\=:%~+".contains(c);
    let is_half = before.is_none() && row.continued;
    let mut end = total.end;
    let mut tail = &text[end..];
    // `(3.33/100%)` is a percentage.
    if total.value == 100.0 && total.unit.is_none() && tail.starts_with('%') {
        end += 1;
        tail = &text[end..];
        total.unit = Some(1.0);
    }
    // A date has a third number, or a time behind it, and a path a name.
    let is_date = tail.trim_start().split_once(':').is_some_and(|(hour, _)| {
        (1..=2).contains(&hour.len()) && hour.bytes().all(|b| b.is_ascii_digit())
    });
    let is_whole = total.unit.is_some() || total.value.fract() == 0.0;
    let is_one = before.is_none_or(|c| !glued(c)) && !is_half && ends_number(tail);
    if !is_one || is_date || !is_whole || total.value <= 0.0 || done.value > total.value {
        return None;
    }
    if tail.starts_with(['%', '/']) {
        return None;
    }
    let place = NumberPlace::new(&text[..done.start], tail, row.redrawn, row.continued);
    let standing = place.of_counter(total.unit.is_some());
    Some(Fraction {
        done,
        total,
        end,
        place,
        standing,
    })
}

impl<'a> Fraction<'a> {
    fn measure(&self) -> Option<Measure<'a>> {
        // One of one says nothing.
        if self.total.unit.is_none() && self.total.value < 2.0 {
            return None;
        }
        let done = match self.steps() {
            Some((step, _)) => step - 1.0,
            None => self.done.value,
        };
        // Rounded down, so that 100 is not told before the end.
        let percent = (done / self.total.value * 1000.0).floor() / 10.0;
        (0.0..=100.0).contains(&percent).then_some(Measure {
            percent,
            standing: self.standing,
            is_counter: true,
            is_of_all: self.place.is_of_all(),
            is_whole: false,
            part: self.steps().filter(|_| self.is_of_parts()),
            head: self.place.head(),
            tail: self.place.tail(),
        })
    }

    /// Which of how many is at work, where it is counted when it begins.
    fn steps(&self) -> Option<(f64, f64)> {
        let is_begun = self.place.is_begun() && self.total.unit.is_none();
        (is_begun && self.done.value >= 1.0).then_some((self.done.value, self.total.value))
    }

    /// How far all of it is, where this is in front of its line and counts parts, of which the
    /// newest has come so far. Both may say the same, though.
    fn of_part(&self, percent: f64) -> Option<f64> {
        let (part, parts) = (self.done.value, self.total.value);
        let counts = self.place.is_in_front() && self.total.unit.is_none() && part >= 1.0;
        let is_same = (part / parts * 100.0 - percent).abs() <= 1.0;
        (counts && !is_same).then(|| tenths((part - 1.0 + percent / 100.0) / parts))
    }

    /// Whether a percentage behind it says the same of what isn't known to be something else.
    fn agrees(&self, percent: f64) -> bool {
        let own = self.done.value / self.total.value * 100.0;
        (own - percent).abs() <= 1.0 && !words::speak_of_other(self.place.head())
    }

    fn is_of_parts(&self) -> bool {
        words::is_part_of_all(words::last(self.place.head()))
    }

    /// Whether the percentage at `start` is of this counter: `50 of 2000, 2%`.
    fn belongs(&self, text: &str, start: usize) -> bool {
        let Some(between) = text.get(self.end..start) else {
            return false;
        };
        let between = between.trim_matches([' ', ',', ':', '(', '[', ')', ']']);
        words::first(between).len() == between.len() && between.len() <= 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, redrawn: bool) -> Option<f64> {
        let row = TextLine {
            text,
            redrawn,
            continued: false,
        };
        best(row).map(|it| it.percent)
    }

    #[test]
    fn a_percentage_is_read_as_it_is_written() {
        for (line, percent) in [
            ("50%", 50.0),
            ("  43.5% done", 43.5),
            ("[ 45.67 %]", 45.67),
            ("12,5%", 12.5),
            ("(99%)", 99.0),
            ("progress:7%|###   |", 7.0),
            ("100.0%", 100.0),
            ("10\u{a0}% fertig", 10.0),
            ("20,5\u{202f}% fini", 20.5),
            ("%40 tamam", 40.0),
            ("ilerleme: %12,5", 12.5),
            ("% 45 osatuta", 45.0),
            ("10\u{2009}% klart", 10.0),
            ("50% of 200%", 50.0),
            ("10 percent complete", 10.0),
            ("Progress: 7.5 pct", 7.5),
            ("20% file%20name", 20.0),
            ("10%完了", 10.0),
            ("[6400/60000 (11%)] Loss: 0.5", 11.0),
        ] {
            assert_eq!(told(line, false), Some(percent), "{line}");
        }
        for line in [
            "",
            "%",
            "%%",
            "5",
            "50%off",
            "a%20b",
            "100%25",
            "-5%",
            "v2%",
            "101%",
            "1e2%",
            "1.2.3%",
            ".5%",
            "1,234%",
            "x_5%",
            "5  %",
            "½%",
            "5%%",
            "Report 99%.pdf",
            "99999999999999999999999999999999999%",
            "%5%",
            "a %20b",
            "%",
            "5 %d",
            "1/2%",
            "5%/s",
            "5 percents",
            "v5 percent",
        ] {
            assert_eq!(told(line, true), None, "{line}");
        }
    }

    #[test]
    fn a_counter_is_read_as_it_is_written() {
        for (line, percent) in [
            ("[12/340] CC a.o", 3.5),
            ("3/10", 30.0),
            ("Step 3 of 7", 28.5),
            ("10 out of 40 done", 25.0),
            ("Schritt 3 von 4: packen", 50.0),
            ("Étape 2 sur 4", 25.0),
            ("Step 3/7 : RUN make", 28.5),
            ("#8 [2/4] RUN make", 25.0),
            ("12.3/40.0 MiB", 30.7),
            ("Downloading 900 KiB / 1.8 MiB", 48.8),
            ("    (3.33/100%)", 3.3),
            ("/* Building [===>   ] 3/6: a1, a3", 50.0),
            ("Progress 16384 of 65536", 25.0),
            ("item #3 of 5", 40.0),
            ("2/4 b.txt", 50.0),
            ("Datei 2 von 4", 25.0),
            ("3 / 5 678", 0.0),
            ("Copied 1 234 of 5 678 files", 21.7),
            ("1\u{202f}234/5\u{202f}678", 21.7),
            ("12 345 / 5 678", 6.0),
            ("Downloading 3 of 10 200 MB", 30.0),
        ] {
            assert_eq!(told(line, false), Some(percent), "{line}");
        }
        for line in [
            "11/28 23:34:35 [NOTICE] Downloading 1 item(s)",
            "2026/11/28 23:35:05 INFO",
            "big.bin (1/1)",
            "1/1",
            "10/3",
            "(xfr#1, to-chk=1/2)",
            "v1/2",
            "30 MB / 5",
            "/usr/2/3",
            "5 MB/s",
            "0/0",
            "12/16 GB used",
            "retrying (2 of 3)",
            "Using 4/8 cores",
            "web   1.50%   14MiB / 2GiB   0.70%",
        ] {
            assert_eq!(told(line, false), None, "{line}");
        }
    }

    #[test]
    fn the_lines_own_bar_or_first_column_wins() {
        for (line, percent) in [
            (" 10% 2 + Sale 50% off.pdf", 10.0),
            (" 30% 4 + Report 99%.pdf", 30.0),
            ("Sale 50% off.pdf   49%[=====>     ]  14.27M", 49.0),
            ("50% x.pdf  [====>    ] 20%", 20.0),
            ("Extracting Sale 50% off.pdf  13%", 13.0),
            ("0%...10%...20%...", 20.0),
            ("[download]  20.0% of 9MiB at 50% off", 20.0),
            ("Current progress - 5%  , Total progress - 10%", 10.0),
            ("big.bin at 14680064 (23%) [Receiving data]", 23.0),
            ("[#b9cca4 16MiB/60MiB(26%) CN:1 DL:15MiB ETA:2s]", 26.0),
            ("  1.5 %   0.9 MiB / 1.9 MiB = 0.955", 1.5),
            ("Read:  4.50 MiB /  60.0 MiB ==> 56%", 7.5),
        ] {
            assert_eq!(told(line, true), Some(percent), "{line}");
        }
    }

    #[test]
    fn the_whole_goes_before_a_part_wherever_they_stand() {
        for line in [
            "file 60% total 20%",
            "60% (total 20%)",
            "current 60% overall 20%",
            "Total: 20% | a.bin: 60%",
            "a.bin: 60% | all 20%",
            "overall progress 20% (this file 60%)",
            "[total 20%] a.bin [####    ] 60%",
            "a.bin [####    ] 60% total [##  ] 20%",
            "Datei 60 %, gesamt 20 %",
        ] {
            for redrawn in [false, true] {
                assert_eq!(told(line, redrawn), Some(20.0), "{line}");
            }
        }
        for prose in [
            "cache 60% total 20%",
            "disk: 60% used, total 20%",
            "memory 60%, all 20%",
        ] {
            assert_eq!(told(prose, false), None, "{prose}");
        }
    }

    #[test]
    fn a_percentage_behind_a_counter_is_its_own_or_that_of_one_part() {
        for (line, percent) in [
            ("save image[o.png]: 1700 of 2566, 66% complete", 66.0),
            ("progressreport0 (00:00:02): 1 / 20 seconds ( 5.0 %)", 5.0),
            (
                "Encoding: task 1 of 1, 20.20 % (120 fps, ETA 00h00m12s)",
                20.2,
            ),
            ("Encoding: task 2 of 2, 20.00 %", 60.0),
            ("Pass 1 of 2: 50%", 25.0),
            (
                "Progress [150/300, 5 pairs matched] 50%  (hashing: 40%)",
                50.0,
            ),
            ("(2/3) installing a   [######] 100%", 66.6),
            ("(2/4) installing a   [####  ] 60%", 40.0),
            (
                "Compress: 2/2 files. Current: r.bin Read: 4 MiB / 8 MiB ==> 10%",
                75.0,
            ),
            ("[1/2] [###   ] 50%", 50.0),
            ("(3/10) 45%", 24.5),
            ("Receiving objects:  33% (1/3)", 33.0),
            ("     0/768    ( 0%)|    0:00/    0:00|", 0.0),
        ] {
            assert_eq!(told(line, false), Some(percent), "{line}");
        }
    }

    #[test]
    fn a_table_of_labels_is_none_of_progress() {
        assert_eq!(told("intra:16.6% inter:28.0%", false), None);
        assert_eq!(told("ref P L0: 73.0%  4.8% 19.3%", false), Some(73.0));
    }

    #[test]
    fn half_a_number_at_a_cut_is_not_believed() {
        let row = |text| TextLine {
            text,
            redrawn: true,
            continued: true,
        };
        assert_eq!(best(row("0% done")), None);
        assert_eq!(best(row("2/10 done")), None);
        assert_eq!(best(row(" 10% done")).map(|it| it.percent), Some(10.0));
    }
}
