//! Which policy and operator policy apply to a queue or exchange (rows L-2 to L-4).

use std::sync::Arc;

use fancy_regex::Regex;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Definition, keys, merge_definitions};
use crate::arguments::QueueType;
use crate::auth::compile;
use crate::catalog::{ApplyTo, PolicyDef};

/// What a policy may apply to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A queue of this type.
    Queue(QueueType),
    /// An exchange.
    Exchange,
}

/// What applies to one queue or exchange. Shared by all that have the same two policies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppliedPolicy {
    /// The policy.
    pub policy: Option<Arc<str>>,
    /// The operator policy.
    pub operator_policy: Option<Arc<str>>,
    /// Both merged (row L-9).
    pub definition: Definition,
}

/// The policies of one vhost, compiled once.
#[derive(Default)]
pub struct PolicySet {
    /// By descending priority.
    own: Vec<Compiled>,
    operator: Vec<Compiled>,
    /// What was merged before, by the two policies' places.
    merged: Mutex<FxHashMap<Places, Arc<AppliedPolicy>>>,
}

/// Places of a policy and an operator policy in their lists.
type Places = (Option<usize>, Option<usize>);

struct Compiled {
    name: Arc<str>,
    pattern: Option<Regex>,
    apply_to: ApplyTo,
    /// The queue types that support all keys.
    types: [bool; 3],
    definition: Definition,
}

impl PolicySet {
    /// Compiles policies and operator policies, each with its name.
    pub fn new<'a>(
        own: impl Iterator<Item = (&'a str, &'a PolicyDef)>,
        operator: impl Iterator<Item = (&'a str, &'a PolicyDef)>,
    ) -> Self {
        Self {
            own: by_priority(own),
            operator: by_priority(operator),
            merged: Mutex::default(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.operator.is_empty()
    }

    /// What applies to `name`; `None` when nothing does.
    pub fn find(&self, name: &str, subject: Subject) -> Option<Arc<AppliedPolicy>> {
        let first = |policies: &[Compiled]| {
            let applies = |policy: &Compiled| policy.applies_to(name, subject);
            policies.iter().position(applies)
        };
        let places = (first(&self.own), first(&self.operator));
        if places == (None, None) {
            return None;
        }
        let mut merged = self.merged.lock();
        let applied = merged
            .entry(places)
            .or_insert_with(|| Arc::new(self.merge(places)));
        Some(Arc::clone(applied))
    }

    fn merge(&self, (own, operator): Places) -> AppliedPolicy {
        let own = own.and_then(|place| self.own.get(place));
        let operator = operator.and_then(|place| self.operator.get(place));
        let name = |policy: &Compiled| Arc::clone(&policy.name);
        AppliedPolicy {
            policy: own.map(name),
            operator_policy: operator.map(name),
            definition: merge_definitions(
                own.map(|policy| &policy.definition),
                operator.map(|policy| &policy.definition),
            ),
        }
    }
}

/// Equal priorities have no order in RabbitMQ; here the first name wins.
fn by_priority<'a>(policies: impl Iterator<Item = (&'a str, &'a PolicyDef)>) -> Vec<Compiled> {
    let mut sorted: Vec<(&str, &PolicyDef)> = policies.collect();
    sorted.sort_by_key(|(name, policy)| (std::cmp::Reverse(policy.priority), *name));
    let compiled = |(name, policy)| Compiled::new(name, policy);
    sorted.into_iter().map(compiled).collect()
}

const TYPES: [QueueType; 3] = [QueueType::Classic, QueueType::Quorum, QueueType::Stream];

impl Compiled {
    fn new(name: &str, policy: &PolicyDef) -> Self {
        let pattern = compile(&policy.pattern).inspect_err(|error| {
            tracing::warn!(policy = name, error, "policy pattern matches nothing");
        });
        let supported = |kind| {
            let mut known = policy.definition.keys().filter_map(|key| keys::find(key));
            known.all(|key| key.supported_by(kind))
        };
        Self {
            name: name.into(),
            pattern: pattern.ok(),
            apply_to: policy.apply_to,
            types: TYPES.map(supported),
            definition: policy.definition.clone(),
        }
    }

    fn applies_to(&self, name: &str, subject: Subject) -> bool {
        self.is_for(subject)
            && self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(name).unwrap_or(false))
    }

    fn is_for(&self, subject: Subject) -> bool {
        let Subject::Queue(kind) = subject else {
            return matches!(self.apply_to, ApplyTo::All | ApplyTo::Exchanges);
        };
        let meant = match self.apply_to {
            ApplyTo::All | ApplyTo::Queues => true,
            ApplyTo::Exchanges => false,
            ApplyTo::ClassicQueues => kind == QueueType::Classic,
            ApplyTo::QuorumQueues => kind == QueueType::Quorum,
            ApplyTo::Streams => kind == QueueType::Stream,
        };
        let supported = TYPES.iter().zip(self.types);
        meant
            && supported
                .into_iter()
                .any(|(known, all)| *known == kind && all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::parse_policy;

    const CLASSIC: Subject = Subject::Queue(QueueType::Classic);
    const QUORUM: Subject = Subject::Queue(QueueType::Quorum);

    fn policy(pattern: &str, priority: i64, apply_to: &str, definition: Value) -> PolicyDef {
        let fields = json!({"pattern": pattern, "priority": priority, "apply-to": apply_to,
            "definition": definition});
        parse_policy("p", fields.as_object().unwrap(), false).unwrap()
    }

    fn set(own: &[(&str, PolicyDef)], operator: &[(&str, PolicyDef)]) -> PolicySet {
        PolicySet::new(
            own.iter().map(|(n, p)| (*n, p)),
            operator.iter().map(|(n, p)| (*n, p)),
        )
    }

    fn name(set: &PolicySet, queue: &str, subject: Subject) -> Option<String> {
        set.find(queue, subject)?
            .policy
            .as_ref()
            .map(|name| name.to_string())
    }

    #[test]
    fn l1_patterns_are_searched_and_not_anchored() {
        let set = set(
            &[("p", policy("b", 0, "all", json!({"max-length": 1})))],
            &[],
        );
        assert_eq!(name(&set, "abc", CLASSIC).as_deref(), Some("p"));
        assert_eq!(name(&set, "ac", CLASSIC), None);
    }

    #[test]
    fn l2_the_highest_priority_applies() {
        let limit = |n: i64| json!({"max-length": n});
        let set = set(
            &[
                ("a", policy("", 1, "all", limit(1))),
                ("b", policy("", 2, "all", limit(2))),
                ("c", policy("^x", 3, "all", limit(3))),
            ],
            &[],
        );
        assert_eq!(name(&set, "q", CLASSIC).as_deref(), Some("b"));
        assert_eq!(name(&set, "x", CLASSIC).as_deref(), Some("c"));
    }

    #[test]
    fn l3_an_operator_policy_is_merged_in() {
        let set = set(
            &[(
                "p",
                policy(
                    "^a",
                    0,
                    "all",
                    json!({"max-length": 9, "queue-mode": "lazy"}),
                ),
            )],
            &[("o", policy("", 0, "all", json!({"max-length": 5})))],
        );
        let applied = set.find("a", CLASSIC).unwrap();
        assert_eq!(applied.policy.as_deref(), Some("p"));
        assert_eq!(applied.operator_policy.as_deref(), Some("o"));
        let definition = Value::Object(applied.definition.clone());
        assert_eq!(definition, json!({"max-length": 5, "queue-mode": "lazy"}));
        let applied = set.find("b", CLASSIC).unwrap();
        assert_eq!(applied.policy, None);
        assert!(Arc::ptr_eq(&applied, &set.find("c", CLASSIC).unwrap()));
    }

    #[test]
    fn l4_a_key_the_type_does_not_support_skips_the_policy() {
        let set = set(
            &[
                ("low", policy("", 1, "all", json!({"max-length": 1}))),
                (
                    "high",
                    policy("", 2, "all", json!({"delivery-limit": 1, "max-length": 1})),
                ),
            ],
            &[],
        );
        assert_eq!(name(&set, "q", CLASSIC).as_deref(), Some("low"));
        assert_eq!(name(&set, "q", QUORUM).as_deref(), Some("high"));
    }

    #[test]
    fn l1_apply_to_narrows() {
        for (apply_to, classic, quorum, exchange) in [
            ("all", true, true, true),
            ("queues", true, true, false),
            ("exchanges", false, false, true),
            ("classic_queues", true, false, false),
            ("quorum_queues", false, true, false),
            ("streams", false, false, false),
        ] {
            let set = set(
                &[("p", policy("", 0, apply_to, json!({"max-length": 1})))],
                &[],
            );
            let found = [CLASSIC, QUORUM, Subject::Exchange].map(|s| set.find("x", s).is_some());
            assert_eq!(found, [classic, quorum, exchange], "{apply_to}");
        }
    }
}
