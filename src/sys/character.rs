//! Characters of strangers' texts, before they are shown.

/// Whether a character shows itself and nothing else by it: none of control, of direction (with
/// which `gpj.exe` can look like `exe.jpg`), or of lines, and none that nobody sees but those
/// that join letters and emoji, or keep them apart.
pub fn is_printable(c: char) -> bool {
    let is_unseen = matches!(
        c,
        '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    );
    let is_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let is_line = matches!(c, '\u{2028}' | '\u{2029}');
    !(c.is_control() || is_direction || is_line || is_unseen)
}
