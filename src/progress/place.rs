//! Where a number stands in its line, and how far it is believed there.

use super::number::{ending_at, is_blank, starting_at};
use super::{bar, words};

/// How much what stands around a number says that it is how far the work is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Trust {
    /// Nothing: it is prose.
    Prose,
    /// It ends a line that is drawn over.
    Drawn,
    /// It is said to be done: `45% done`.
    Said,
    /// It has a label of any kind: `in.bin: 45%`.
    Labelled,
    /// It has one that speaks of progress: `Extracting: 45%`.
    Named,
    /// It is the first thing in its line.
    First,
    /// It stands beside a bar.
    Bar,
}

/// A number's place in its line.
pub(super) struct NumberPlace<'a> {
    /// What stands before it, without a bracket that opens just there.
    head: &'a str,
    /// What stands behind it.
    tail: &'a str,
    opening: Option<char>,
    redrawn: bool,
    /// The line's beginning is missing.
    continued: bool,
}

/// What follows a number.
#[derive(PartialEq)]
enum NextWord {
    /// No word.
    NoWord,
    /// That it is done, or of how much it is.
    Done,
    /// Of something that isn't a number.
    OfSomething,
    /// That it is something else.
    Other,
    /// Any other word.
    Word,
}

impl<'a> NumberPlace<'a> {
    pub fn new(head: &'a str, tail: &'a str, redrawn: bool, continued: bool) -> NumberPlace<'a> {
        let head = head.trim_end_matches(char::is_whitespace);
        let opening = head.chars().next_back();
        let opening = opening.filter(|c| matches!(c, '[' | '(' | '<'));
        let head = opening.map_or(head, |c| &head[..head.len() - c.len_utf8()]);
        NumberPlace {
            head: head.trim_end(),
            tail,
            opening,
            redrawn,
            continued,
        }
    }

    /// What stands before the number, without an opening bracket.
    pub fn head(&self) -> &'a str {
        self.head
    }

    /// What stands behind it.
    pub fn tail(&self) -> &'a str {
        self.tail
    }

    /// How far a percentage is believed here.
    pub fn of_percent(&self) -> Trust {
        if self.is_beside_bar() {
            return Trust::Bar;
        }
        let next = self.next();
        let is_behind_bar = self.is_behind_bar();
        if self.is_of_other() && !(is_behind_bar && next != NextWord::Other) {
            return Trust::Prose;
        }
        if is_behind_bar {
            return Trust::Bar;
        }
        let is_prose = (next == NextWord::OfSomething || self.is_in_table()) && !self.redrawn;
        if self.is_first() && !is_prose {
            return Trust::First;
        }
        if let Some(standing) = self.labelled().or_else(|| self.behind_amount())
            && !is_prose
        {
            return match standing {
                // That is said twice then.
                Trust::Labelled if next == NextWord::Done => Trust::Named,
                // It may be a name: `[download] 99% real.mp4 has already been downloaded`.
                Trust::Named if next == NextWord::Word && !self.redrawn => Trust::Labelled,
                standing => standing,
            };
        }
        if words::speak_of_other(words::last(self.head)) {
            return Trust::Prose;
        }
        let ends = matches!(next, NextWord::NoWord | NextWord::Done);
        if let Some(standing) = self.behind_its_name()
            && !is_prose
        {
            return standing;
        }
        match self.opening {
            _ if next == NextWord::Done => Trust::Said,
            _ if ends && self.is_of_doing() => Trust::Said,
            Some('[') if next == NextWord::NoWord => Trust::Said,
            _ if self.redrawn && ends => Trust::Drawn,
            _ => Trust::Prose,
        }
    }

    /// How far a counter, as `3/10`, is believed here. One of data is sized.
    pub fn of_counter(&self, is_sized: bool) -> Trust {
        if self.is_beside_bar() || self.is_behind_bar() {
            return Trust::Bar;
        }
        if self.next() == NextWord::Other {
            return Trust::Prose;
        }
        if self.is_first() {
            let tail = self.tail.trim_matches(|c: char| is_blank(c) || c == ')');
            let is_alone = self.head.is_empty() && tail.is_empty();
            return match self.opening {
                _ if is_sized => Trust::First,
                _ if is_alone => Trust::Named,
                Some('[') => Trust::Named,
                // `(1/5) installing a`. Without brackets it may be a date.
                Some(_) if words::is_doing(words::first(tail)) => Trust::Named,
                _ => Trust::Labelled,
            };
        }
        let named = self.counted().or_else(|| self.labelled());
        if let Some(standing) = named.or_else(|| self.behind_amount()) {
            return standing;
        }
        // `Installing a-1.0   1/5`
        if !is_sized && self.opening.is_none() && self.tail.trim().is_empty() && self.is_of_doing()
        {
            return Trust::Labelled;
        }
        if self.redrawn && is_sized {
            Trust::Drawn
        } else if is_sized && self.is_of_doing() {
            Trust::Said
        } else {
            Trust::Prose
        }
    }

    /// Whether what is counted here is counted when it begins.
    pub fn is_begun(&self) -> bool {
        // Steps of a build: `#8 [2/4] RUN make`.
        let is_build = self.opening == Some('[') && self.head.starts_with('#');
        let head = (self.head.strip_suffix('#')).map_or(self.head, str::trim_end);
        is_build || words::is_begun(words::last(head))
    }

    /// Whether a percentage is of something else here, such as how well it was packed.
    pub fn is_of_other(&self) -> bool {
        self.is_ratio() || self.next() == NextWord::Other
    }

    /// Whether it stands in brackets at the beginning of its line: `(1/3) installing a`.
    pub fn is_in_front(&self) -> bool {
        self.head.is_empty() && self.opening.is_some() && !self.continued
    }

    /// Whether its label says that it is all of the work.
    pub fn is_of_all(&self) -> bool {
        words::speak_of_all(label(self.head))
    }

    /// Whether what stands just before it says nothing else than that: `file 20% total 5%`.
    pub fn is_named_as_all(&self) -> bool {
        words::name_all(self.own_label())
    }

    /// Whether it is said to be of something else, by what stands just before it or behind it.
    pub fn is_named_as_other(&self) -> bool {
        self.is_of_other() || words::speak_of_other(self.own_label())
    }

    /// What stands between it and the number, or the mark, before it.
    fn own_label(&self) -> &'a str {
        let from = self.head.trim_end_matches([':', '=', '-', ' ']);
        let ends = |c: char| c.is_ascii_digit() || "%:;|,[](){}".contains(c);
        &from[from.rfind(ends).map_or(0, |at| at + 1)..]
    }

    fn is_beside_bar(&self) -> bool {
        let tail = self.tail.trim_start_matches([']', ')', '>', ',']);
        bar::ends(self.head) || bar::begins(tail)
    }

    /// `[==>...]  recovery = 12.6%`: the line begins with a bar, and this is the first number
    /// behind it that could be its own.
    fn is_behind_bar(&self) -> bool {
        let behind = bar::behind(behind_log(self.head)).filter(|_| !self.continued);
        behind.is_some_and(|label| !label.contains('%') && !words::speak_of_other(label))
    }

    fn is_first(&self) -> bool {
        !self.continued && self.head.split(is_apart).all(is_no_word)
    }

    /// Behind two numbers that are nothing else: a row of a table, as `gzip -l` makes it.
    fn is_in_table(&self) -> bool {
        let pieces: Vec<&str> = self.head.split_whitespace().collect();
        let is_number = |it: &&str| it.bytes().all(|b| b.is_ascii_digit());
        pieces.len() > 1 && pieces.iter().all(is_number)
    }

    /// How well something was packed is no progress: `==> 52%`, `49.9% -- replaced with`.
    fn is_ratio(&self) -> bool {
        let names = self.head.strip_suffix('=');
        let names = names.map(|head| words::last(head.trim_end()));
        let is_equal = names.is_some_and(|name| !words::speak_of_progress(name));
        // `3000 -> 2500  83%`
        let mut sides = self.head.split("->").map(str::trim);
        let from = sides.next().unwrap_or_default().trim_end_matches('-');
        let is_from = from.trim_end().ends_with(|c: char| c.is_ascii_digit());
        let is_to = |to: &str| to.starts_with(|c: char| c.is_ascii_digit());
        is_equal
            || is_from && sides.next().is_some_and(is_to)
            || self.head.ends_with("=>")
            || self.tail.contains("=>")
            || self.tail.trim_start().starts_with("-- ")
    }

    fn labelled(&self) -> Option<Trust> {
        let label = label(self.head);
        let goes_on = self.head.ends_with("...") || self.head.ends_with('…');
        let is_label = goes_on || self.head.ends_with([':', ']', '=']);
        let speaks = words::speak_of_progress(label);
        if !(is_label || speaks && self.head.ends_with('-')) {
            return None;
        }
        // `[150/300] 50%  (hashing: 40%)`
        let is_aside = self.head.rfind('(') > self.head.rfind(')').max(Some(0));
        Some(if is_aside && speaks {
            Trust::Said
        } else if speaks || goes_on {
            Trust::Named
        } else if words::speak_of_other(label) {
            Trust::Prose
        } else {
            Trust::Labelled
        })
    }

    /// `scrubbed: 1.2GiB (12%)`: in brackets behind what it is of, which has the label.
    fn behind_amount(&self) -> Option<Trust> {
        let amount = ending_at(self.head, self.head.len()).filter(|_| self.opening == Some('('))?;
        let head = self.head[..amount.start].trim_end();
        let before = NumberPlace {
            head,
            opening: None,
            ..*self
        };
        match before.labelled()? {
            Trust::Labelled if !words::is_past(words::last(label(head))) => None,
            standing => Some(standing),
        }
    }

    /// `Step 3 of 7`, `Downloading 3/10`: with nothing but a label before it.
    fn counted(&self) -> Option<Trust> {
        let head = behind_log(self.head);
        // `item #3 of 5`
        let head = head.strip_suffix('#').map_or(head, str::trim_end);
        let word = words::last(head);
        let mut before = head[..head.len() - word.len()].trim_end();
        let standing = match word {
            _ if words::is_part_of_all(word) || words::is_doing(word) => Trust::Named,
            _ if words::is_begun(word) => Trust::Labelled,
            _ if words::is_progress(word) => Trust::Named,
            _ if words::is_past(word) => Trust::Labelled,
            _ => return None,
        };
        let doing = words::last(before);
        let is_done = words::is_doing(doing);
        if is_done {
            before = before[..before.len() - doing.len()].trim_end();
        }
        let is_alone = before.is_empty() || before.ends_with([':', ']', ')', '-', ',', '|']);
        let standing = if is_done { Trust::Named } else { standing };
        (is_alone && !self.continued).then_some(standing)
    }

    /// `Progress 20%`, `Downloading 20%`: with nothing else before it.
    fn behind_its_name(&self) -> Option<Trust> {
        let head = behind_log(self.head).trim_start();
        // As `mkvmerge --gui-mode` begins its lines.
        let head = head.strip_prefix("#GUI#").unwrap_or(head);
        let name = words::first(head);
        let is_all = !self.continued && name.len() == head.len();
        match name {
            _ if !is_all => None,
            _ if words::is_progress(name) || words::is_doing(name) => Some(Trust::Named),
            // `Converted 20%`
            _ if words::is_past(name) => Some(Trust::Labelled),
            _ => None,
        }
    }

    /// `Extracting a.zip 20%`
    fn is_of_doing(&self) -> bool {
        !self.continued && words::is_of_doing(self.head)
    }

    fn next(&self) -> NextWord {
        let closing = |c: char| is_blank(c) || matches!(c, ']' | ')' | '>' | ',' | ';' | '|');
        let tail = self.tail.trim_start_matches(closing);
        let word = words::first(tail);
        let rest = &tail[word.len()..];
        if word.eq_ignore_ascii_case("of") {
            let rest = rest.trim_start_matches([' ', '~']);
            return match starting_at(rest, 0) {
                Some(_) => NextWord::Done,
                None => NextWord::OfSomething,
            };
        }
        // `(11%)] Loss: 0.5`: it is the label of what follows.
        let is_apart = !self.tail.trim_start_matches(is_blank).starts_with(word);
        // So is it in `45% Speed: 3 MB/s`.
        let named = rest
            .trim_start()
            .strip_prefix([':', '='])
            .map(str::trim_start);
        let is_number = |it: &str| it.starts_with(|c: char| c.is_ascii_digit());
        let is_label = named.is_some_and(|it| is_apart || is_number(it));
        match word {
            "" => NextWord::NoWord,
            _ if is_label => NextWord::NoWord,
            _ if words::speak_of_other(word) => NextWord::Other,
            _ if word.eq_ignore_ascii_case("eta") => NextWord::Done,
            _ if words::is_progress(word) => NextWord::Done,
            // `[webpack.Progress] 10% building`
            _ if words::is_doing(word) => NextWord::NoWord,
            _ => NextWord::Word,
        }
    }
}

/// The label that a text ends with: what stands behind the label before it.
fn label(head: &str) -> &str {
    let inner = head.trim_end_matches([':', ']', '=', '-', '.', '…', ' ']);
    let from = inner
        .rfind([':', ';', '|', ',', ']'])
        .map_or(0, |at| at + 1);
    &inner[from..]
}

/// A line's text behind what a log puts before it: `2026-11-29T10:00:00Z INFO `. What follows
/// that at once may be a file's name, and is no first column.
fn behind_log(head: &str) -> &str {
    let mut rest = head;
    loop {
        let piece = rest.trim_start();
        let (word, behind) = piece.split_once(char::is_whitespace).unwrap_or((piece, ""));
        let bare = word.trim_matches(['[', ']', '<', '>', ':']);
        let is_time = |c: char| c.is_ascii_digit() || "-:/.,+TZ".contains(c);
        let marks = bare.matches(['-', ':', '/']).count();
        let is_stamp = marks > 1 && bare.chars().all(is_time);
        if behind.is_empty() || !(is_stamp || words::is_level(bare)) {
            return rest;
        }
        rest = behind;
    }
}

/// What stands between words.
fn is_apart(c: char) -> bool {
    c.is_whitespace() || "[](){}<>|,;*".contains(c)
}

/// A number, with its unit or without, the name of a thread or a download as `#3fa9c1`,
/// or none of that and no letters either.
fn is_no_word(piece: &str) -> bool {
    let starts_with_digit = piece.starts_with(|c: char| c.is_ascii_digit());
    starts_with_digit && piece.split('/').all(has_few_letters)
        || piece.starts_with('#') && piece.chars().skip(1).all(|c| c.is_ascii_hexdigit())
        || !piece.chars().any(char::is_alphabetic)
}

/// As many as a unit has.
fn has_few_letters(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).count() <= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(line: &str, redrawn: bool) -> Trust {
        let (head, tail) = line.split_once('@').unwrap();
        NumberPlace::new(head, tail, redrawn, false).of_percent()
    }

    #[test]
    fn a_percentage_is_believed_by_its_place() {
        for (line, expected) in [
            ("[=====>    ] @ ETA 0:00:02", Trust::Bar),
            ("50% x.pdf   @[==>   ]  4.01M", Trust::Bar),
            ("[ @] [####......]", Trust::Bar),
            ("@", Trust::First),
            ("  @ + Sale", Trust::First),
            ("6.00MiB 0:00:00 [16.2MiB/s] @ ETA", Trust::First),
            ("[#b9cca4 16MiB/60MiB(@) CN:1", Trust::First),
            ("[ @] Building C object", Trust::First),
            ("[0:01] @  13 files", Trust::First),
            ("Progress: @", Trust::Named),
            ("[download]  @ of 9MiB", Trust::Named),
            ("remote: Counting objects: @ (1/3)", Trust::Named),
            ("Reading package lists... @", Trust::Named),
            ("Total progress - @", Trust::Named),
            ("In:@ 00:00", Trust::Labelled),
            ("in.bin: @", Trust::Labelled),
            ("Copied @ of 3 GB", Trust::Named),
            ("tests/a.py::test PASSED [ @]", Trust::Said),
            ("Progress @", Trust::Named),
            ("Progress: @ Speed: 3 MB/s", Trust::Named),
            ("Fortschritt: @", Trust::Named),
            ("Downloading @ of 9MiB", Trust::Named),
            ("in.png: @ complete", Trust::Named),
            ("Extracting a.zip @", Trust::Said),
            ("Converted @", Trust::Labelled),
            ("Progress: @ of what there is", Trust::Prose),
            ("Progress: @ a.txt", Trust::Labelled),
            ("[download] Destination: @ real.mp4", Trust::Labelled),
            ("Téléchargement : @", Trust::Named),
            ("Готово: @", Trust::Named),
            ("2026-11-29T10:00:00Z INFO progress @", Trust::Named),
            (
                "      [==>.....]  recovery = @ (37043392/292945152) finish=127.5min",
                Trust::Bar,
            ),
            (
                "2026-11-29T10:00:00.000+0000\t[##....]  db.coll  5.00MB/45.0MB  (@)",
                Trust::Bar,
            ),
            ("print_progress_callback: progress =  @", Trust::Named),
            ("#GUI#progress @", Trust::Named),
            ("Bytes scrubbed:   1.23GiB  (@)", Trust::Labelled),
            ("2026-11-29 10:00:00,123 progress @", Trust::Named),
            ("[10:00:00] [INFO] Downloading @", Trust::Named),
            ("2026/11/29 10:00:00 INFO  : @ a: Copied", Trust::Labelled),
        ] {
            assert_eq!(standing(line, false), expected, "{line}");
        }
        assert_eq!(standing("a.bin  @", true), Trust::Drawn);
    }

    #[test]
    fn prose_and_ratios_are_not_believed() {
        for line in [
            "disk is @ full",
            "@ full",
            "cache hit rate @",
            "cache hit rate: @",
            "cpu: @",
            "memory at @ of limit",
            "@ of users prefer it",
            "Scaling it to @",
            "Running at @",
            "Using @ of memory",
            "Extracting Sale @ off.pdf",
            "10 + Sale @ off.pdf",
            "Read: 4.50 MiB / 60.0 MiB ==> @",
            "big.bin : @   (  60.0 MiB =>   30.0 MiB, z.zst)",
            "big.bin:\t @ -- created big.bin.gz",
            "  adding: big.bin (deflated @)",
            "[Merger] Merging into @ perfect.mkv",
            "1 packets transmitted, 0 received, @ packet loss",
            "@ uptime",
            "3000 -> 2500   @   linux/amd64",
            "20000 --> 15000 bytes (@), optimized.",
            "  31541717            62914560  @ half.bin",
            "2026-11-29T10:00:00Z WARN disk is @ full",
            "2026-11-29T10:00:00Z INFO @ of users prefer it",
            "[####    ] cpu @",
            "[==>     ] 12 files, @ smaller",
            "[....] Checking a.img @",
            "quality = @",
            "Memory: 1.2 GiB (@)",
            "Fan speed: @",
            "size: 600 KB (@)",
        ] {
            assert_eq!(standing(line, false), Trust::Prose, "{line}");
        }
        assert_eq!(standing("mem @", true), Trust::Prose);
        assert_eq!(standing("Sale @ off.pdf", true), Trust::Prose);
    }

    #[test]
    fn a_counter_is_believed_by_its_place() {
        for (line, is_sized, expected) in [
            ("[@] CC a.o", false, Trust::Named),
            ("Step @: fetch", false, Trust::Named),
            ("file @", false, Trust::Labelled),
            ("  Installing  : a-1.0   @", false, Trust::Labelled),
            ("Mem:2.00M | Scene | Sample @", false, Trust::Labelled),
            ("Processing file @", false, Trust::Named),
            ("Downloaded @ files", false, Trust::Named),
            ("Completed @ with 1 file remaining", true, Trust::Named),
            ("Downloading a.zip @", true, Trust::Said),
            ("Downloading a.zip @", false, Trust::Labelled),
            ("@ files", false, Trust::Labelled),
            ("Downloading @", false, Trust::Named),
            ("Building [===>   ] @: a1", false, Trust::Bar),
            ("@ MiB", true, Trust::First),
            ("@", false, Trust::Named),
            ("(@) a", false, Trust::Labelled),
            ("(@) installing a", false, Trust::Named),
            ("@ installing a", false, Trust::Labelled),
            ("item #@", false, Trust::Labelled),
            (
                "Scene, View Layer | Rendered @ Tiles",
                false,
                Trust::Labelled,
            ),
            (
                "Update (0x61) downloading, progress: 12.34 (@)",
                false,
                Trust::Named,
            ),
            ("(@)", false, Trust::Named),
            ("INFO Step @", false, Trust::Named),
            ("we are at step @ now", false, Trust::Prose),
            ("score @", false, Trust::Prose),
            ("Memory: @", true, Trust::Prose),
        ] {
            let (head, tail) = line.split_once('@').unwrap();
            let place = NumberPlace::new(head, tail, false, false);
            assert_eq!(place.of_counter(is_sized), expected, "{line}");
        }
    }
}
