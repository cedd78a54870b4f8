//! The table curl draws by default: percentages without a sign.

/// Whether a line is the head of the table, after which its rows are believed.
pub(in crate::progress) fn is_header(line: &str) -> bool {
    line.starts_with('%') && line.contains("Total") && line.contains("Xferd")
}

/// The percentage in a row of the table. A row has twelve columns, the ninth to
/// eleventh are times; curl says 0 percent while it does not know the total, which
/// is the second.
pub(in crate::progress) fn percent(line: &str) -> Option<f64> {
    let mut columns = [""; 12];
    let mut words = line.split_ascii_whitespace();
    for column in &mut columns {
        *column = words.next()?;
    }
    let times = columns[8..11]
        .iter()
        .all(|time| time.contains(':') || time.contains('d'));
    if words.next().is_some() || !times || columns[1] == "0" {
        return None;
    }
    crate::progress::number::percentage(columns[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_table_tells_its_first_column() {
        let row = "32 28.6M   32 9663k    0     0   9.9M      0  0:00:02 --:--:--  0:00:02  9.9M";
        assert_eq!(percent(row), Some(32.0));
    }

    #[test]
    fn an_unknown_total_is_no_progress() {
        let row = "0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0";
        assert_eq!(percent(row), None);
    }

    #[test]
    fn other_tables_are_not_taken_for_it() {
        for line in [
            "",
            "1 2 3 4 5 6 7 8 9 10 11 12",
            "50 a:b",
            "1 2 3 4 5 6 7 8 : : : 9 10",
        ] {
            assert_eq!(percent(line), None, "{line}");
        }
        assert!(!is_header("% of everything"));
        assert!(is_header(
            "% Total    % Received % Xferd  Average Speed   Time"
        ));
    }
}
