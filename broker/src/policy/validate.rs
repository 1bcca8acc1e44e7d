//! A policy as it comes from outside, checked with RabbitMQ's texts (rows L-7, L-8).

use serde_json::Value;

use super::term::{proplist, term};
use super::{Definition, keys, mirroring};
use crate::auth::check_pattern;
use crate::catalog::{ApplyTo, PolicyDef};

/// How a failed validation is worded.
pub fn validation_failed(why: &str) -> String {
    format!("Validation failed\n\n{why}\n")
}

/// Reads a policy from the fields `pattern`, `definition`, `priority` (0 when missing) and
/// `apply-to` (`all` when missing); other fields are not looked at.
///
/// Errors: RabbitMQ's text.
pub fn parse_policy(name: &str, fields: &Definition, operator: bool) -> Result<PolicyDef, String> {
    let missing = |key| validation_failed(&format!("Key \"{key}\" not found in {name}"));
    let pattern = fields.get("pattern").ok_or_else(|| missing("pattern"))?;
    let definition = fields
        .get("definition")
        .ok_or_else(|| missing("definition"))?;
    let priority = priority(fields.get("priority")).map_err(|why| validation_failed(&why))?;
    let pattern = pattern_text(pattern).map_err(|why| validation_failed(&why))?;
    let apply_to = apply_to(fields.get("apply-to")).map_err(|why| validation_failed(&why))?;
    let definition =
        check_definition(definition, operator).map_err(|why| validation_failed(&why))?;
    Ok(PolicyDef {
        pattern,
        apply_to,
        priority,
        definition,
    })
}

/// RabbitMQ takes fractions as well; they are rounded down here.
fn priority(value: Option<&Value>) -> Result<i64, String> {
    match value {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Number(number)) => Ok(number
            .as_i64()
            .unwrap_or_else(|| number.as_f64().unwrap_or_default().floor() as i64)),
        Some(other) => Err(format!(
            "priority should be a number, actually was {}",
            term(other)
        )),
    }
}

fn pattern_text(value: &Value) -> Result<String, String> {
    let Some(pattern) = value.as_str() else {
        return Err(format!(
            "pattern should be a binary but was {}",
            term(value)
        ));
    };
    check_pattern(pattern)
        .map_err(|error| format!("pattern should be regular expression but is invalid: {error}"))?;
    Ok(pattern.to_owned())
}

fn apply_to(value: Option<&Value>) -> Result<ApplyTo, String> {
    let name = match value {
        None | Some(Value::Null) => return Ok(ApplyTo::All),
        Some(Value::String(name)) => name.clone(),
        Some(other) => term(other),
    };
    ApplyTo::from_name(&name).ok_or_else(|| {
        // The two spaces are RabbitMQ's.
        format!(
            "apply-to '{name}' unrecognised; should be one of: 'queues', 'classic_queues',  \
             'quorum_queues', 'streams', 'exchanges', or 'all'"
        )
    })
}

fn check_definition(value: &Value, operator: bool) -> Result<Definition, String> {
    let definition = match value {
        Value::Object(definition) if !definition.is_empty() => definition,
        Value::Object(_) => return Err("no policy provided".to_owned()),
        Value::Array(members) if members.is_empty() => return Err("no policy provided".to_owned()),
        other => return Err(format!("definition must be a dictionary: {}", term(other))),
    };
    for (name, value) in definition {
        let Some(key) = key(name, operator) else {
            continue;
        };
        if !key.check.accepts(value) {
            return Err(format!("{} is not a valid {}", term(value), key.what));
        }
    }
    mirroring::validate(definition)?;
    check_delayed_retry(definition)?;
    check_federation(definition)?;
    let mut unknown = definition
        .iter()
        .filter(|(name, _)| key(name, operator).is_none())
        .peekable();
    if unknown.peek().is_some() {
        return Err(format!(
            "{} are not recognised policy settings",
            proplist(unknown)
        ));
    }
    Ok(definition.clone())
}

fn key(name: &str, operator: bool) -> Option<&'static keys::Key> {
    keys::find(name).filter(|key| !operator || key.for_operators())
}

fn check_delayed_retry(definition: &Definition) -> Result<(), String> {
    let kind = definition.get("delayed-retry-type").and_then(Value::as_str);
    let number = |key| definition.get(key).and_then(Value::as_i64);
    let (min, max) = (number("delayed-retry-min"), number("delayed-retry-max"));
    if kind.is_some_and(|kind| kind != "disabled") && min.is_none() {
        return Err("delayed-retry-min must be specified to specify delayed-retry-type".to_owned());
    }
    match (min, max) {
        (Some(min), Some(max)) if max < min => Err(format!(
            "delayed-retry-max ({max}) must not be less than delayed-retry-min ({min})"
        )),
        _ => Ok(()),
    }
}

fn check_federation(definition: &Definition) -> Result<(), String> {
    let given: Vec<&str> = [
        "federation-upstream",
        "federation-upstream-set",
        "federation-upstream-pattern",
    ]
    .into_iter()
    .filter(|key| definition.contains_key(*key))
    .collect();
    match given.as_slice() {
        [first, second, ..] => Err(format!("cannot specify {first} and {second} together")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(policy: Value, operator: bool) -> Result<PolicyDef, String> {
        parse_policy("p", policy.as_object().unwrap(), operator)
    }

    fn refused(policy: Value) -> String {
        let text = parse(policy, false).unwrap_err();
        let why = text.strip_prefix("Validation failed\n\n").unwrap();
        why.strip_suffix('\n').unwrap().to_owned()
    }

    fn refused_definition(definition: Value) -> String {
        refused(json!({"pattern": "", "definition": definition}))
    }

    #[test]
    fn l1_fields_and_their_defaults() {
        let policy = parse(
            json!({"pattern": "^a", "definition": {"max-length": 1}, "name": "p"}),
            false,
        )
        .unwrap();
        assert_eq!(policy.priority, 0);
        assert_eq!(policy.apply_to, ApplyTo::All);
        for name in [
            "all",
            "queues",
            "exchanges",
            "classic_queues",
            "quorum_queues",
            "streams",
        ] {
            let policy = parse(
                json!({"pattern": "", "definition": {"max-length": 1}, "apply-to": name,
                    "priority": 7}),
                false,
            )
            .unwrap();
            assert_eq!(policy.apply_to.as_str(), name);
            assert_eq!(policy.priority, 7);
        }
    }

    #[test]
    fn l7_what_is_no_policy_is_refused() {
        assert_eq!(
            refused_definition(json!({"foo": 1})),
            "[{<<\"foo\">>,1}] are not recognised policy settings"
        );
        assert_eq!(refused_definition(json!({})), "no policy provided");
        assert_eq!(
            refused_definition(json!("x")),
            "definition must be a dictionary: <<\"x\">>"
        );
        let with = |field: &str, value: Value| {
            let mut policy = json!({"pattern": "a", "definition": {"max-length": 1}});
            policy[field] = value;
            refused(policy)
        };
        assert!(
            with("pattern", json!("("))
                .starts_with("pattern should be regular expression but is invalid: ")
        );
        assert_eq!(
            with("pattern", json!(1)),
            "pattern should be a binary but was 1"
        );
        assert_eq!(
            with("priority", json!("1")),
            "priority should be a number, actually was <<\"1\">>"
        );
        assert_eq!(
            with("apply-to", json!("x")),
            "apply-to 'x' unrecognised; should be one of: 'queues', 'classic_queues',  \
             'quorum_queues', 'streams', 'exchanges', or 'all'"
        );
        assert_eq!(
            refused(json!({"definition": {"max-length": 1}})),
            "Key \"pattern\" not found in p"
        );
    }

    #[test]
    fn l8_values_are_checked_with_rabbitmqs_texts() {
        for (key, value, text) in [
            ("max-length", json!(-1), "-1 is not a valid maximum length"),
            (
                "max-length",
                json!(1.5),
                "1.5 is not a valid maximum length",
            ),
            (
                "max-length-bytes",
                json!("x"),
                "<<\"x\">> is not a valid maximum length in bytes",
            ),
            ("message-ttl", json!(-1), "-1 is not a valid message TTL"),
            ("expires", json!(0), "0 is not a valid queue expiry"),
            (
                "overflow",
                json!("x"),
                "<<\"x\">> is not a valid overflow value",
            ),
            (
                "delivery-limit",
                json!("x"),
                "<<\"x\">> is not a valid delivery limit",
            ),
            (
                "dead-letter-exchange",
                json!(1),
                "1 is not a valid dead letter exchange name",
            ),
            (
                "alternate-exchange",
                json!(null),
                "null is not a valid alternate exchange name",
            ),
            (
                "queue-mode",
                json!([1]),
                "[1] is not a valid queue-mode value",
            ),
            ("queue-version", json!(3), "3 is not a valid queue version"),
            ("max-age", json!("5"), "<<\"5\">> is not a valid max age"),
            (
                "stream-filter-size-bytes",
                json!(15),
                "15 is not a valid filter size. Valid range is 16-255",
            ),
            (
                "consumer-timeout",
                json!(-1),
                "-1 is not a valid consumer timeout",
            ),
        ] {
            let mut definition = Definition::new();
            definition.insert(key.to_owned(), value);
            assert_eq!(refused_definition(Value::Object(definition)), text);
        }
        assert_eq!(
            refused_definition(json!({"delayed-retry-min": 5, "delayed-retry-max": 4})),
            "delayed-retry-max (4) must not be less than delayed-retry-min (5)"
        );
        assert_eq!(
            refused_definition(json!({"federation-upstream": "a", "federation-upstream-set": "b"})),
            "cannot specify federation-upstream and federation-upstream-set together"
        );
    }

    #[test]
    fn l3_operator_policies_take_fewer_keys() {
        let operator =
            |definition: Value| parse(json!({"pattern": "", "definition": definition}), true);
        for definition in [
            json!({"expires": 1, "message-ttl": 0, "max-length": 5, "max-length-bytes": 5}),
            json!({"delivery-limit": -1, "overflow": "reject-publish", "queue-version": 2}),
            json!({"max-in-memory-length": 5, "max-in-memory-bytes": 5, "target-group-size": 3}),
            json!({"ha-mode": "exactly", "ha-params": 2, "ha-sync-mode": "manual"}),
        ] {
            assert!(operator(definition.clone()).is_ok(), "{definition}");
        }
        let text = operator(json!({"dead-letter-exchange": "x"})).unwrap_err();
        assert_eq!(
            text,
            "Validation failed\n\n[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised \
             policy settings\n"
        );
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern in "\\PC{0,20}") {
            let policy = json!({"pattern": pattern, "definition": {"max-length": 1}});
            let _ = parse(policy, false);
        }
    }
}
