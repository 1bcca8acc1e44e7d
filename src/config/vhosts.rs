//! What new virtual hosts begin with, put together from the keys that name it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use warren_broker::policy::parse_policy;
use warren_broker::{DefaultAccess, DefaultLimits, DefaultPolicy, VhostDefaults};

/// The keys so far, by the part of their names that stands for an entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct VhostsDraft {
    pub(super) limits: BTreeMap<String, LimitsDraft>,
    pub(super) policies: BTreeMap<String, PolicyDraft>,
    pub(super) users: BTreeMap<String, AccessDraft>,
}

/// `default_limits.vhosts.<id>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct LimitsDraft {
    pub(super) pattern: Option<String>,
    pub(super) max_connections: Option<i64>,
    pub(super) max_queues: Option<i64>,
}

/// `default_policies.operator.<name>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct PolicyDraft {
    pub(super) vhost_pattern: Option<String>,
    pub(super) queue_pattern: Option<String>,
    pub(super) definition: Map<String, Value>,
}

/// `default_users.<name>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct AccessDraft {
    pub(super) vhost_pattern: Option<String>,
    pub(super) password: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) configure: Option<String>,
    pub(super) write: Option<String>,
    pub(super) read: Option<String>,
}

fn all() -> String {
    ".*".to_owned()
}

impl VhostsDraft {
    /// Puts everything into `defaults`; the error names the entry that cannot be used.
    pub(super) fn finish(self, defaults: &mut VhostDefaults) -> Result<(), String> {
        let limits = self.limits.into_values().map(|limits| DefaultLimits {
            vhosts: limits.pattern.unwrap_or_else(all),
            max_connections: limits.max_connections,
            max_queues: limits.max_queues,
        });
        defaults.limits = limits.collect();
        let users = self.users.into_iter().map(|(name, user)| DefaultAccess {
            name,
            vhosts: user.vhost_pattern.unwrap_or_else(all),
            password: user.password,
            tags: user.tags,
            configure: user.configure.unwrap_or_else(all),
            write: user.write.unwrap_or_else(all),
            read: user.read.unwrap_or_else(all),
        });
        defaults.users = users.collect();
        for (name, policy) in self.policies {
            let key = format!("default_policies.operator.{name}");
            if policy.definition.is_empty() {
                return Err(format!("{key} sets nothing"));
            }
            let fields = Map::from_iter([
                (
                    "pattern".to_owned(),
                    policy.queue_pattern.unwrap_or_else(all).into(),
                ),
                ("apply-to".to_owned(), "queues".into()),
                ("definition".to_owned(), policy.definition.into()),
            ]);
            let parsed = parse_policy(&name, &fields, true);
            defaults.policies.push(DefaultPolicy {
                name,
                vhosts: policy.vhost_pattern.unwrap_or_else(all),
                policy: parsed.map_err(|why| format!("{key}: {}", why.trim()))?,
            });
        }
        Ok(())
    }
}
