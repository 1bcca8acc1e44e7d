//! Octets as RabbitMQ's error texts print them: Erlang binaries.
//!
//! Clients and their tests match on these texts, so the form is kept: `<<"abcd">>` when every octet
//! is printable, `<<0,60,0,10>>` otherwise. Erlang would break a line after 80 columns; we never do.

use std::fmt::Write;

/// No reply text has room for more octets than this (255 bytes, two characters an octet).
const MAX_SHOWN: usize = 128;

/// The form of `~w`: always a list of numbers.
pub(crate) fn numbers(octets: &[u8]) -> String {
    let mut text = String::from("<<");
    for (i, octet) in octets.iter().take(MAX_SHOWN).enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{octet}");
    }
    text.push_str(">>");
    text
}

/// The form of `~p`: quoted if printable, else numbers.
pub(crate) fn pretty(octets: &[u8]) -> String {
    if octets.is_empty() || !octets.iter().all(|&octet| is_printable(octet)) {
        return numbers(octets);
    }
    let mut text = String::from("<<\"");
    for &octet in octets.iter().take(MAX_SHOWN) {
        match octet {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x0b => text.push_str("\\v"),
            0x08 => text.push_str("\\b"),
            0x0c => text.push_str("\\f"),
            0x1b => text.push_str("\\e"),
            other => text.push(char::from(other)),
        }
    }
    text.push_str("\">>");
    text
}

/// Erlang also prints Latin-1 letters; we give numbers for those, as a reply text is UTF-8.
fn is_printable(octet: u8) -> bool {
    matches!(
        octet,
        b' '..=b'~' | b'\n' | b'\r' | b'\t' | 0x0b | 0x08 | 0x0c | 0x1b
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_octets_are_quoted() {
        assert_eq!(pretty(b"abcd"), "<<\"abcd\">>");
        assert_eq!(pretty(b"a\"b\\\n"), "<<\"a\\\"b\\\\\\n\">>");
    }

    #[test]
    fn other_octets_are_numbers() {
        assert_eq!(pretty(&[0, 60, 0, 10]), "<<0,60,0,10>>");
        assert_eq!(pretty(&[]), "<<>>");
        assert_eq!(numbers(b"ab"), "<<97,98>>");
        assert_eq!(numbers(&[]), "<<>>");
    }

    #[test]
    fn long_input_is_not_spelled_out() {
        assert!(numbers(&[255; 1 << 20]).len() < 1024);
        assert!(pretty(&[b'a'; 1 << 20]).len() < 1024);
    }
}
