//! What routing may look at of a message, and where it says the message goes.

use warren_amqp::{TableRef, ValueRef};

/// The header that asks for a delay, milliseconds.
const X_DELAY: &[u8] = b"x-delay";

/// A message as routing sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    /// The routing key and whatever CC and BCC add.
    pub keys: &'a [&'a str],
    /// The headers; `None` for none.
    pub headers: Option<TableRef<'a>>,
    /// The property of that name.
    pub correlation_id: Option<&'a [u8]>,
    /// The property of that name.
    pub message_id: Option<&'a [u8]>,
    /// The property of that name, seconds.
    pub timestamp: Option<u64>,
    /// Something random, for the types that choose at random. Another one for each message.
    pub draw: u64,
}

/// Where a message goes.
#[derive(Debug)]
pub struct Routes<Q> {
    /// The queues, each once.
    pub queues: Vec<Q>,
    /// Exchanges that remember the message for whoever is bound later.
    pub remembering: Vec<Box<str>>,
    /// Exchanges that hold the message until its delay is over and route it then.
    pub delaying: Vec<Box<str>>,
}

impl<Q> Default for Routes<Q> {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            remembering: Vec::new(),
            delaying: Vec::new(),
        }
    }
}

/// How long a message asks to be delayed, in milliseconds; `None` when it is to be routed at once,
/// which a delay that is over says by being negative. Numbers written as text count.
pub fn delay_of(headers: Option<TableRef<'_>>) -> Option<u64> {
    let delay = match headers?.get(X_DELAY)? {
        ValueRef::LongStr(text) => std::str::from_utf8(text).ok()?.trim().parse().ok()?,
        ValueRef::F32(delay) => delay as i64,
        ValueRef::F64(delay) => delay as i64,
        ValueRef::Timestamp(_) | ValueRef::Bool(_) => return None,
        other => other.as_i64()?,
    };
    u64::try_from(delay).ok().filter(|delay| *delay > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_amqp::{AMQPValue, FieldTable, short, table_from_fields};

    fn delay(value: AMQPValue) -> Option<u64> {
        let mut table = FieldTable::default();
        table.insert(short("x-delay"), value);
        let bytes = table_from_fields(&table);
        delay_of(Some(TableRef::parse(&bytes).expect("well formed")))
    }

    #[test]
    fn s32_delayed_only_positive_numbers_delay() {
        assert_eq!(delay(AMQPValue::LongInt(5000)), Some(5000));
        let month = 30 * 24 * 3_600_000;
        assert_eq!(delay(AMQPValue::LongLongInt(month)), Some(month as u64));
        assert_eq!(delay(AMQPValue::LongString("250".into())), Some(250));
        assert_eq!(delay(AMQPValue::Double(1.9)), Some(1));
        assert_eq!(delay(AMQPValue::LongInt(0)), None);
        assert_eq!(delay(AMQPValue::LongInt(-5000)), None);
        assert_eq!(delay(AMQPValue::LongString("soon".into())), None);
        assert_eq!(delay(AMQPValue::Boolean(true)), None);
        assert_eq!(delay_of(None), None);
    }
}
