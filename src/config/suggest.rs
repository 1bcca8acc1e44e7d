//! "Did you mean": the known key nearest to a mistyped one.

/// The candidate that needs the fewest edits, at most `allowed`, to become `wanted`. A part of a candidate in angle brackets stands for whatever `wanted` has there.
pub(super) fn nearest<'a>(
    wanted: &[String],
    candidates: impl Iterator<Item = &'a str>,
    allowed: usize,
) -> Option<String> {
    let typed = wanted.join(".");
    let mut best: Option<(usize, String)> = None;
    for candidate in candidates {
        let candidate = fill(candidate, wanted);
        let edits = distance(&typed, &candidate);
        if best.as_ref().is_none_or(|(fewest, _)| edits < *fewest) {
            best = Some((edits, candidate));
        }
    }
    best.filter(|(edits, _)| *edits <= allowed)
        .map(|(_, candidate)| candidate)
}

fn fill(candidate: &str, wanted: &[String]) -> String {
    let parts = candidate
        .split('.')
        .enumerate()
        .map(|(index, part)| match wanted.get(index) {
            Some(typed) if part.starts_with('<') => typed.as_str(),
            _ => part,
        });
    parts.collect::<Vec<_>>().join(".")
}

/// Levenshtein distance: insertions, deletions and replacements of characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn near_keys_are_suggested_and_far_ones_not() {
        let known = ["heartbeat", "listeners.tcp.<n>", "frame_max"];
        let suggest = |typed: &str| {
            let typed: Vec<String> = typed.split('.').map(str::to_owned).collect();
            nearest(&typed, known.into_iter(), 2)
        };
        assert_eq!(suggest("hartbeat").as_deref(), Some("heartbeat"));
        assert_eq!(
            suggest("listener.tcp.7").as_deref(),
            Some("listeners.tcp.7")
        );
        assert_eq!(suggest("something_else"), None);
    }
}
