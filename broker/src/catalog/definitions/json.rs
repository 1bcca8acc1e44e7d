//! Arguments between JSON and field tables (row O-4). JSON knows fewer types, so that integers
//! become `long`, texts `longstr` and other numbers `double`; what cannot be told apart in JSON is
//! lost in an export, as it is in RabbitMQ's.

use serde_json::{Map, Number, Value};
use warren_amqp::{AMQPValue, FieldArray, FieldTable, ShortString};

/// Tables and arrays within each other, as on the wire.
const MAX_DEPTH: usize = 32;

/// The table for a JSON object. The error says what a table cannot hold.
pub fn to_table(object: &Map<String, Value>) -> Result<FieldTable, String> {
    table(object, MAX_DEPTH)
}

fn table(object: &Map<String, Value>, depth: usize) -> Result<FieldTable, String> {
    let mut table = FieldTable::default();
    for (key, value) in object {
        let short = ShortString::try_new(key.as_str())
            .map_err(|_| format!("the argument name is {} bytes long", key.len()))?;
        table.insert(short, to_value(value, depth)?);
    }
    Ok(table)
}

fn to_value(value: &Value, depth: usize) -> Result<AMQPValue, String> {
    let deeper = || {
        depth
            .checked_sub(1)
            .ok_or_else(|| "arguments are nested too deep".to_owned())
    };
    Ok(match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(flag) => AMQPValue::Boolean(*flag),
        Value::Number(number) => to_number(number)?,
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(members) => {
            let depth = deeper()?;
            let members: Result<Vec<AMQPValue>, String> = members
                .iter()
                .map(|member| to_value(member, depth))
                .collect();
            AMQPValue::FieldArray(FieldArray::from(members?))
        }
        Value::Object(object) => AMQPValue::FieldTable(table(object, deeper()?)?),
    })
}

fn to_number(number: &Number) -> Result<AMQPValue, String> {
    if let Some(integer) = number.as_i64() {
        return Ok(AMQPValue::LongLongInt(integer));
    }
    match number.as_f64() {
        Some(float) if !number.is_u64() => Ok(AMQPValue::Double(float)),
        _ => Err(format!("{number} does not fit into a long")),
    }
}

/// The JSON object for a table.
pub fn from_table(table: &FieldTable) -> Map<String, Value> {
    let entries = table.inner().iter();
    entries
        .map(|(key, value)| (key.as_str().to_owned(), from_value(value)))
        .collect()
}

fn from_value(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(v) => Value::from(*v),
        AMQPValue::ShortShortInt(v) => Value::from(*v),
        AMQPValue::ShortShortUInt(v) => Value::from(*v),
        AMQPValue::ShortInt(v) => Value::from(*v),
        AMQPValue::ShortUInt(v) => Value::from(*v),
        AMQPValue::LongInt(v) => Value::from(*v),
        AMQPValue::LongUInt(v) => Value::from(*v),
        AMQPValue::LongLongInt(v) => Value::from(*v),
        AMQPValue::Timestamp(v) => Value::from(*v),
        // JSON has no word for infinities and NaN; they become null.
        AMQPValue::Float(v) => Value::from(*v),
        AMQPValue::Double(v) => Value::from(*v),
        AMQPValue::DecimalValue(v) => {
            Value::from(f64::from(v.value) / 10f64.powi(i32::from(v.scale)))
        }
        AMQPValue::ShortString(v) => Value::from(v.as_str()),
        AMQPValue::LongString(v) => Value::from(String::from_utf8_lossy(v.as_bytes())),
        AMQPValue::ByteArray(v) => Value::from(String::from_utf8_lossy(v.as_slice())),
        AMQPValue::FieldArray(v) => v.as_slice().iter().map(from_value).collect(),
        AMQPValue::FieldTable(v) => Value::Object(from_table(v)),
        AMQPValue::Void => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use warren_amqp::arg_type_name;

    use super::super::super::testing::any_table;
    use super::*;

    #[test]
    fn row_o_4_types() {
        let object = json!({
            "bool": true, "double": 1.5, "long": 5, "longstr": "t", "void": null,
            "array": [1, "a"], "table": {"k": {}},
        });
        let table = to_table(object.as_object().unwrap()).unwrap();
        for (key, value) in table.inner() {
            assert_eq!(key.as_str(), arg_type_name(value));
        }
        assert_eq!(Value::Object(from_table(&table)), object);
    }

    #[test]
    fn what_a_table_cannot_hold_is_refused() {
        let refused = |value: Value| to_table(value.as_object().unwrap()).unwrap_err();
        assert_eq!(
            refused(json!({"n": 9_223_372_036_854_775_808u64})),
            "9223372036854775808 does not fit into a long"
        );
        assert_eq!(
            refused(json!({"k".repeat(256): 1})),
            "the argument name is 256 bytes long"
        );
        let mut deep = json!(1);
        for _ in 0..33 {
            deep = json!([deep]);
        }
        assert_eq!(refused(json!({"k": deep})), "arguments are nested too deep");
    }

    proptest! {
        #[test]
        fn what_came_from_json_comes_back_from_json(table in any_table()) {
            // Timestamps beyond i64 have no way back.
            if let Ok(once) = to_table(&from_table(&table)) {
                prop_assert_eq!(to_table(&from_table(&once)), Ok(once));
            }
        }
    }
}
