//! The `expiration` property of a message: milliseconds written as a decimal string.

use warren_amqp::ReplyError;

use super::erlang;
use super::validate::MAX_EXPIRY_MS;

/// Parses it (row H-25) as Erlang's `string:to_integer` would: a sign, then digits, then nothing.
///
/// Errors: `PRECONDITION_FAILED` with RabbitMQ's text.
pub fn parse_expiration(expiration: &[u8]) -> Result<u64, ReplyError> {
    // Read as Latin-1 so that what is left over can be printed byte by byte; every byte of the
    // number is ASCII.
    parse(&erlang::latin1(expiration)).map_err(|error| {
        let shown = String::from_utf8_lossy(expiration);
        ReplyError::precondition_failed(format!("invalid expiration '{shown}': {error}"))
    })
}

fn parse(text: &str) -> Result<u64, String> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let (digits, rest) = unsigned.split_at(end);
    if digits.is_empty() {
        return Err("no_integer".to_owned());
    }
    if !rest.is_empty() {
        return Err(format!("{{leftover_string,{}}}", erlang::string(rest)));
    }
    // Erlang's integers have no bound, so the number is printed from its digits.
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    if negative {
        return Err(format!("{{value_negative,-{digits}}}"));
    }
    match digits.parse() {
        Ok(ms) if ms <= MAX_EXPIRY_MS.unsigned_abs() => Ok(ms),
        _ => Err(format!("{{value_too_large,{digits}}}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_amqp::ReplyCode;

    use super::*;

    fn refusal(expiration: &[u8]) -> String {
        let error = parse_expiration(expiration).unwrap_err();
        assert_eq!(error.code, ReplyCode::PreconditionFailed);
        error.explanation
    }

    #[test]
    fn row_h_25_accepts_decimals_up_to_ten_years() {
        assert_eq!(parse_expiration(b"0"), Ok(0));
        assert_eq!(parse_expiration(b"-0"), Ok(0));
        assert_eq!(parse_expiration(b"+5"), Ok(5));
        assert_eq!(parse_expiration(b"0060000"), Ok(60_000));
        assert_eq!(parse_expiration(b"315360000000"), Ok(315_360_000_000));
    }

    #[test]
    fn row_h_25_texts() {
        assert_eq!(refusal(b"abc"), "invalid expiration 'abc': no_integer");
        assert_eq!(refusal(b""), "invalid expiration '': no_integer");
        assert_eq!(refusal(b"-"), "invalid expiration '-': no_integer");
        assert_eq!(refusal(b" 1"), "invalid expiration ' 1': no_integer");
        assert_eq!(
            refusal(b"-1"),
            "invalid expiration '-1': {value_negative,-1}"
        );
        assert_eq!(
            refusal(b"10 "),
            "invalid expiration '10 ': {leftover_string,\" \"}"
        );
        assert_eq!(
            refusal(b"1.5"),
            "invalid expiration '1.5': {leftover_string,\".5\"}"
        );
        assert_eq!(
            refusal(b"1\x01"),
            "invalid expiration '1\u{1}': {leftover_string,[1]}"
        );
        assert_eq!(
            refusal(b"315360000001"),
            "invalid expiration '315360000001': {value_too_large,315360000001}"
        );
        assert_eq!(
            refusal(b"99999999999999999999999"),
            "invalid expiration '99999999999999999999999': \
             {value_too_large,99999999999999999999999}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            if let Ok(ms) = parse_expiration(&bytes) {
                prop_assert!(ms <= 315_360_000_000);
            }
        }
    }
}
