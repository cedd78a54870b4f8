//! The name that was meant, where one was mistyped.

/// The one of `names` that differs least from `typed`: in every third letter at most, and
/// in one where there are fewer. None where there is none so near.
pub fn nearest<'a>(typed: &str, names: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (typed.len() / 3).max(1);
    let near = names.filter(|name| name.len().abs_diff(typed.len()) <= most);
    let measured = near.map(|name| (distance(typed.as_bytes(), name.as_bytes()), name));
    let (distance, name) = measured.min_by_key(|(distance, _)| *distance)?;
    (distance <= most).then_some(name)
}

/// How many letters have to be added, left out, replaced, or swapped with the next.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        rows[i][0] = i;
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let changed = rows[i - 1][j].min(rows[i][j - 1]) + 1;
            rows[i][j] = replaced.min(changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_another_word_is_not() {
        let names = ["serve", "run", "watch", "publish", "ring-events"];
        for (typed, name) in [
            ("serv", Some("serve")),
            ("wacth", Some("watch")),
            ("pubilsh", Some("publish")),
            ("rnu", Some("run")),
            ("ring-event", Some("ring-events")),
            ("rings-event", Some("ring-events")),
            ("", None),
            ("x", None),
            ("sever", None),
            ("compile", None),
        ] {
            assert_eq!(nearest(typed, &mut names.into_iter()), name, "{typed}");
        }
    }
}
