//! Which rows of a list are wanted: RabbitMQ's `name` with `use_regex`, and the console's `filter`,
//! whose words look at any field.
//!
//! `state:running` compares, with `*` for any characters; `messages>10k` counts; `has:policy` and
//! `no:consumers` ask whether there is any; `name~^orders` is a regular expression; a word alone
//! is a part of the name. A minus before a word turns it round. All must hold.

use regex::{Regex, RegexBuilder};

use super::{Key, Listing, Row};
use crate::http::{ApiError, Query};
use crate::view::Json;
use crate::view::words::{like, words};

/// Characters of a regular expression at most.
const REGEX_MAX: usize = 1024;

/// What a page is filtered by.
#[derive(Debug)]
pub(super) enum Filter {
    /// In lower case.
    Substring(String),
    Pattern(Regex),
    Words(Vec<Word>),
}

/// One word of a filter.
#[derive(Debug)]
pub(super) struct Word {
    condition: Condition,
    /// It must not hold.
    not: bool,
}

#[derive(Debug)]
enum Condition {
    /// A part of the name, in lower case.
    Name(String),
    /// The name.
    Pattern(Regex),
    /// The field is that text, with `*` for any characters.
    Is(String, String),
    /// The field compares so with a number.
    Compared(String, Comparison, f64),
    /// The field is there and neither empty, zero nor false.
    Has(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

/// Short names of fields.
const SHORT: &[(&str, &str)] = &[
    ("ready", "messages_ready"),
    ("unacked", "messages_unacknowledged"),
    ("unconfirmed", "messages_unconfirmed"),
    ("bytes", "message_bytes"),
    ("in", "message_stats.publish_details.rate"),
    ("out", "message_stats.deliver_get_details.rate"),
    ("acks", "message_stats.ack_details.rate"),
    ("prefetch", "prefetch_count"),
    ("tag", "consumer_tag"),
    ("queue", "queue.name"),
    ("client", "user_provided_name"),
    ("product", "client_properties.product"),
    ("host", "peer_host"),
    ("tls", "ssl"),
];

impl Filter {
    /// The filter of a request; `invalid` is what RabbitMQ says of a bad one.
    pub(super) fn of(
        query: &Query,
        invalid: impl Fn() -> ApiError,
    ) -> Result<Option<Self>, ApiError> {
        if let Some(text) = query.get("filter").filter(|text| !text.is_empty()) {
            let all = words(text)
                .iter()
                .map(|word| Word::parse(word))
                .collect::<Result<_, _>>()
                .map_err(ApiError::bad_request)?;
            return Ok(Some(Self::Words(all)));
        }
        let Some(name) = query.get("name").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        if query.flag("use_regex") {
            let pattern = regex(name).ok_or_else(invalid)?;
            return Ok(Some(Self::Pattern(pattern)));
        }
        Ok(Some(Self::Substring(name.to_lowercase())))
    }

    /// Whether the row is wanted.
    pub(super) fn matches<R: Row>(&self, row: &R, listing: &Listing) -> bool {
        match self {
            Self::Substring(part) => row.name().to_lowercase().contains(part),
            Self::Pattern(pattern) => pattern.is_match(&row.name()),
            Self::Words(words) => {
                let mut rendered = None;
                let mut holds = |word: &Word| word.holds(row, listing, &mut rendered);
                words.iter().all(&mut holds)
            }
        }
    }

    /// Whether it depends on this field of the rows.
    pub(super) fn looks_at(&self, field: &str) -> bool {
        let Self::Words(words) = self else {
            return false;
        };
        let mut paths = words.iter().filter_map(|word| word.condition.path());
        paths.any(|path| path.split('.').next() == Some(field))
    }
}

impl Word {
    fn parse(word: &str) -> Result<Self, String> {
        let (not, rest) = match word.strip_prefix('-') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, word),
        };
        let (condition, other_way) = condition(rest)?;
        Ok(Self {
            condition,
            not: not != other_way,
        })
    }

    fn holds<R: Row>(&self, row: &R, listing: &Listing, rendered: &mut Option<Json>) -> bool {
        let mut key = |path: &str| {
            row.key(path).unwrap_or_else(|| {
                let rendered = rendered.get_or_insert_with(|| row.render(listing).into());
                Key::of(rendered.at(path))
            })
        };
        let holds = match &self.condition {
            Condition::Name(part) => named(row, |name| name.to_lowercase().contains(part)),
            Condition::Pattern(pattern) => named(row, |name| pattern.is_match(name)),
            Condition::Is(path, pattern) => like(&text(&key(path)), pattern),
            Condition::Compared(path, comparison, than) => match key(path) {
                Key::Number(n) => comparison.holds(n, *than),
                _ => false,
            },
            Condition::Has(path) => there(&key(path)),
        };
        holds != self.not
    }
}

/// Whether one of the names fits.
fn named<R: Row>(row: &R, fits: impl Fn(&str) -> bool) -> bool {
    fits(&row.name()) || row.also_named().is_some_and(|name| fits(&name))
}

impl Condition {
    fn path(&self) -> Option<&str> {
        match self {
            Self::Name(_) | Self::Pattern(_) => None,
            Self::Is(path, _) | Self::Compared(path, ..) | Self::Has(path) => Some(path),
        }
    }
}

impl Comparison {
    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::More => a > b,
            Self::AtLeast => a >= b,
            Self::Equal => a == b,
        }
    }
}

/// The condition, and whether it is meant the other way round.
fn condition(word: &str) -> Result<(Condition, bool), String> {
    if let Some(pattern) = word.strip_prefix("name~").or(word.strip_prefix('~')) {
        let pattern = regex(pattern).ok_or_else(|| format!("{word}: not a regular expression"))?;
        return Ok((Condition::Pattern(pattern), false));
    }
    let Some(at) = word.find([':', '<', '>', '=']) else {
        return Ok((Condition::Name(word.to_lowercase()), false));
    };
    let (field, rest) = word.split_at(at);
    // Names of objects may hold any of these signs: only what can be a field is one.
    let is_field = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    if field.is_empty() || !field.chars().all(is_field) {
        return Ok((Condition::Name(word.to_lowercase()), false));
    }
    let Some(value) = rest.strip_prefix(':') else {
        return Ok((compared(word, field, rest)?, false));
    };
    Ok(match field {
        "has" | "is" => (Condition::Has(long(value)), false),
        "no" => (Condition::Has(long(value)), true),
        "name" => (Condition::Is("name".to_owned(), value.to_owned()), false),
        _ => (Condition::Is(long(field), value.to_owned()), false),
    })
}

fn compared(word: &str, field: &str, rest: &str) -> Result<Condition, String> {
    let signs = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::More),
        ("=", Comparison::Equal),
    ];
    let found = signs
        .iter()
        .find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, *comparison)));
    let number = found.and_then(|(text, comparison)| Some((number(text)?, comparison)));
    let (number, comparison) =
        number.ok_or_else(|| format!("{word}: a number is missing after {field}"))?;
    Ok(Condition::Compared(long(field), comparison, number))
}

/// `10k` is 10,000; `2M` and `1G` likewise.
fn number(text: &str) -> Option<f64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    digits.parse::<f64>().ok().map(|n| n * unit)
}

fn long(field: &str) -> String {
    let known = SHORT.iter().find(|(short, _)| *short == field);
    known.map_or(field, |(_, long)| long).to_owned()
}

fn regex(pattern: &str) -> Option<Regex> {
    if pattern.chars().count() > REGEX_MAX {
        return None;
    }
    let built = RegexBuilder::new(pattern).case_insensitive(true).build();
    built.ok()
}

fn text(key: &Key) -> String {
    match key {
        Key::Number(n) => n.to_string(),
        Key::Word(word) => (*word).to_owned(),
        Key::Text(text) | Key::Other(text) => text.clone(),
    }
}

fn there(key: &Key) -> bool {
    match key {
        Key::Number(n) => *n != 0.0,
        Key::Word(word) => *word == "true",
        Key::Text(text) => !text.is_empty(),
        Key::Other(text) => text != "[]" && text != "{}",
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::cmp::Ordering;

    use super::*;
    use crate::view::Object;

    struct Queue;

    impl Row for Queue {
        fn name(&self) -> Cow<'_, str> {
            "Orders.eu".into()
        }

        fn order(&self, _: &Self) -> Ordering {
            Ordering::Equal
        }

        fn key(&self, path: &str) -> Option<Key> {
            (path == "messages_ready").then_some(Key::Number(12_000.0))
        }

        fn render(&self, _: &Listing) -> Object {
            let mut object = Object::new();
            object.put("name", "Orders.eu");
            object.put("state", "running");
            object.put("durable", true);
            object.put("policy", Json::Null);
            object.put("consumers", 0u64);
            let mut arguments = Object::new();
            arguments.put("x-max-length", 5u64);
            object.put("arguments", arguments);
            object
        }
    }

    #[test]
    fn words_look_at_fields() {
        for (filter, wanted) in [
            ("orders", true),
            ("invoices", false),
            ("-invoices", true),
            ("-orders", false),
            ("name~^orders\\.", true),
            ("~us$", false),
            ("name:Orders.*", true),
            ("state:running", true),
            ("state:run*", true),
            ("-state:running", false),
            ("durable:true", true),
            ("ready>10k", true),
            ("ready>12000", false),
            ("ready>=12000 state:running", true),
            ("ready<0.1M", true),
            ("ready=12k", true),
            ("no:consumers", true),
            ("has:consumers", false),
            ("no:policy", true),
            ("is:durable", true),
            ("has:arguments", true),
            ("no:nonsense", true),
            ("orders state:idle", false),
            ("Some:Name", false),
        ] {
            let all = words(filter);
            let all = all.iter().map(|word| Word::parse(word).unwrap());
            let found = Filter::Words(all.collect()).matches(&Queue, &Listing::default());
            assert_eq!(found, wanted, "{filter}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (word, part) in [
            ("ready>many", "a number is missing after ready"),
            ("ready>", "a number is missing"),
            ("name~(", "not a regular expression"),
        ] {
            assert!(Word::parse(word).unwrap_err().contains(part), "{word}");
        }
    }

    #[test]
    fn only_the_fields_named_are_looked_at() {
        let filter = Filter::Words(vec![Word::parse("in>5").unwrap()]);
        assert!(filter.looks_at("message_stats"));
        assert!(!filter.looks_at("arguments"));
    }
}
