//! How people write what they look for: words, quotes around spaces, `*` for any characters.

/// Words separated by spaces; quotes keep spaces together.
pub(crate) fn words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    while let Some((word, left)) = next_word(rest) {
        words.push(word);
        rest = left;
    }
    words
}

/// The first word of a text, without its quotes, and what follows it.
pub(crate) fn next_word(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let (mut word, mut quoted) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    return Some((word, &text[at..]));
                }
            }
            c => word.push(c),
        }
    }
    (!word.is_empty()).then_some((word, ""))
}

/// Whether the text is the pattern, whose `*` stand for any characters.
pub(crate) fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.find(middle) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_with_stars() {
        for (text, pattern, fits) in [
            ("orders.eu", "orders.eu", true),
            ("orders.eu", "orders.*", true),
            ("orders.eu", "*.eu", true),
            ("orders.eu", "o*s*u", true),
            ("orders.eu", "orders", false),
            ("orders.eu", "*us", false),
            ("", "*", true),
            ("", "", true),
        ] {
            assert_eq!(like(text, pattern), fits, "{text} {pattern}");
        }
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            words(" a  body:\"two words\" b"),
            ["a", "body:two words", "b"]
        );
        assert_eq!(next_word(" a b"), Some(("a".to_owned(), " b")));
        assert_eq!(next_word(" \"\" "), None);
    }
}
