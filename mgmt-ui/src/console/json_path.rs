//! Conditions on JSON bodies, such as `$.order.items[0].sku = "x"`.
//!
//! ```text
//!   $ .name ['any name'] [0] [-1] [*] .*      a path; without more: something is there
//!   = == != < <= > >= ~                       compares; ~ is "contains"
//!   "text" 12.5 true null word*               with text, numbers, words with * for anything
//! ```
//!
//! With `*` in the path one value that fits is enough. Our own small language and no more: nothing
//! in it can take long, whatever the body.

use std::cmp::Ordering;

use serde_json::Value;

use crate::view::words::like;

/// Steps of a path at most.
const STEPS_MAX: usize = 32;
/// Values of one body looked at, at most.
const LOOKED_AT_MAX: usize = 10_000;

/// A path and what must hold of a value there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonCondition {
    steps: Vec<Step>,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    /// From the end when negative.
    Index(i64),
    All,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    There,
    Is(Literal),
    IsNot(Literal),
    Contains(String),
    /// Less when the ordering is `Less`, more when it is `Greater`; equal too when told.
    Compares(Ordering, bool, Literal),
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    /// It stood in quotes: exactly this text.
    Text(String),
    /// A word: a text with `*` for any characters, or the value it is in JSON.
    Word(String, Value),
}

impl JsonCondition {
    /// Reads a condition from the beginning of a text, which is a `$`; answers with what is left.
    pub(crate) fn parse(text: &str) -> Result<(Self, &str), String> {
        let mut rest = text.strip_prefix('$').ok_or("a path begins with $")?;
        let mut steps = Vec::new();
        while let Some((step, left)) = step(rest)? {
            if steps.len() == STEPS_MAX {
                return Err(format!("a path of more than {STEPS_MAX} steps"));
            }
            steps.push(step);
            rest = left;
        }
        let (test, rest) = test(rest)?;
        Ok((Self { steps, test }, rest))
    }

    /// Whether a value of the body fulfils it.
    pub(crate) fn holds(&self, body: &Value) -> bool {
        let mut left = LOOKED_AT_MAX;
        self.holds_at(body, &self.steps, &mut left)
    }

    fn holds_at(&self, value: &Value, steps: &[Step], left: &mut usize) -> bool {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        let Some((first, rest)) = steps.split_first() else {
            return self.test.holds(value);
        };
        match (first, value) {
            (Step::Name(name), Value::Object(object)) => {
                let found = object.get(name);
                found.is_some_and(|value| self.holds_at(value, rest, left))
            }
            (Step::Index(index), Value::Array(array)) => {
                let found = at(array, *index);
                found.is_some_and(|value| self.holds_at(value, rest, left))
            }
            (Step::All, Value::Array(array)) => {
                array.iter().any(|value| self.holds_at(value, rest, left))
            }
            (Step::All, Value::Object(object)) => object
                .values()
                .any(|value| self.holds_at(value, rest, left)),
            _ => false,
        }
    }
}

fn at(array: &[Value], index: i64) -> Option<&Value> {
    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
    let index = if index < 0 {
        array.len().checked_sub(from_end)?
    } else {
        from_end
    };
    array.get(index)
}

/// The next step, if there is one, and what follows it.
fn step(text: &str) -> Result<Option<(Step, &str)>, String> {
    if let Some(rest) = text.strip_prefix('.') {
        let ends = |c: char| c.is_whitespace() || ".[]=!<>~\"'".contains(c);
        let (name, rest) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        return match name {
            "" => Err("a name is missing after a dot of the path".to_owned()),
            "*" => Ok(Some((Step::All, rest))),
            _ => Ok(Some((Step::Name(name.to_owned()), rest))),
        };
    }
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(None);
    };
    let closed = |rest: &'_ str| -> Result<usize, String> {
        rest.find(']')
            .ok_or_else(|| "a ] is missing in the path".to_owned())
    };
    if rest.starts_with(['"', '\'']) {
        let (name, rest) = quoted(rest)?;
        let rest = rest.strip_prefix(']').ok_or("a ] is missing in the path")?;
        return Ok(Some((Step::Name(name), rest)));
    }
    let end = closed(rest)?;
    let (inside, rest) = (&rest[..end], &rest[end + 1..]);
    if inside == "*" {
        return Ok(Some((Step::All, rest)));
    }
    let index = inside
        .parse()
        .map_err(|_| format!("[{inside}] is neither a number, nor *, nor a name in quotes"))?;
    Ok(Some((Step::Index(index), rest)))
}

/// What must hold, and what follows it.
fn test(text: &str) -> Result<(Test, &str), String> {
    let signs = ["==", "=", "!=", "<=", "<", ">=", ">", "~"];
    let trimmed = text.trim_start();
    let found = signs
        .iter()
        .find_map(|sign| Some((*sign, trimmed.strip_prefix(sign)?)));
    let Some((sign, rest)) = found else {
        if text.is_empty() || text.starts_with(char::is_whitespace) {
            return Ok((Test::There, text));
        }
        return Err(format!("the path is not understood from {text} on"));
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Err(format!("a value is missing after {sign}"));
    }
    let (literal, rest) = literal(rest)?;
    let compares = |ordering, equal, literal| Test::Compares(ordering, equal, literal);
    let test = match sign {
        "=" | "==" => Test::Is(literal),
        "!=" => Test::IsNot(literal),
        "<" => compares(Ordering::Less, false, literal),
        "<=" => compares(Ordering::Less, true, literal),
        ">" => compares(Ordering::Greater, false, literal),
        ">=" => compares(Ordering::Greater, true, literal),
        _ => Test::Contains(match literal {
            Literal::Text(text) | Literal::Word(text, _) => text,
        }),
    };
    Ok((test, rest))
}

fn literal(text: &str) -> Result<(Literal, &str), String> {
    if text.starts_with(['"', '\'']) {
        let (text, rest) = quoted(text)?;
        return Ok((Literal::Text(text), rest));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = serde_json::from_str(word).unwrap_or_else(|_| Value::from(word));
    Ok((Literal::Word(word.to_owned(), value), rest))
}

/// A text in quotes, where a backslash keeps the next character, and what follows.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut characters = text.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    let mut out = String::new();
    while let Some((at, c)) = characters.next() {
        if Some(c) == quote {
            return Ok((out, &text[at + c.len_utf8()..]));
        }
        match c {
            '\\' => out.extend(characters.next().map(|(_, kept)| kept)),
            _ => out.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::There => true,
            Self::Is(literal) => literal.is(value),
            Self::IsNot(literal) => !literal.is(value),
            Self::Contains(part) => match value {
                Value::String(text) => text.contains(part.as_str()),
                Value::Array(_) | Value::Object(_) => false,
                plain => plain.to_string().contains(part.as_str()),
            },
            Self::Compares(ordering, equal, literal) => {
                let found = literal.compare(value);
                found == Some(*ordering) || (*equal && found == Some(Ordering::Equal))
            }
        }
    }
}

impl Literal {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(text), Value::String(other)) => text == other,
            (Self::Word(word, _), Value::String(other)) => like(other, word),
            (Self::Word(_, Value::Number(a)), Value::Number(b)) => {
                a == b || a.as_f64() == b.as_f64()
            }
            (Self::Word(_, wanted), other) => wanted == other,
            (Self::Text(_), _) => false,
        }
    }

    /// How the value compares with this one; numbers with numbers, texts with texts.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Word(_, Value::Number(wanted)), Value::Number(number)) => {
                number.as_f64()?.partial_cmp(&wanted.as_f64()?)
            }
            (Self::Text(wanted) | Self::Word(wanted, _), Value::String(text)) => {
                Some(text.as_str().cmp(wanted))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn holds(condition: &str, body: &Value) -> bool {
        let (condition, rest) = JsonCondition::parse(condition).unwrap();
        assert_eq!(rest, "");
        condition.holds(body)
    }

    #[test]
    fn conditions_on_an_order() {
        let body = json!({
            "order": {"id": 7, "paid": true, "note": null, "placed": "2026-11-21T20:00:00Z",
                "items": [{"sku": "x", "qty": 2}, {"sku": "y z", "qty": 10}]},
            "odd name": {"a.b": [1]},
        });
        for (condition, wanted) in [
            (r#"$.order.items[0].sku = "x""#, true),
            ("$.order.items[0].sku=x", true),
            ("$.order.items[0].sku == 'y'", false),
            (r#"$.order.items[*].sku = "y z""#, true),
            ("$.order.items[-1].qty >= 10", true),
            ("$.order.items[-3].qty >= 0", false),
            ("$.order.items[*].qty > 10", false),
            ("$.order.items[5]", false),
            ("$.order.*", true),
            ("$.order.id = 7.0", true),
            ("$.order.id = \"7\"", false),
            ("$.order.id != 8", true),
            ("$.order.missing != 8", false),
            ("$.order.paid = true", true),
            ("$.order.note = null", true),
            ("$.order.note", true),
            ("$.order.missing", false),
            ("$.order.placed < 2026-12", true),
            ("$.order.placed ~ 20:00", true),
            ("$.order.placed = 2026-11-21*", true),
            ("$.order.id ~ 7", true),
            ("$.order ~ 7", false),
            ("$['odd name'][\"a.b\"][0] = 1", true),
            ("$[0]", false),
            ("$ = 1", false),
            ("$", true),
        ] {
            assert_eq!(holds(condition, &body), wanted, "{condition}");
        }
    }

    #[test]
    fn what_follows_is_left() {
        let (_, rest) = JsonCondition::parse(r#"$.a = "b c" key:x"#).unwrap();
        assert_eq!(rest, " key:x");
        let (condition, rest) = JsonCondition::parse("$.a key:x").unwrap();
        assert_eq!((condition.test, rest), (Test::There, " key:x"));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, part) in [
            ("$.", "a name is missing"),
            ("$.a =", "a value is missing"),
            ("$.a = \"b", "a quote is not closed"),
            ("$[a]", "is neither a number"),
            ("$[1", "a ] is missing"),
            ("$['a'", "a ] is missing"),
            ("$a", "not understood"),
            ("$.a]", "not understood"),
            (&format!("${}", ".a".repeat(33)), "more than 32"),
        ] {
            let error = JsonCondition::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_wide_body_is_looked_at_in_part() {
        let body = Value::Array(vec![json!([1]); LOOKED_AT_MAX]);
        assert!(holds("$[*][0] = 1", &body));
        assert!(!holds("$[*][*] = 2", &body));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        plain.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn in_quotes(text: &str) -> String {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }

    /// Paths to all values that are no containers, with the condition that they are what they are.
    fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Array(array) => {
                for (i, inner) in array.iter().enumerate() {
                    leaves(inner, &format!("{path}[{i}]"), out);
                }
            }
            Value::Object(object) => {
                for (name, inner) in object {
                    leaves(inner, &format!("{path}[{}]", in_quotes(name)), out);
                }
            }
            Value::String(text) => out.push(format!("{path} = {}", in_quotes(text))),
            plain => out.push(format!("{path} = {plain}")),
        }
    }

    proptest! {
        #[test]
        fn every_leaf_is_found_where_it_is(body in any_json()) {
            let mut conditions = Vec::new();
            leaves(&body, "$", &mut conditions);
            for condition in conditions {
                prop_assert!(holds(&condition, &body), "{condition} in {body}");
                let not = condition.replacen(" = ", " != ", 1);
                if condition.matches(" = ").count() == 1 {
                    prop_assert!(!holds(&not, &body), "{not} in {body}");
                }
            }
        }

        #[test]
        fn anything_is_parsed_or_refused(text in "\\$[.\\[\\]'\"*0-9a-z =!<>~\\\\-]{0,30}", body in any_json()) {
            if let Ok((condition, rest)) = JsonCondition::parse(&text) {
                prop_assert!(text.ends_with(rest));
                let _ = condition.holds(&body);
            }
        }
    }
}
