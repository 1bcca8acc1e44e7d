//! Tests of dead-letter headers, row by row.

use super::*;
use warren_amqp::Properties;

const BODY: u64 = 42;

fn death<'a>(queue: &'a str, reason: DeathReason) -> Death<'a> {
    Death {
        queue,
        reason,
        time: 1_700_000_000,
        exchange: "ex",
        routing_key: "key",
        has_dead_letter_key: false,
    }
}

/// A content header with these headers and whatever `set` adds.
fn header_with(
    fill: impl FnOnce(&mut TableBuilder),
    set: impl FnOnce(&mut Properties<'_>),
) -> Vec<u8> {
    let mut builder = TableBuilder::new();
    fill(&mut builder);
    let table = builder.finish();
    let mut properties = Properties::default();
    if !table.is_empty() {
        properties.headers = Some(TableRef::parse(&table).unwrap());
    }
    set(&mut properties);
    encode_content_header(BODY, &properties)
}

fn plain() -> Vec<u8> {
    header_with(|_| {}, |_| {})
}

fn die(header: &[u8], queue: &str, reason: DeathReason) -> Vec<u8> {
    dead_letter_header(header, &death(queue, reason)).unwrap()
}

fn properties(header: &[u8]) -> Properties<'_> {
    let content = parse_content_header(header).unwrap();
    assert_eq!(content.body_size, BODY);
    parse_properties(content.properties).unwrap()
}

fn get<'a>(header: &'a [u8], key: &str) -> Option<ValueRef<'a>> {
    headers_of(header).and_then(|headers| headers.get(key.as_bytes()))
}

fn text<'a>(header: &'a [u8], key: &str) -> Option<&'a str> {
    let bytes = longstr(headers_of(header)?, key.as_bytes())?;
    Some(std::str::from_utf8(bytes).unwrap())
}

/// (queue, reason, count) of each entry.
fn story(header: &[u8]) -> Vec<(String, String, i64)> {
    let headers = headers_of(header).unwrap();
    let string = |entry, key| String::from_utf8_lossy(longstr(entry, key).unwrap()).into_owned();
    deaths(headers)
        .map(|entry| {
            let count = entry.get(b"count").unwrap();
            assert!(matches!(count, ValueRef::I64(_)));
            (
                string(entry, b"queue"),
                string(entry, b"reason"),
                count.as_i64().unwrap(),
            )
        })
        .collect()
}

fn entry(queue: &str, reason: &str, count: i64) -> (String, String, i64) {
    (queue.to_owned(), reason.to_owned(), count)
}

fn strings(value: Option<ValueRef<'_>>) -> Vec<String> {
    keys_in("", value).unwrap()
}

#[test]
fn q60_reasons() {
    use DeathReason::*;
    let names = [Rejected, Expired, MaxLen, DeliveryLimit].map(DeathReason::as_str);
    assert_eq!(names, ["rejected", "expired", "maxlen", "delivery_limit"]);
}

#[test]
fn q62_cc_and_bcc() {
    let header = header_with(
        |headers| {
            headers.array_of_longstr(b"BCC", &[b"hidden"]);
            headers.array_of_longstr(b"CC", &[b"one", b"two"]);
            headers.longstr(b"other", b"kept");
        },
        |_| {},
    );
    let kept = die(&header, "q", DeathReason::Expired);
    assert_eq!(strings(get(&kept, "CC")), ["one", "two"]);
    assert_eq!(get(&kept, "BCC"), None);
    assert_eq!(text(&kept, "other"), Some("kept"));

    let death = Death {
        has_dead_letter_key: true,
        ..death("q", DeathReason::Expired)
    };
    let removed = dead_letter_header(&header, &death).unwrap();
    assert_eq!(get(&removed, "CC"), None);
    assert_eq!(get(&removed, "BCC"), None);
    // Either way the story names CC but not BCC.
    for header in [kept, removed] {
        let entry = deaths(headers_of(&header).unwrap()).next().unwrap();
        assert_eq!(strings(entry.get(b"routing-keys")), ["key", "one", "two"]);
    }
}

#[test]
fn q63_expiration_moves_into_the_story() {
    let header = header_with(|_| {}, |properties| properties.expiration = Some(b"1500"));
    let dead = die(&header, "q", DeathReason::Expired);
    assert_eq!(properties(&dead).expiration, None);
    let entry = deaths(headers_of(&dead).unwrap()).next().unwrap();
    assert_eq!(
        longstr(entry, b"original-expiration"),
        Some(b"1500".as_slice())
    );

    let dead = die(&plain(), "q", DeathReason::Expired);
    let entry = deaths(headers_of(&dead).unwrap()).next().unwrap();
    assert_eq!(entry.get(b"original-expiration"), None);
}

#[test]
fn q68_fields_and_types() {
    let dead = die(&plain(), "q", DeathReason::MaxLen);
    let entry = deaths(headers_of(&dead).unwrap()).next().unwrap();
    let keys: Vec<_> = entry
        .iter()
        .map(|(key, _)| String::from_utf8_lossy(key))
        .collect();
    assert_eq!(
        keys,
        [
            "count",
            "reason",
            "queue",
            "time",
            "exchange",
            "routing-keys"
        ]
    );
    assert_eq!(entry.get(b"count"), Some(ValueRef::I64(1)));
    assert_eq!(entry.get(b"reason"), Some(ValueRef::LongStr(b"maxlen")));
    assert_eq!(entry.get(b"queue"), Some(ValueRef::LongStr(b"q")));
    assert_eq!(entry.get(b"time"), Some(ValueRef::Timestamp(1_700_000_000)));
    assert_eq!(entry.get(b"exchange"), Some(ValueRef::LongStr(b"ex")));
    assert_eq!(strings(entry.get(b"routing-keys")), ["key"]);
}

#[test]
fn q68_newest_first_one_per_queue_and_reason() {
    let mut header = plain();
    for (queue, reason) in [
        ("a", DeathReason::Expired),
        ("b", DeathReason::Expired),
        ("a", DeathReason::Rejected),
    ] {
        header = die(&header, queue, reason);
    }
    let expected = [
        entry("a", "rejected", 1),
        entry("b", "expired", 1),
        entry("a", "expired", 1),
    ];
    assert_eq!(story(&header), expected);
}

#[test]
fn q69_a_repeat_moves_to_the_front_and_counts() {
    let header = header_with(|_| {}, |properties| properties.expiration = Some(b"7"));
    let first = die(&header, "a", DeathReason::Expired);
    let second = die(&first, "b", DeathReason::Expired);
    let later = Death {
        time: 1_800_000_000,
        exchange: "dlx",
        routing_key: "dead",
        ..death("a", DeathReason::Expired)
    };
    let third = dead_letter_header(&second, &later).unwrap();
    assert_eq!(
        story(&third),
        [entry("a", "expired", 2), entry("b", "expired", 1)]
    );
    // Time, exchange, keys and expiration are those of the first death.
    let entry = deaths(headers_of(&third).unwrap()).next().unwrap();
    assert_eq!(entry.get(b"time"), Some(ValueRef::Timestamp(1_700_000_000)));
    assert_eq!(longstr(entry, b"exchange"), Some(b"ex".as_slice()));
    assert_eq!(strings(entry.get(b"routing-keys")), ["key"]);
    assert_eq!(
        longstr(entry, b"original-expiration"),
        Some(b"7".as_slice())
    );
}

#[test]
fn q70_first_and_last_death() {
    let first = die(&plain(), "a", DeathReason::Expired);
    let later = Death {
        exchange: "dlx",
        ..death("b", DeathReason::Rejected)
    };
    let second = dead_letter_header(&first, &later).unwrap();
    for header in [&first, &second] {
        assert_eq!(text(header, "x-first-death-queue"), Some("a"));
        assert_eq!(text(header, "x-first-death-reason"), Some("expired"));
        assert_eq!(text(header, "x-first-death-exchange"), Some("ex"));
    }
    assert_eq!(text(&first, "x-last-death-queue"), Some("a"));
    assert_eq!(text(&second, "x-last-death-queue"), Some("b"));
    assert_eq!(text(&second, "x-last-death-reason"), Some("rejected"));
    assert_eq!(text(&second, "x-last-death-exchange"), Some("dlx"));
    let names: Vec<_> = headers_of(&second)
        .unwrap()
        .iter()
        .map(|(key, _)| key)
        .collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len());
}

#[test]
fn q71_loops() {
    use DeathReason::{DeliveryLimit, Expired, Rejected};
    let a = die(&plain(), "a", Expired);
    assert!(is_cycle(&a, "a"));
    assert!(!is_cycle(&a, "b"));
    let ab = die(&a, "b", DeliveryLimit);
    assert!(is_cycle(&ab, "a"));
    // A rejection between, or as the death itself, breaks the loop.
    let ab = die(&a, "b", Rejected);
    assert!(!is_cycle(&ab, "a"));
    assert!(!is_cycle(&ab, "b"));
    // An older rejection does not.
    let ba = die(&die(&plain(), "b", Rejected), "a", Expired);
    assert!(is_cycle(&ba, "a"));
    assert!(!is_cycle(&ba, "b"));
    assert!(!is_cycle(&plain(), "a"));
    assert!(!is_cycle(b"nonsense", "a"));
}

#[test]
fn q72_what_clients_send_as_x_death() {
    // Not an array: replaced.
    let header = header_with(|headers| _ = headers.longstr(b"x-death", b"ha"), |_| {});
    assert!(!is_cycle(&header, "q"));
    let dead = die(&header, "q", DeathReason::Expired);
    assert_eq!(story(&dead), [entry("q", "expired", 1)]);
    // An array of something else: likewise.
    let header = header_with(
        |headers| _ = headers.array_of_longstr(b"x-death", &[b"ha"]),
        |_| {},
    );
    let dead = die(&header, "q", DeathReason::Expired);
    assert_eq!(story(&dead), [entry("q", "expired", 1)]);
    // An entry without a count, and one that cannot count further.
    for (count, expected) in [(None, 2), (Some(i64::MAX), i64::MAX)] {
        let mut table = TableBuilder::new();
        table.longstr(b"queue", b"q");
        table.longstr(b"reason", b"expired");
        if let Some(count) = count {
            table.long(b"count", count);
        }
        let table = table.finish();
        let header = header_with(
            |headers| _ = headers.array_of_tables(b"x-death", &[&table]),
            |_| {},
        );
        let dead = die(&header, "q", DeathReason::Expired);
        assert_eq!(story(&dead), [entry("q", "expired", expected)]);
    }
}

#[test]
fn everything_else_stays() {
    let nested = {
        let mut table = TableBuilder::new();
        table.long(b"n", -1);
        table.finish()
    };
    let header = header_with(
        |headers| {
            headers.raw(b"\xff\x00", ValueRef::LongStr(b"\x00\xff"));
            headers.raw(b"dup", ValueRef::U8(1));
            headers.raw(b"dup", ValueRef::Void);
            headers.array_of_tables(b"nested", &[&nested]);
        },
        |properties| {
            properties.content_type = Some(b"text/plain");
            properties.delivery_mode = Some(2);
            properties.priority = Some(9);
            properties.timestamp = Some(5);
            properties.cluster_id = Some(b"c");
        },
    );
    let dead = die(&header, "q", DeathReason::Rejected);
    let before = headers_of(&header).unwrap().as_bytes().to_vec();
    assert!(headers_of(&dead).unwrap().as_bytes().starts_with(&before));
    let after = properties(&dead);
    assert_eq!(after.content_type, Some(b"text/plain".as_slice()));
    assert_eq!((after.delivery_mode, after.priority), (Some(2), Some(9)));
    assert_eq!(
        (after.timestamp, after.cluster_id),
        (Some(5), Some(b"c".as_slice()))
    );
    assert_eq!(after.message_id, None);
}

#[test]
fn damaged_headers_are_errors() {
    assert!(dead_letter_header(b"", &death("q", DeathReason::Expired)).is_err());
    let header = die(&plain(), "q", DeathReason::Expired);
    for end in 0..header.len() {
        let cut = &header[..end];
        assert!(dead_letter_header(cut, &death("q", DeathReason::Expired)).is_err());
        assert!(strip_bcc(cut).is_none());
    }
}

#[test]
fn x50_extra_keys() {
    assert_eq!(extra_keys(None), Ok(None));
    let header = header_with(|headers| _ = headers.longstr(b"cc", b"lower case"), |_| {});
    assert_eq!(extra_keys(headers_of(&header)), Ok(None));

    let header = header_with(
        |headers| {
            headers.array_of_longstr(b"CC", ["a", ""]);
            headers.array_of_longstr(b"BCC", &[b"c"]);
        },
        |_| {},
    );
    let keys = extra_keys(headers_of(&header)).unwrap().unwrap();
    assert_eq!(keys.cc, ["a", ""]);
    assert_eq!(keys.bcc, ["c"]);

    let header = header_with(|headers| _ = headers.array_of_tables(b"CC", &[b""]), |_| {});
    let keys = extra_keys(headers_of(&header)).unwrap().unwrap();
    assert_eq!(keys, ExtraKeys::default());
}

#[test]
fn x50_keys_must_stand_in_an_array() {
    for (name, key) in [("CC", CC), ("BCC", BCC)] {
        let header = header_with(|headers| _ = headers.longstr(key, b"k"), |_| {});
        let error = extra_keys(headers_of(&header)).unwrap_err();
        assert_eq!(error.code, warren_amqp::ReplyCode::PreconditionFailed);
        let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",longstr}}");
        assert_eq!(error.explanation, text);
    }
    let header = header_with(|headers| _ = headers.long(b"CC", 5), |_| {});
    let error = extra_keys(headers_of(&header)).unwrap_err();
    assert!(error.explanation.ends_with("\"CC\",long}"));
}

#[test]
fn bcc_is_stripped() {
    assert_eq!(strip_bcc(&plain()), None);
    let header = header_with(
        |headers| {
            headers.array_of_longstr(b"CC", &[b"a"]);
            headers.array_of_longstr(b"BCC", &[b"b"]);
            headers.long(b"n", 1);
        },
        |properties| properties.message_id = Some(b"m"),
    );
    let stripped = strip_bcc(&header).unwrap();
    let expected = header_with(
        |headers| {
            headers.array_of_longstr(b"CC", &[b"a"]);
            headers.long(b"n", 1);
        },
        |properties| properties.message_id = Some(b"m"),
    );
    assert_eq!(stripped, expected);
    assert_eq!(strip_bcc(&stripped), None);
}
