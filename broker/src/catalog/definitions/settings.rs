//! Importing and exporting limits, policies, parameters and topic permissions.

use serde_json::{Map, Value, json};

use super::super::check::CatalogError;
use super::super::command::Command;
use super::super::policy::{PolicyDef, UserLimit, VhostLimit};
use super::super::state::State;
use super::super::writer::Catalog;
use super::Definitions;
use super::import::{ImportReport, describe};
use crate::admin::check_parameter;
use crate::auth::check_pattern;
use crate::policy::parse_policy;

impl Definitions {
    /// Imports everything that needs its vhost and user, and nothing else, to be there.
    pub(super) fn import_settings(
        &self,
        catalog: &Catalog,
        report: &mut ImportReport,
    ) -> Result<(), CatalogError> {
        for (what, commands) in self.settings() {
            import(catalog, report, what, commands)?;
        }
        Ok(())
    }

    /// All of that: what it is called, and the commands for it or why there are none.
    pub(crate) fn settings(&self) -> Vec<(String, Result<Vec<Command>, String>)> {
        let mut settings = Vec::new();
        for entry in &self.topic_permissions {
            let what = describe("topic permission", entry);
            settings.push((what, topic_permission(entry).map(one)));
        }
        for entry in &self.parameters {
            settings.push((describe("parameter", entry), parameter(entry)));
        }
        for entry in &self.policies {
            let command = entry
                .as_object()
                .ok_or_else(|| "not an object".to_owned())
                .and_then(|fields| policy(entry, fields, false));
            settings.push((describe("policy", entry), command.map(one)));
        }
        settings
    }

    /// Adds what a vhost has of it. RabbitMQ keeps limits and operator policies as parameters.
    pub(super) fn export_settings(&mut self, state: &State, vhost: &str) {
        for (user, exchange, def) in state.topic_permissions(vhost) {
            self.topic_permissions
                .push(json!({"user": user, "vhost": vhost,
                "exchange": exchange, "write": def.write, "read": def.read}));
        }
        for (component, name, value) in state.parameters(vhost) {
            self.parameters
                .push(json!({"vhost": vhost, "component": component, "name": name,
                "value": value}));
        }
        for (name, def) in state.policies(vhost, true) {
            self.parameters
                .push(json!({"vhost": vhost, "component": "operator_policy",
                "name": name, "value": fields(def)}));
        }
        let limits = state.vhost(vhost).map(|def| &def.limits);
        if let Some(limits) = limits.filter(|limits| !limits.is_empty()) {
            self.parameters
                .push(json!({"vhost": vhost, "component": "vhost-limits",
                "name": "limits", "value": limits}));
        }
        for (name, def) in state.policies(vhost, false) {
            let mut entry = fields(def);
            entry.insert("vhost".to_owned(), vhost.into());
            entry.insert("name".to_owned(), name.into());
            self.policies.push(Value::Object(entry));
        }
    }
}

fn fields(def: &PolicyDef) -> Map<String, Value> {
    match serde_json::to_value(def) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn one(command: Command) -> Vec<Command> {
    vec![command]
}

fn import(
    catalog: &Catalog,
    report: &mut ImportReport,
    what: String,
    commands: Result<Vec<Command>, String>,
) -> Result<(), CatalogError> {
    match commands {
        Ok(commands) => {
            for command in commands {
                report.propose(catalog, &what, command)?;
            }
        }
        Err(why) => report.ignore(what, why.trim().replace("\n\n", ": ")),
    }
    Ok(())
}

fn text(entry: &Value, field: &str) -> Result<String, String> {
    let value = entry.get(field).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .ok_or_else(|| format!("no text '{field}'"))
}

fn topic_permission(entry: &Value) -> Result<Command, String> {
    let (write, read) = (text(entry, "write")?, text(entry, "read")?);
    check_pattern(&write)?;
    check_pattern(&read)?;
    Ok(Command::SetTopicPermission {
        user: text(entry, "user")?,
        vhost: text(entry, "vhost")?,
        exchange: text(entry, "exchange")?,
        write,
        read,
    })
}

fn policy(entry: &Value, fields: &Map<String, Value>, operator: bool) -> Result<Command, String> {
    let name = text(entry, "name")?;
    Ok(Command::SetPolicy {
        vhost: text(entry, "vhost")?,
        operator,
        policy: parse_policy(&name, fields, operator)?,
        name,
    })
}

fn parameter(entry: &Value) -> Result<Vec<Command>, String> {
    let (vhost, component) = (text(entry, "vhost")?, text(entry, "component")?);
    let name = text(entry, "name")?;
    let value = entry.get("value").cloned().unwrap_or_default();
    let object = || {
        value
            .as_object()
            .ok_or_else(|| "the value is not an object".to_owned())
    };
    match component.as_str() {
        "operator_policy" => policy(entry, object()?, true).map(one),
        "vhost-limits" => vhost_limits(&vhost, object()?),
        _ => {
            check_parameter(&component, &name, &value)?;
            Ok(one(Command::SetParameter {
                vhost,
                component,
                name,
                value,
            }))
        }
    }
}

/// The commands that set these limits of a vhost.
pub(crate) fn vhost_limits(
    vhost: &str,
    limits: &Map<String, Value>,
) -> Result<Vec<Command>, String> {
    let command = |(name, value): (&String, &Value)| {
        let limit = VhostLimit::from_name(name).ok_or_else(|| format!("no limit '{name}'"))?;
        let value = value.as_i64().ok_or_else(|| not_a_number(name))?;
        Ok(Command::SetVhostLimit {
            vhost: vhost.to_owned(),
            limit,
            value: Some(value),
        })
    };
    limits.iter().map(command).collect()
}

/// The commands that set these limits of a user.
pub(crate) fn user_limits(user: &str, limits: &Map<String, Value>) -> Result<Vec<Command>, String> {
    let command = |(name, value): (&String, &Value)| {
        let limit = UserLimit::from_name(name).ok_or_else(|| format!("no limit '{name}'"))?;
        let value = value.as_i64().ok_or_else(|| not_a_number(name))?;
        Ok(Command::SetUserLimit {
            user: user.to_owned(),
            limit,
            value: Some(value),
        })
    };
    limits.iter().map(command).collect()
}

fn not_a_number(name: &str) -> String {
    format!("limit '{name}' is not a number")
}

/// Imports the limits that stand with their vhost or user.
pub(super) fn import_limits(
    catalog: &Catalog,
    what: &str,
    limits: &Value,
    commands: impl Fn(&Map<String, Value>) -> Result<Vec<Command>, String>,
    report: &mut ImportReport,
) -> Result<(), CatalogError> {
    let what = format!("limits of {what}");
    match limits {
        Value::Object(limits) => import(catalog, report, what, commands(limits)),
        Value::Null => Ok(()),
        Value::Array(members) if members.is_empty() => Ok(()),
        _ => import(catalog, report, what, Err("not an object".to_owned())),
    }
}
