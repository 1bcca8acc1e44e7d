//! `POST /api/console/policies/preview`: what a policy would change before it does;
//! `GET /api/console/queues/{vhost}/{name}/settings`: each setting of a queue with its source;
//! `GET /api/console/queues/{vhost}/{name}/policies`, and of exchanges: which policies match.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use warren_broker::Vhost;
use warren_broker::auth::AuthenticatedUser;
use warren_broker::catalog::{PolicyDef, json_from_table};
use warren_broker::policy::{AppliedPolicy, PolicySet, Subject, parse_policy};

use crate::Context;
use crate::http::{ApiError, Body, Manager, MemberVhost, Path, blocking};

/// Changed objects listed at most.
const LISTED_MAX: usize = 200;

/// Settings of a queue: policy key and argument.
const SETTINGS: [(&str, &str); 12] = [
    ("message-ttl", "x-message-ttl"),
    ("expires", "x-expires"),
    ("max-length", "x-max-length"),
    ("max-length-bytes", "x-max-length-bytes"),
    ("overflow", "x-overflow"),
    ("dead-letter-exchange", "x-dead-letter-exchange"),
    ("dead-letter-routing-key", "x-dead-letter-routing-key"),
    ("dead-letter-strategy", "x-dead-letter-strategy"),
    ("delivery-limit", "x-delivery-limit"),
    ("consumer-timeout", "x-consumer-timeout"),
    ("max-priority", "x-max-priority"),
    ("single-active-consumer", "x-single-active-consumer"),
];

/// Answers with the objects that match, and those whose effective policy would change.
pub(crate) async fn preview(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Body(fields): Body,
) -> Result<Json<Value>, ApiError> {
    fields.require(&["vhost", "name", "pattern", "definition"])?;
    let operator = fields.text("kind")? == Some("operator-policies");
    let (vhost, name) = (fields.text("vhost")?, fields.text("name")?);
    let (vhost, name) = (
        vhost.unwrap_or_default().to_owned(),
        name.unwrap_or_default().to_owned(),
    );
    let policy = parse_policy(&name, fields.as_map(), operator).map_err(ApiError::bad_request)?;
    blocking(move || compare(&ctx, &user, &vhost, &name, policy, operator))
        .await?
        .map(Json)
}

fn compare(
    ctx: &Context,
    user: &AuthenticatedUser,
    vhost: &str,
    name: &str,
    policy: PolicyDef,
    operator: bool,
) -> Result<Value, ApiError> {
    if !user.may_set_policies() || !ctx.may_read(user, vhost) {
        return Err(ApiError::NotAuthorised(
            "User not authorised to access object",
        ));
    }
    let vhost = ctx.broker.vhost(vhost).ok_or(ApiError::NotFound)?;
    let listed = |operator: bool| -> Vec<(String, PolicyDef)> {
        let state = ctx.broker.catalog().read();
        let policies = state.policies(vhost.name(), operator);
        policies
            .map(|(name, policy)| (name.to_owned(), policy.clone()))
            .collect()
    };
    let set = |own: &[(String, PolicyDef)], operator: &[(String, PolicyDef)]| {
        let pairs = |list: &'_ [(String, PolicyDef)]| {
            list.iter()
                .map(|(name, policy)| (name.clone(), policy.clone()))
                .collect::<Vec<_>>()
        };
        let (own, operator) = (pairs(own), pairs(operator));
        PolicySet::new(
            own.iter().map(|(name, policy)| (name.as_str(), policy)),
            operator
                .iter()
                .map(|(name, policy)| (name.as_str(), policy)),
        )
    };
    let (mut own, mut operators) = (listed(false), listed(true));
    let before = set(&own, &operators);
    let alone = set(&[(name.to_owned(), policy.clone())], &[]);
    let changed_list = if operator { &mut operators } else { &mut own };
    changed_list.retain(|(known, _)| known != name);
    changed_list.push((name.to_owned(), policy));
    let after = set(&own, &operators);
    let mut result = Comparison {
        operator,
        name,
        matched: 0,
        changed: Vec::new(),
        total: 0,
        shadowed: Vec::new(),
    };
    for queue in vhost.queues() {
        let subject = Subject::Queue(queue.settings().queue_type);
        if alone.find(queue.name(), subject).is_some() {
            result.see(
                "queue",
                queue.name(),
                &before.find(queue.name(), subject),
                &after.find(queue.name(), subject),
            );
        }
    }
    for exchange in vhost.exchanges() {
        let name = exchange.name.as_str();
        if !name.is_empty() && alone.find(name, Subject::Exchange).is_some() {
            result.see(
                "exchange",
                name,
                &before.find(name, Subject::Exchange),
                &after.find(name, Subject::Exchange),
            );
        }
    }
    Ok(result.describe())
}

struct Comparison<'a> {
    operator: bool,
    name: &'a str,
    matched: usize,
    changed: Vec<Value>,
    total: usize,
    shadowed: Vec<String>,
}

impl Comparison<'_> {
    fn see(
        &mut self,
        kind: &str,
        object: &str,
        before: &Option<Arc<AppliedPolicy>>,
        after: &Option<Arc<AppliedPolicy>>,
    ) {
        self.matched += 1;
        let applied = after.as_ref().and_then(|applied| {
            if self.operator {
                applied.operator_policy.as_deref()
            } else {
                applied.policy.as_deref()
            }
        });
        if let Some(other) = applied.filter(|other| *other != self.name)
            && !self.shadowed.iter().any(|known| known == other)
        {
            self.shadowed.push(other.to_owned());
        }
        let empty = Map::new();
        let old = before
            .as_ref()
            .map_or(&empty, |applied| &applied.definition);
        let new = after.as_ref().map_or(&empty, |applied| &applied.definition);
        let keys = new
            .keys()
            .chain(old.keys().filter(|key| !new.contains_key(*key)));
        let changes: Vec<Value> = keys
            .filter(|key| old.get(*key) != new.get(*key))
            .map(|key| json!({ "key": key, "before": old.get(key), "after": new.get(key) }))
            .collect();
        if changes.is_empty() {
            return;
        }
        self.total += 1;
        if self.changed.len() < LISTED_MAX {
            let policy = before
                .as_ref()
                .and_then(|applied| applied.policy.as_deref());
            self.changed.push(
                json!({ "kind": kind, "name": object, "policy": policy, "changes": changes }),
            );
        }
    }

    fn describe(self) -> Value {
        json!({
            "matched": self.matched,
            "changed": self.changed,
            "changed_total": self.total,
            "shadowed_by": self.shadowed,
        })
    }
}

/// Answers `{"settings":[{"key","value","source","name"?}]}`.
pub(crate) async fn settings(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let vhost = Arc::clone(&member.vhost);
    blocking(move || describe(&ctx, &vhost, &name))
        .await?
        .map(Json)
}

fn describe(ctx: &Context, vhost: &Vhost, name: &str) -> Result<Value, ApiError> {
    let queue = vhost.find_queue(name).ok_or(ApiError::NotFound)?;
    let arguments = json_from_table(&queue.arguments());
    let subject = Subject::Queue(queue.settings().queue_type);
    let applied = vhost.policy_set().find(name, subject);
    let definition = |operator: bool| -> Map<String, Value> {
        let chosen = applied.as_ref().and_then(|applied| {
            if operator {
                applied.operator_policy.clone()
            } else {
                applied.policy.clone()
            }
        });
        let state = ctx.broker.catalog().read();
        let mut policies = state.policies(vhost.name(), operator);
        let found = policies.find(|(known, _)| chosen.as_deref() == Some(*known));
        found
            .map(|(_, policy)| policy.definition.clone())
            .unwrap_or_default()
    };
    let (own, operator) = (definition(false), definition(true));
    let settings: Vec<Value> = SETTINGS
        .iter()
        .map(|(key, argument)| {
            let given = [
                ("argument", arguments.get(*argument)),
                ("operator policy", operator.get(*key)),
                ("policy", own.get(*key)),
            ];
            // Of numbers the least counts (a negative delivery limit is no limit); else the first.
            let numbers = given
                .iter()
                .filter_map(|(source, value)| Some((*source, value.as_ref()?.as_i64()?)));
            let (source, value) =
                match numbers.min_by_key(|(_, n)| if *n < 0 { i64::MAX } else { *n }) {
                    Some((source, n)) => (source, Value::from(n)),
                    None => given
                        .iter()
                        .find_map(|(source, value)| Some((*source, (*value)?.clone())))
                        .unwrap_or(("default", Value::Null)),
                };
            let policy = applied.as_ref().and_then(|applied| match source {
                "policy" => applied.policy.as_deref(),
                "operator policy" => applied.operator_policy.as_deref(),
                _ => None,
            });
            json!({ "key": key, "value": value, "source": source, "name": policy })
        })
        .collect();
    let applied = applied.as_deref();
    let policies = [
        (false, applied.and_then(|applied| applied.policy.as_deref())),
        (true, applied.and_then(|a| a.operator_policy.as_deref())),
    ]
    .into_iter()
    .flat_map(|(operator, chosen)| matching(ctx, vhost, (name, subject), operator, chosen))
    .collect::<Vec<_>>();
    Ok(json!({ "settings": settings, "policies": policies }))
}

/// Answers with the policies that match, no operator policies: as RabbitMQ's command line does.
pub(crate) async fn policies_of_queue(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let queue = member.vhost.find_queue(&name).ok_or(ApiError::NotFound)?;
    let subject = Subject::Queue(queue.settings().queue_type);
    all_matching(ctx, member, name, subject).await
}

/// The same for an exchange.
pub(crate) async fn policies_of_exchange(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let found = member.vhost.exchange(&name);
    found.map_err(|_| ApiError::NotFound)?;
    all_matching(ctx, member, name, Subject::Exchange).await
}

async fn all_matching(
    ctx: Context,
    member: MemberVhost,
    name: String,
    subject: Subject,
) -> Result<Json<Value>, ApiError> {
    let vhost = Arc::clone(&member.vhost);
    blocking(move || {
        let applied = vhost.policy_set().find(&name, subject);
        let chosen = applied.as_deref().and_then(|a| a.policy.as_deref());
        Json(matching(&ctx, &vhost, (&name, subject), false, chosen).into())
    })
    .await
}

/// All policies that match, in the order they are considered; `chosen` is the one in force.
fn matching(
    ctx: &Context,
    vhost: &Vhost,
    (object, subject): (&str, Subject),
    operator: bool,
    chosen: Option<&str>,
) -> Vec<Value> {
    let all: Vec<(String, PolicyDef)> = {
        let state = ctx.broker.catalog().read();
        let policies = state.policies(vhost.name(), operator);
        policies
            .map(|(name, policy)| (name.to_owned(), policy.clone()))
            .collect()
    };
    let fits = |(name, policy): &&(String, PolicyDef)| {
        let alone = std::iter::once((name.as_str(), policy));
        let alone = PolicySet::new(alone, std::iter::empty());
        alone.find(object, subject).is_some()
    };
    let mut found: Vec<&(String, PolicyDef)> = all.iter().filter(fits).collect();
    let in_force = |name: &str| chosen == Some(name);
    found.sort_by_key(|(name, policy)| (!in_force(name), std::cmp::Reverse(policy.priority), name));
    let shown = found.into_iter().map(|(name, policy)| {
        json!({
            "name": name,
            "operator": operator,
            "pattern": policy.pattern,
            "apply-to": policy.apply_to.as_str(),
            "priority": policy.priority,
            "definition": policy.definition,
            "in_force": in_force(name),
        })
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{GUEST, Node};

    #[tokio::test]
    async fn all_policies_that_match_a_queue_are_told_in_order() {
        let node = Node::start().await;
        node.send("PUT", "/api/queues/%2F/orders.eu", "{}").await;
        for (name, pattern, priority) in [("low", "^orders", 1), ("high", "eu$", 5), ("no", "x", 9)]
        {
            let body = format!(
                r#"{{"pattern":"{pattern}","definition":{{"max-length":{priority}}},"priority":{priority},"apply-to":"queues"}}"#
            );
            let path = format!("/api/policies/%2F/{name}");
            assert_eq!(node.send("PUT", &path, &body).await.status, 201);
        }
        let path = "/api/console/queues/%2F/orders.eu/settings";
        let found = node.get(path, Some(GUEST)).await.json();
        let told: Vec<_> = found["policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|policy| (policy["name"].as_str().unwrap(), policy["in_force"] == true))
            .collect();
        assert_eq!(told, [("high", true), ("low", false)]);
        let path = "/api/console/queues/%2F/orders.eu/policies";
        let alone = node.get(path, Some(GUEST)).await.json();
        assert_eq!(alone, found["policies"]);
        let path = "/api/console/exchanges/%2F/amq.topic/policies";
        assert_eq!(node.get(path, Some(GUEST)).await.body, "[]");
        for kind in ["queues", "exchanges"] {
            let path = format!("/api/console/{kind}/%2F/missing/policies");
            assert_eq!(node.get(&path, Some(GUEST)).await.status, 404);
        }
        let length = found["settings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|setting| setting["key"] == "max-length")
            .unwrap();
        assert_eq!(
            (&length["value"], &length["source"]),
            (&5.into(), &"policy".into())
        );
    }
}
