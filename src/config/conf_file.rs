//! Reads the text of a rabbitmq.conf: one `a.b.c = value` a line.
//!
//! ```text
//! # a comment; %% starts one too, at the beginning of a line
//! listeners.tcp.default = 5672         # a comment after a value
//! default_pass          = 'p#ssw0rd'   # quotes keep a '#'
//! default_user          = $(USER_NAME) # environment variable
//! loopback_users.john\.doe = false     # a dot inside a part of the key
//! ```
//!
//! Knows no key: what they mean is decided in `keys`. Never panics, whatever the file holds.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while1};
use nom::character::complete::{char, space0};
use nom::combinator::{opt, rest, value, verify};
use nom::multi::{fold_many1, separated_list1};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// One setting as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The dotted key, split at its unescaped dots.
    pub(crate) key: Vec<String>,
    /// The value, unquoted and expanded.
    pub(crate) value: String,
    /// Line number, counted from 1.
    pub(crate) line: usize,
}

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Line number, counted from 1.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) text: String,
}

/// Splits a file into its settings, in file order. Lines that make no sense are returned beside
/// them, so that one run reports every mistake. `env` looks up an environment variable.
pub(crate) fn read(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Setting>, Vec<BadLine>) {
    let mut settings = Vec::new();
    let mut bad = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        match read_line(content, env) {
            Ok(None) => {}
            Ok(Some((key, value))) => settings.push(Setting { key, value, line }),
            Err(text) => bad.push(BadLine { line, text }),
        }
    }
    (settings, bad)
}

type KeyAndValue = (Vec<String>, String);

fn read_line(
    line: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<KeyAndValue>, String> {
    if blank_or_comment(line).is_ok() {
        return Ok(None);
    }
    if line.trim_start().starts_with("include ") {
        return Err("`include` is not supported: pass a folder of .conf files instead".to_owned());
    }
    let Ok((after_equals, key)) = terminated(key, (space0, char('='), space0)).parse(line) else {
        return Err("expected `key = value`".to_owned());
    };
    let Ok((after_value, raw)) = alt((quoted, unquoted)).parse(after_equals) else {
        return Err(format!(
            "`{}` has no value (an empty one is written '')",
            key.join(".")
        ));
    };
    if blank_or_comment(after_value).is_err() {
        return Err("unexpected text after the closing quote".to_owned());
    }
    Ok(Some((key, expand(raw, env)?)))
}

/// Nothing, or a comment, up to the end of the line.
fn blank_or_comment(input: &str) -> IResult<&str, ()> {
    let comment = (alt((tag("#"), tag("%%"))), rest);
    value((), (space0, opt(comment), nom::combinator::eof)).parse(input)
}

fn key(input: &str) -> IResult<&str, Vec<String>> {
    preceded(space0, separated_list1(char('.'), word)).parse(input)
}

/// One part of a key: letters, digits, `_`, `-` and escaped dots.
fn word(input: &str) -> IResult<&str, String> {
    let plain = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let dot = value(".", tag("\\."));
    fold_many1(alt((plain, dot)), String::new, |word, part: &str| {
        word + part
    })
    .parse(input)
}

fn quoted(input: &str) -> IResult<&str, &str> {
    delimited(char('\''), take_till(|c| c == '\''), char('\'')).parse(input)
}

/// Everything up to a `#` or the end, without trailing blanks; never empty, and never beginning
/// with a quote (that would be one left open).
fn unquoted(input: &str) -> IResult<&str, &str> {
    let text = take_till(|c| c == '#').map(str::trim_end);
    verify(text, |t: &str| !t.is_empty() && !t.starts_with('\'')).parse(input)
}

/// Replaces each `$(NAME)` by the environment variable of that name.
fn expand(raw: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(raw.len());
    let mut left = raw;
    while let Some((before, after)) = left.split_once("$(") {
        let Some((name, after)) = after.split_once(')') else {
            return Err("`$(` without a closing `)`".to_owned());
        };
        let Some(value) = env(name) else {
            return Err(format!("environment variable {name} is not set"));
        };
        out.push_str(before);
        out.push_str(&value);
        left = after;
    }
    out.push_str(left);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(name: &str) -> Option<String> {
        (name == "USER_NAME").then(|| "anna".to_owned())
    }

    fn settings(text: &str) -> Vec<(String, String, usize)> {
        let (settings, bad) = read(text, &env);
        assert_eq!(bad, vec![], "{text}");
        settings
            .into_iter()
            .map(|s| (s.key.join("/"), s.value, s.line))
            .collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut found = settings(text);
        assert_eq!(found.len(), 1, "{text}");
        let (key, value, _) = found.remove(0);
        (key, value)
    }

    fn complaint(text: &str) -> String {
        let (settings, mut bad) = read(text, &env);
        assert_eq!((settings.len(), bad.len()), (0, 1), "{text}");
        bad.remove(0).text
    }

    #[test]
    fn a_file_of_all_forms() {
        let text = "# comment\r\n\n  %% also one\n a.b.c = 1\r\nd=x y  # why\n\t\n e = ''\n";
        assert_eq!(
            settings(text),
            vec![
                ("a/b/c".to_owned(), "1".to_owned(), 4),
                ("d".to_owned(), "x y".to_owned(), 5),
                ("e".to_owned(), String::new(), 7),
            ]
        );
    }

    #[test]
    fn quotes_keep_hash_signs_and_blanks() {
        assert_eq!(one("p = 'a #b '  # c").1, "a #b ");
        assert_eq!(one("p = ab#c").1, "ab", "as RabbitMQ reads it");
        assert_eq!(one("p = it's").1, "it's");
    }

    #[test]
    fn escaped_dots_stay_in_their_part() {
        assert_eq!(one("u.john\\.doe = 1").0, "u/john.doe");
    }

    #[test]
    fn variables_are_expanded() {
        assert_eq!(one("u = x$(USER_NAME)y$(USER_NAME)").1, "xannayanna");
        assert_eq!(one("u = '$(USER_NAME)'").1, "anna");
        assert_eq!(one("u = $5").1, "$5");
        assert_eq!(
            complaint("u = $(NOPE)"),
            "environment variable NOPE is not set"
        );
        assert_eq!(complaint("u = $(NOPE"), "`$(` without a closing `)`");
    }

    #[test]
    fn nonsense_is_reported_with_its_line() {
        for text in [
            "what",
            "a b = 1",
            "= 1",
            "a. = 1",
            "a..b = 1",
            "[section]",
            "\u{e4} = 1",
        ] {
            assert_eq!(complaint(text), "expected `key = value`", "{text}");
        }
        for text in ["a =", "a = # x", "a = 'open"] {
            assert!(complaint(text).starts_with("`a` has no value"), "{text}");
        }
        assert_eq!(
            complaint("a = 'x' y"),
            "unexpected text after the closing quote"
        );
        assert!(complaint("include conf.d/*.conf").starts_with("`include` is not supported"));
        let (settings, bad) = read("a = 1\nbad\nb = 2\nworse\n", &env);
        assert_eq!(settings.len(), 2);
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), vec![2, 4]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*|[a-z.='#$() \n\\\\]*") {
            read(&text, &env);
        }

        #[test]
        fn what_is_written_quoted_is_read_back(word in "[a-z_]{1,9}", value in "[^'$\r\n]*") {
            prop_assert_eq!(one(&format!("{word} = '{value}'")), (word, value));
        }
    }
}
