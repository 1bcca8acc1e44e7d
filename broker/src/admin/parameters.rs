//! What runtime parameters and limits may be (rows L-50, U-22, U-23).

use serde_json::Value;

use crate::arguments::erlang;
use crate::policy::validation_failed;

/// Checks a runtime parameter before it is stored. Shovels and federation are kept for what will
/// run them; limits and policies have commands of their own.
///
/// Errors: RabbitMQ's text.
pub fn check_parameter(component: &str, name: &str, value: &Value) -> Result<(), String> {
    match component {
        "shovel" | "federation-upstream" if value.is_object() => Ok(()),
        "federation-upstream-set" if value.is_array() => Ok(()),
        "shovel" | "federation-upstream" | "federation-upstream-set" => Err(validation_failed(
            &format!("{name} not a list {}", plain(value)),
        )),
        "policy" | "operator_policy" => Err("policies may not be set using this method".to_owned()),
        _ => Err(validation_failed(&format!(
            "component {component} not found"
        ))),
    }
}

/// Checks the value of a limit called `name` in `object` (`limits` of a vhost, `user-limits`),
/// which knows the limits `known`.
///
/// Errors: RabbitMQ's text.
pub fn check_limit(object: &str, known: bool, name: &str, value: &Value) -> Result<i64, String> {
    if !known {
        return Err(validation_failed(&format!(
            "Unrecognised terms [{{{},{}}}] in {object}",
            erlang::binary(name.as_bytes()),
            plain(value)
        )));
    }
    value.as_i64().ok_or_else(|| {
        validation_failed(&format!(
            "{name} should be a number, actually was {}",
            plain(value)
        ))
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => erlang::binary(text.as_bytes()),
        other => other.to_string(),
    }
}
