//! The `ha-*` keys of mirrored classic queues: validation (row L-23) and merging (row L-24).
//! They are kept and shown; a node of its own has nothing to mirror to.

use serde_json::Value;

use super::Definition;
use super::term::{optional, term};

const KEYS: [&str; 6] = [
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-sync-batch-size",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
];

/// Checks the keys together. The error is RabbitMQ's text.
pub(super) fn validate(definition: &Definition) -> Result<(), String> {
    if !KEYS.iter().any(|key| definition.contains_key(*key)) {
        return Ok(());
    }
    let Some(mode) = definition.get("ha-mode") else {
        return Err(
            "ha-mode must be specified to specify ha-params, ha-sync-mode or \
             ha-promote-on-shutdown"
                .to_owned(),
        );
    };
    validate_params(mode, definition)?;
    one_of(definition, "ha-sync-mode", ["manual", "automatic"])?;
    if definition
        .get("ha-sync-batch-size")
        .is_some_and(|size| size.as_i64().is_none_or(|n| n <= 0))
    {
        return Err(format!(
            "ha-sync-batch-size takes an integer greater than 0, {} given",
            optional(definition, "ha-sync-batch-size")
        ));
    }
    one_of(
        definition,
        "ha-promote-on-shutdown",
        ["always", "when-synced"],
    )?;
    one_of(
        definition,
        "ha-promote-on-failure",
        ["always", "when-synced"],
    )
}

fn validate_params(mode: &Value, definition: &Definition) -> Result<(), String> {
    let params = definition.get("ha-params");
    let given = optional(definition, "ha-params");
    match mode.as_str() {
        Some("all") => match params {
            None => Ok(()),
            Some(_) => Err(format!(
                "ha-mode=\"all\" does not take parameters, got {given}"
            )),
        },
        Some("exactly") => match params.and_then(Value::as_i64) {
            Some(n) if n > 0 => Ok(()),
            _ => Err(format!(
                "ha-mode=\"exactly\" takes an integer, {given} given"
            )),
        },
        Some("nodes") => match params.and_then(Value::as_array) {
            Some(nodes) if nodes.is_empty() => {
                Err("ha-mode=\"nodes\" list must be non-empty".to_owned())
            }
            Some(nodes) if nodes.iter().all(Value::is_string) => Ok(()),
            Some(nodes) => {
                let wrong = nodes.iter().filter(|node| !node.is_string()).cloned();
                Err(format!(
                    "ha-mode=\"nodes\" takes a list of strings, {} was not a string",
                    term(&Value::Array(wrong.collect()))
                ))
            }
            None => Err(format!(
                "ha-mode=\"nodes\" takes a list of strings, {given} given"
            )),
        },
        _ => Err(format!("{} is not a valid ha-mode value", term(mode))),
    }
}

fn one_of(definition: &Definition, key: &str, accepted: [&str; 2]) -> Result<(), String> {
    let fits = |value: &Value| value.as_str().is_some_and(|text| accepted.contains(&text));
    match definition.get(key) {
        Some(value) if !fits(value) => Err(format!(
            "{key} must be \"{}\" or \"{}\", got {}",
            accepted[0],
            accepted[1],
            term(value)
        )),
        _ => Ok(()),
    }
}

/// `all` beats `exactly` beats `nodes`.
pub(super) fn merge_mode<'a>(own: &'a Value, operator: &'a Value) -> &'a Value {
    let rank = |mode: &Value| match mode.as_str() {
        Some("all") => 2,
        Some("exactly") => 1,
        _ => 0,
    };
    if rank(own) >= rank(operator) {
        own
    } else {
        operator
    }
}

/// The greater number, a number before a list, the longer list.
pub(super) fn merge_params<'a>(own: &'a Value, operator: &'a Value) -> &'a Value {
    let own_wins = match (own.as_i64(), operator.as_i64()) {
        (Some(own), Some(operator)) => own > operator,
        (own, operator) if own.is_some() != operator.is_some() => own.is_some(),
        _ => length(own) > length(operator),
    };
    if own_wins { own } else { operator }
}

fn length(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(definition: Value) -> String {
        validate(definition.as_object().unwrap()).unwrap_err()
    }

    #[test]
    fn l23_mirroring_is_validated_with_rabbitmqs_texts() {
        assert_eq!(
            refused(json!({"ha-mode": "x"})),
            "<<\"x\">> is not a valid ha-mode value"
        );
        assert_eq!(
            refused(json!({"ha-params": 2})),
            "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"
        );
        assert_eq!(
            refused(json!({"ha-mode": "exactly"})),
            "ha-mode=\"exactly\" takes an integer, none given"
        );
        assert_eq!(
            refused(json!({"ha-mode": "nodes", "ha-params": []})),
            "ha-mode=\"nodes\" list must be non-empty"
        );
        assert_eq!(
            refused(json!({"ha-mode": "nodes", "ha-params": ["a", 1]})),
            "ha-mode=\"nodes\" takes a list of strings, [1] was not a string"
        );
        assert_eq!(
            refused(json!({"ha-mode": "all", "ha-sync-mode": "later"})),
            "ha-sync-mode must be \"manual\" or \"automatic\", got <<\"later\">>"
        );
        assert_eq!(
            refused(json!({"ha-mode": "all", "ha-sync-batch-size": 0})),
            "ha-sync-batch-size takes an integer greater than 0, 0 given"
        );
        assert_eq!(
            refused(json!({"ha-mode": "all", "ha-promote-on-shutdown": 1})),
            "ha-promote-on-shutdown must be \"always\" or \"when-synced\", got 1"
        );
        assert_eq!(
            refused(json!({"ha-mode": "all", "ha-promote-on-failure": "no"})),
            "ha-promote-on-failure must be \"always\" or \"when-synced\", got <<\"no\">>"
        );
        for accepted in [
            json!({"ha-mode": "all", "ha-sync-mode": "automatic", "ha-sync-batch-size": 10}),
            json!({"ha-mode": "exactly", "ha-params": 2, "ha-promote-on-failure": "always"}),
            json!({"ha-mode": "nodes", "ha-params": ["rabbit@a"]}),
        ] {
            assert_eq!(validate(accepted.as_object().unwrap()), Ok(()));
        }
    }

    #[test]
    fn l24_mirroring_merges_to_more_copies() {
        let all = json!("all");
        let (exactly, nodes) = (json!("exactly"), json!("nodes"));
        assert_eq!(merge_mode(&nodes, &exactly), &exactly);
        assert_eq!(merge_mode(&all, &exactly), &all);
        assert_eq!(merge_mode(&exactly, &all), &all);
        let (two, three, list) = (json!(2), json!(3), json!(["a", "b"]));
        assert_eq!(merge_params(&two, &three), &three);
        assert_eq!(merge_params(&list, &two), &two);
        assert_eq!(merge_params(&two, &list), &two);
        assert_eq!(merge_params(&list, &json!(["c"])), &list);
    }
}
