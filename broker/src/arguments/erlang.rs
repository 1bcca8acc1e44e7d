//! Values printed the way RabbitMQ prints Erlang terms into its explanations.
//!
//! Only what can reach an explanation is covered: strings, binaries and argument values.

use warren_amqp::{AMQPValue, FieldTable, arg_type_name};

/// A string as `~p` prints it: quoted when printable, else the list of its characters.
pub(super) fn string(text: &str) -> String {
    if text.is_empty() {
        return "[]".to_owned();
    }
    if text.chars().all(printable) {
        return format!("\"{}\"", escape(text.chars()));
    }
    let codes: Vec<String> = text.chars().map(|c| u32::from(c).to_string()).collect();
    format!("[{}]", codes.join(","))
}

/// Bytes seen as characters of Latin-1, as `binary_to_list` sees them.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// An argument value as it stands between quotes in an `inequivalent arg` text: strings bare,
/// everything else as a term.
pub(super) fn bare(value: &AMQPValue) -> String {
    match bytes(value) {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => term(value),
    }
}

/// The bytes of a value that Erlang holds as a binary.
pub(super) fn bytes(value: &AMQPValue) -> Option<&[u8]> {
    match value {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        AMQPValue::ShortString(text) => Some(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
        _ => None,
    }
}

/// The number of a value that Erlang holds as an integer, whatever its wire type.
pub(super) fn integer(value: &AMQPValue) -> Option<i128> {
    Some(match value {
        AMQPValue::ShortShortInt(n) => i128::from(*n),
        AMQPValue::ShortShortUInt(n) => i128::from(*n),
        AMQPValue::ShortInt(n) => i128::from(*n),
        AMQPValue::ShortUInt(n) => i128::from(*n),
        AMQPValue::LongInt(n) => i128::from(*n),
        AMQPValue::LongUInt(n) => i128::from(*n),
        AMQPValue::LongLongInt(n) => i128::from(*n),
        AMQPValue::Timestamp(n) => i128::from(*n),
        _ => return None,
    })
}

/// The number of a value that Erlang holds as a float.
pub(super) fn float(value: &AMQPValue) -> Option<f64> {
    match value {
        AMQPValue::Float(n) => Some(f64::from(*n)),
        AMQPValue::Double(n) => Some(*n),
        _ => None,
    }
}

fn term(value: &AMQPValue) -> String {
    if let Some(n) = integer(value) {
        return n.to_string();
    }
    if let Some(n) = float(value) {
        return float_text(n);
    }
    if let Some(bytes) = bytes(value) {
        return binary(bytes);
    }
    match value {
        AMQPValue::Boolean(flag) => flag.to_string(),
        AMQPValue::DecimalValue(d) => format!("{{{},{}}}", d.scale, d.value),
        AMQPValue::FieldArray(array) => {
            let members = array.as_slice().iter();
            let members: Vec<String> = members
                .map(|v| format!("{{{},{}}}", arg_type_name(v), term(v)))
                .collect();
            format!("[{}]", members.join(","))
        }
        AMQPValue::FieldTable(table) => table_term(table),
        _ => "undefined".to_owned(),
    }
}

fn table_term(table: &FieldTable) -> String {
    let entry = |(key, value): (&warren_amqp::ShortString, &AMQPValue)| {
        format!(
            "{{{},{},{}}}",
            binary(key.as_str().as_bytes()),
            arg_type_name(value),
            term(value)
        )
    };
    let entries: Vec<String> = table.inner().iter().map(entry).collect();
    format!("[{}]", entries.join(","))
}

/// A binary as `~p` prints it.
pub(crate) fn binary(bytes: &[u8]) -> String {
    let text = latin1(bytes);
    if text.chars().all(printable) {
        return if text.is_empty() {
            "<<>>".to_owned()
        } else {
            format!("<<\"{}\">>", escape(text.chars()))
        };
    }
    let codes: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("<<{}>>", codes.join(","))
}

/// Erlang always writes a decimal point, also before an exponent.
fn float_text(n: f64) -> String {
    let text = format!("{n:?}");
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => text,
    }
}

/// What `io_lib:printable_latin1_list` calls printable.
fn printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{ff}' | '\u{8}'..='\u{d}' | '\u{1b}')
}

fn escape(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for c in chars {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use warren_amqp::{DecimalValue, FieldArray, ShortString};

    use super::*;

    #[test]
    fn strings_are_quoted_when_printable() {
        assert_eq!(string("foo"), "\"foo\"");
        assert_eq!(string("a\"\\\n"), "\"a\\\"\\\\\\n\"");
        assert_eq!(string("a\u{1}"), "[97,1]");
        assert_eq!(string("\u{20ac}"), "[8364]");
        assert_eq!(string(""), "[]");
    }

    #[test]
    fn values_print_as_terms() {
        let list = FieldArray::from(vec![
            AMQPValue::LongString("a".into()),
            AMQPValue::LongLongInt(2),
            AMQPValue::ByteArray(vec![0u8, 1].into()),
        ]);
        assert_eq!(
            bare(&AMQPValue::FieldArray(list)),
            "[{longstr,<<\"a\">>},{long,2},{binary,<<0,1>>}]"
        );
        let mut table = FieldTable::default();
        table.insert(ShortString::from("k"), AMQPValue::Boolean(true));
        assert_eq!(
            bare(&AMQPValue::FieldTable(table)),
            "[{<<\"k\">>,bool,true}]"
        );
        assert_eq!(bare(&AMQPValue::Double(1.0)), "1.0");
        assert_eq!(bare(&AMQPValue::Double(1e300)), "1.0e300");
        assert_eq!(bare(&AMQPValue::Void), "undefined");
        assert_eq!(bare(&AMQPValue::Timestamp(7)), "7");
        assert_eq!(
            bare(&AMQPValue::DecimalValue(DecimalValue {
                scale: 2,
                value: 5
            })),
            "{2,5}"
        );
        assert_eq!(bare(&AMQPValue::LongString("b".into())), "b");
    }
}
