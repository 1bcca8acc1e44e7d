//! Binding arguments of a headers exchange checked when they come in (row X-30).

use warren_amqp::{AMQPValue, FieldTable, arg_type_name};

use super::rule::{X_MATCH, parse_x_match};

/// Checks the `x-match` argument. The error is RabbitMQ's explanation of a 406
/// `PRECONDITION_FAILED`; values stand in it as Erlang prints them.
pub(crate) fn validate_headers_arguments(args: &FieldTable) -> Result<(), String> {
    match args.inner().get(X_MATCH) {
        None => Ok(()),
        Some(AMQPValue::LongString(text)) if parse_x_match(text.as_bytes()).is_some() => Ok(()),
        Some(AMQPValue::LongString(text)) => Err(format!(
            "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
            binary(text.as_bytes())
        )),
        Some(other) => Err(format!(
            "Invalid x-match field type {} (value {}); expected longstr",
            arg_type_name(other),
            term(other)
        )),
    }
}

/// A binary as Erlang prints it: as text when all of it is printable.
pub(crate) fn binary(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<<>>".to_owned();
    }
    if !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let octets: Vec<String> = bytes.iter().map(u8::to_string).collect();
        return format!("<<{}>>", octets.join(","));
    }
    let text: String = bytes.iter().copied().map(char::from).collect();
    format!(
        "<<\"{}\">>",
        text.replace('\\', "\\\\").replace('"', "\\\"")
    )
}

/// A field value as Erlang prints its term.
pub(crate) fn term(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Boolean(v) => v.to_string(),
        AMQPValue::ShortShortInt(v) => v.to_string(),
        AMQPValue::ShortShortUInt(v) => v.to_string(),
        AMQPValue::ShortInt(v) => v.to_string(),
        AMQPValue::ShortUInt(v) => v.to_string(),
        AMQPValue::LongInt(v) => v.to_string(),
        AMQPValue::LongUInt(v) => v.to_string(),
        AMQPValue::LongLongInt(v) => v.to_string(),
        AMQPValue::Timestamp(v) => v.to_string(),
        AMQPValue::Float(v) => format!("{:?}", f64::from(*v)),
        AMQPValue::Double(v) => format!("{v:?}"),
        AMQPValue::DecimalValue(v) => format!("{{{},{}}}", v.scale, v.value),
        AMQPValue::ShortString(v) => binary(v.as_str().as_bytes()),
        AMQPValue::LongString(v) => binary(v.as_bytes()),
        AMQPValue::ByteArray(v) => binary(v.as_slice()),
        AMQPValue::Void => "undefined".to_owned(),
        AMQPValue::FieldArray(array) => {
            let items = array.as_slice().iter();
            list(items.map(|item| format!("{{{},{}}}", arg_type_name(item), term(item))))
        }
        AMQPValue::FieldTable(table) => list(table.into_iter().map(|(key, item)| {
            let key = binary(key.as_str().as_bytes());
            format!("{{{key},{},{}}}", arg_type_name(item), term(item))
        })),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_amqp::short;

    fn check(value: AMQPValue) -> Result<(), String> {
        let mut args = FieldTable::default();
        args.insert(short(X_MATCH), value);
        validate_headers_arguments(&args)
    }

    #[test]
    fn x30_known_values_pass() {
        assert_eq!(validate_headers_arguments(&FieldTable::default()), Ok(()));
        for text in ["all", "any", "all-with-x", "any-with-x"] {
            assert_eq!(check(AMQPValue::LongString(text.into())), Ok(()));
        }
    }

    #[test]
    fn x30_bad_value() {
        let expected = "; expected all, any, all-with-x, or any-with-x";
        for (text, printed) in [
            ("some", "<<\"some\">>"),
            ("", "<<>>"),
            ("a\"b", "<<\"a\\\"b\">>"),
            ("a\0", "<<97,0>>"),
        ] {
            let error = check(AMQPValue::LongString(text.into())).unwrap_err();
            assert_eq!(
                error,
                format!("Invalid x-match field value {printed}{expected}")
            );
        }
    }

    #[test]
    fn x30_bad_type() {
        let error = check(AMQPValue::LongLongInt(5)).unwrap_err();
        assert_eq!(
            error,
            "Invalid x-match field type long (value 5); expected longstr"
        );
        let error = check(AMQPValue::Boolean(true)).unwrap_err();
        assert_eq!(
            error,
            "Invalid x-match field type bool (value true); expected longstr"
        );
        let array = AMQPValue::FieldArray(vec![AMQPValue::LongString("all".into())].into());
        assert!(
            check(array)
                .unwrap_err()
                .contains("array (value [{longstr,<<\"all\">>}])")
        );
        let error = check(AMQPValue::Double(1.0)).unwrap_err();
        assert_eq!(
            error,
            "Invalid x-match field type double (value 1.0); expected longstr"
        );
    }
}
