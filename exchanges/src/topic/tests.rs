//! Tests of topic matching, most against the definition of a pattern spelled out recursively.

use proptest::prelude::*;

use super::*;

fn words(key: &str) -> Vec<&str> {
    split(key).collect()
}

/// What a pattern means.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&"#", rest)) => (0..=key.len()).any(|n| matches(rest, &key[n..])),
        Some((&"*", rest)) => !key.is_empty() && matches(rest, &key[1..]),
        Some((word, rest)) => key.first() == Some(word) && matches(rest, &key[1..]),
    }
}

fn find(topic: &Topic, key: &str) -> Vec<u32> {
    let mut found = Found::new();
    topic.find(key, &mut found);
    found.sort_unstable();
    found.dedup();
    found.to_vec()
}

fn one(pattern: &str, key: &str) -> bool {
    let mut topic = Topic::default();
    topic.insert(pattern, 7);
    find(&topic, key) == [7]
}

#[test]
fn literal_words() {
    assert!(one("a.b", "a.b"));
    assert!(!one("a.b", "a"));
    assert!(!one("a.b", "a.b.c"));
    assert!(!one("a.b", "A.b"));
    assert!(one("\u{e4}.\u{f6}", "\u{e4}.\u{f6}"));
}

#[test]
fn star_is_exactly_one_word() {
    assert!(one("*", "a"));
    assert!(!one("*", "a.b"));
    assert!(one("a.*.c", "a.b.c"));
    assert!(!one("a.*.c", "a.c"));
    // An empty word between dots is a word; the empty key has none.
    assert!(one("a.*.c", "a..c"));
    assert!(one("*.*", "."));
    assert!(one("*.", "a."));
    assert!(!one("*", ""));
}

#[test]
fn hash_is_zero_or_more_words() {
    for key in ["", "a", "a.b", ".", "a..b", "*", "#"] {
        assert!(one("#", key), "{key:?}");
        assert!(one("#.#", key), "{key:?}");
    }
    assert!(one("a.#", "a"));
    assert!(one("a.#", "a.b.c"));
    assert!(one("#.a", "a"));
    assert!(one("#.a", "b..a"));
    assert!(!one("#.a", "a.b"));
    assert!(one("a.#.b", "a.b"));
    assert!(one("a.#.b", "a.x.y.b"));
    assert!(one("#.*", "a"));
    assert!(!one("#.*", ""));
    assert!(!one("*.#.*", "a"));
}

#[test]
fn empty_patterns_and_words() {
    assert!(one("", ""));
    assert!(!one("", "."));
    assert!(!one(".", ""));
    assert!(one(".", "."));
    assert!(one("a.", "a."));
    assert!(!one("a.", "a"));
    assert!(!one("a", "a."));
}

#[test]
fn wildcards_in_a_key_and_within_words_are_ordinary() {
    assert!(one("a.*", "a.*"));
    assert!(one("a*.b#", "a*.b#"));
    assert!(!one("a*", "ab"));
    assert!(!one("a", "*"));
    assert!(!one("a", "#"));
}

#[test]
fn removal_leaves_nothing_behind() {
    let patterns = ["a.b.c", "a.*.#", "a.b", "#", "", "..", "a.b.c"];
    let mut topic = Topic::default();
    for (pattern, target) in patterns.into_iter().zip(0..) {
        topic.insert(pattern, target);
    }
    // Unknown ones change nothing.
    for pattern in ["a.b.x", "x", "*", "a.b.c.d", "a.#"] {
        topic.remove(pattern, 0);
    }
    assert_eq!(find(&topic, "a.b.c"), [0, 1, 3, 6]);
    for (pattern, target) in patterns.into_iter().zip(0..) {
        topic.remove(pattern, target);
    }
    assert_eq!(topic.nodes.len(), 1);
    assert!(topic.edges.is_empty());
    assert!(topic.words.ids.is_empty() && topic.words.used.is_empty());
}

/// With backtracking this would take longer than the universe lasts.
#[test]
fn many_hashes_stay_cheap() {
    let mut topic = Topic::default();
    let pattern = format!("{}b", "#.a.".repeat(60));
    topic.insert(&pattern, 1);
    topic.insert(&["#"; 120].join("."), 2);
    topic.insert(&format!("{}c", "*.#.".repeat(60)), 3);
    let key = ["a"; 127].join(".");
    assert_eq!(find(&topic, &key), [2]);
    assert_eq!(find(&topic, &format!("{key}.b")), [1, 2]);
    assert_eq!(find(&topic, &format!("{key}.c")), [2, 3]);
}

fn pattern() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("*"), Just("#"), Just("a"), Just("b"), Just("")];
    prop::collection::vec(word, 0..6).prop_map(|words| words.join("."))
}

fn key() -> impl Strategy<Value = String> {
    let word =
        prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just(""), 1 => Just("*"), 1 => Just("c")];
    prop::collection::vec(word, 0..7).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn agrees_with_the_definition(
        patterns in prop::collection::vec(pattern(), 1..40),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        keys in prop::collection::vec(key(), 1..10),
    ) {
        let mut topic = Topic::default();
        let mut model: Vec<Option<&str>> = patterns.iter().map(|p| Some(p.as_str())).collect();
        for (pattern, target) in patterns.iter().zip(0..) {
            topic.insert(pattern, target);
        }
        for index in removed {
            let place = index.index(model.len());
            if let Some(pattern) = model[place].take() {
                topic.remove(pattern, place as u32);
            }
        }
        for key in &keys {
            let expected: Vec<u32> = model
                .iter()
                .zip(0..)
                .filter(|(pattern, _)| pattern.is_some_and(|p| matches(&words(p), &words(key))))
                .map(|(_, target)| target)
                .collect();
            prop_assert_eq!(find(&topic, key), expected, "key {:?}", key);
        }
    }
}
