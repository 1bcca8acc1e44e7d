//! What the arguments of a binding to a headers exchange ask for.

use warren_amqp::{AMQPValue, FieldTable};

use super::value;

/// The argument that says how conditions combine.
pub(super) const X_MATCH: &str = "x-match";

/// How conditions combine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Every condition must hold; without conditions all messages match.
    All,
    /// One condition must hold; without conditions no message matches.
    Any,
}

/// The four values of `x-match`: how conditions combine, and whether arguments beginning with
/// `x-` are conditions too (row X-31).
pub(super) fn parse_x_match(text: &[u8]) -> Option<(Mode, bool)> {
    match text {
        b"all" => Some((Mode::All, false)),
        b"any" => Some((Mode::Any, false)),
        b"all-with-x" => Some((Mode::All, true)),
        b"any-with-x" => Some((Mode::Any, true)),
        _ => None,
    }
}

/// The conditions of a binding.
pub(super) struct Conditions<'a> {
    /// How they combine.
    pub(super) mode: Mode,
    /// Header name and the canonical form of its value; `None` asks for mere presence.
    list: Vec<(&'a str, Option<Vec<u8>>)>,
}

impl<'a> Conditions<'a> {
    /// Reads binding arguments. An `x-match` that is no valid one counts as absent, that is as
    /// `all`; such bindings are refused before they get here.
    pub(super) fn of(arguments: &'a FieldTable) -> Self {
        let x_match = match arguments.inner().get(X_MATCH) {
            Some(AMQPValue::LongString(text)) => parse_x_match(text.as_bytes()),
            _ => None,
        };
        let (mode, with_x) = x_match.unwrap_or((Mode::All, false));
        let list = arguments
            .into_iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| *key != X_MATCH && (with_x || !key.starts_with("x-")))
            .map(|(key, value)| (key, wanted(value)))
            .collect();
        Self { mode, list }
    }

    /// The conditions, one per header.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&[u8]>)> + '_ {
        self.list
            .iter()
            .map(|(key, value)| (*key, value.as_deref()))
    }
}

/// Void asks for presence only (row X-33).
fn wanted(value: &AMQPValue) -> Option<Vec<u8>> {
    if matches!(value, AMQPValue::Void) {
        return None;
    }
    let mut form = Vec::new();
    value::put_argument(&mut form, value);
    Some(form)
}
