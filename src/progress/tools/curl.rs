//! The table curl draws by default: percentages without a sign.

/// Whether a line is the head of the table, after which its rows are believed.
pub(in crate::progress) fn is_header(line: &str) -> bool {
    line.starts_with('%') && line.contains("Total") && line.contains("Xferd")
        || line.starts_with("DL% UL% ")
}

/// The percentage in a row of the table. A row has twelve columns, or ten for several files at
/// once, the last but one and two before it are times; curl says 0 percent while it does not know
/// the total, which is the second of twelve.
pub(in crate::progress) fn percent(line: &str) -> Option<f64> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let (percent, times) = match columns[..] {
        [_, "0", _, _, _, _, _, _, _, _, _, _] => return None,
        [percent, _, _, _, _, _, _, _, ref times @ .., _] if times.len() == 3 => (percent, times),
        [down, up, _, _, _, _, ref times @ .., _] if times.len() == 3 => {
            (if down == "--" { up } else { down }, times)
        }
        _ => return None,
    };
    let is_time = |time: &&str| time.contains(':') || time.contains('d');
    let are_times = times.iter().all(is_time);
    crate::progress::number::percentage(percent).filter(|_| are_times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_table_tells_its_first_column() {
        let row = "32 28.6M   32 9663k    0     0   9.9M      0  0:00:02 --:--:--  0:00:02  9.9M";
        assert_eq!(percent(row), Some(32.0));
        let of_several = "77 --  11.8M     0     2     1   0:00:03  0:00:03 --:--:-- 3980k";
        assert_eq!(percent(of_several), Some(77.0));
        let unknown = "-- --  11.8M     0     2     1  --:--:--  0:00:03 --:--:-- 3980k";
        assert_eq!(percent(unknown), None);
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
        assert!(is_header("DL% UL%  Dled  Uled  Xfers  Live"));
        assert!(is_header(
            "% Total    % Received % Xferd  Average Speed   Time"
        ));
    }
}
