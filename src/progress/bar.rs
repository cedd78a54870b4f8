//! Bars: `[====>    ]`, `|###  |`, `━━━━━`.

/// The shortest run without brackets that is a bar, in characters.
const RUN_MIN: usize = 3;
/// The shortest bar in brackets that is still empty.
const EMPTY_MIN: usize = 8;

/// Whether a text ends with a bar.
pub(super) fn ends(text: &str) -> bool {
    let text = text.trim_end();
    let Some(last) = text.chars().next_back() else {
        return false;
    };
    if is_full(last) {
        return text.chars().rev().take_while(|c| is_full(*c)).count() >= RUN_MIN;
    }
    let open = match last {
        ']' => '[',
        ')' => '(',
        '|' => '|',
        _ => return false,
    };
    let inner = &text[..text.len() - 1];
    inner
        .rfind(open)
        .is_some_and(|at| is_inner(&inner[at + 1..]))
}

/// Whether a text begins with a bar.
pub(super) fn begins(text: &str) -> bool {
    let text = text.trim_start();
    let is_run = text.chars().take_while(|c| is_full(*c)).count() >= RUN_MIN;
    is_run || bracketed(text).is_some_and(|(inner, _)| is_inner(inner))
}

/// What stands behind the bar in brackets that a text begins with, where any of that is full.
pub(super) fn behind(text: &str) -> Option<&str> {
    let (inner, behind) = bracketed(text.trim_start())?;
    let is_begun = inner.contains(|c| is_full(c) || c == '>');
    (is_begun && is_inner(inner)).then_some(behind)
}

/// What stands between the brackets that a text begins with, and what behind them.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let (close, inner) = match text.chars().next()? {
        '[' => (']', &text[1..]),
        '(' => (')', &text[1..]),
        '|' => ('|', &text[1..]),
        _ => return None,
    };
    inner.split_once(close)
}

/// Whether this is what stands between the ends of a bar.
fn is_inner(text: &str) -> bool {
    let count = text.chars().count();
    let is_empty = text.chars().all(|c| c == ' ');
    // tqdm ends its bar with a digit, for tenths of a character; a wheel may turn there.
    let in_bar = |c: char| {
        is_full(c) || " -.+*_:>~/\\".contains(c) || c.is_ascii_digit() || matches!(c, 'o' | 'O')
    };
    let has_full = text.chars().any(|c| is_full(c) || "-.+*>".contains(c));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if is_empty {
        count >= EMPTY_MIN
    } else {
        count >= RUN_MIN && has_full && digits <= 1 && text.chars().all(in_bar)
    }
}

/// What the part of a bar that is done is drawn with.
fn is_full(c: char) -> bool {
    let drawn = [
        '\u{2500}'..='\u{259f}',
        '\u{25a0}'..='\u{25ff}',
        '\u{2800}'..='\u{28ff}',
    ];
    matches!(c, '#' | '=') || drawn.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_known_by_how_they_are_drawn() {
        for bar in [
            "[=====>      ]",
            "[===>]",
            "[                    ]",
            "|####5     |",
            "[#########.....]",
            "[======/         ]",
            "██████░░░░",
            "━━━━━━━━╸",
            "#########",
            "(----------)",
        ] {
            assert!(ends(&format!("name {bar} ")), "{bar}");
            assert!(begins(&format!(" {bar} 12%")), "{bar}");
        }
    }

    #[test]
    fn brackets_around_something_else_are_no_bar() {
        for text in [
            "",
            "[download]",
            "[12/34]",
            "[  ]",
            "(99)",
            "a | b |",
            "==",
            "[ 4.9]",
            "[-]",
        ] {
            assert!(!ends(text) && !begins(text), "{text}");
        }
    }
}
