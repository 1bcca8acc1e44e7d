//! Setting and clearing policies, live (row L-5).

use crate::broker::Broker;
use crate::catalog::{CatalogError, Command, PolicyDef, Proposed};
use crate::policy::PolicySet;
use crate::turn::Turn;

/// Queues changed before others get a turn.
const BATCH: usize = 32;

impl Broker {
    /// Sets a policy or operator policy, which was [parsed](crate::policy::parse_policy), and puts
    /// it in force for every queue and exchange it is for. Whether it is new. Blocks for as long as
    /// that takes; no lock is held longer than one queue needs.
    ///
    /// Errors: `NoSuchVhost`, `Name`, `Log`.
    pub fn set_policy(
        &self,
        vhost: &str,
        name: &str,
        operator: bool,
        policy: PolicyDef,
        turn: &mut Turn,
    ) -> Result<bool, CatalogError> {
        let new = self
            .catalog()
            .read()
            .policy(vhost, name, operator)
            .is_none();
        let command = Command::SetPolicy {
            vhost: vhost.to_owned(),
            name: name.to_owned(),
            operator,
            policy,
        };
        if self.change(command, turn)? {
            self.refresh_policies(vhost, turn);
        }
        Ok(new)
    }

    /// Removes a policy or operator policy. Whether there was one.
    ///
    /// Errors: `NoSuchVhost`, `Log`.
    pub fn clear_policy(
        &self,
        vhost: &str,
        name: &str,
        operator: bool,
        turn: &mut Turn,
    ) -> Result<bool, CatalogError> {
        let command = Command::ClearPolicy {
            vhost: vhost.to_owned(),
            name: name.to_owned(),
            operator,
        };
        let changed = self.change(command, turn)?;
        if changed {
            self.refresh_policies(vhost, turn);
        }
        Ok(changed)
    }

    /// Puts the policies of a vhost in force as the catalog has them now.
    pub fn refresh_policies(&self, vhost: &str, turn: &mut Turn) {
        let Some(vhost) = self.vhost(vhost) else {
            return;
        };
        let _pass = vhost.policy_pass();
        let policies = |operator| -> Vec<(String, PolicyDef)> {
            let state = self.catalog().read();
            let policies = state.policies(vhost.name(), operator);
            policies
                .map(|(name, policy)| (name.to_owned(), policy.clone()))
                .collect()
        };
        let (own, operator) = (policies(false), policies(true));
        // Compiled with no lock held but that of the pass.
        vhost.replace_policies(PolicySet::new(
            own.iter().map(|(name, policy)| (name.as_str(), policy)),
            operator
                .iter()
                .map(|(name, policy)| (name.as_str(), policy)),
        ));
        for batch in vhost.queues().chunks(BATCH) {
            for queue in batch {
                vhost.reapply_to_queue(queue, turn);
            }
            self.finish(turn);
            std::thread::yield_now();
        }
    }

    /// Proposes a command, notes who gave it, and tells those who listen to events what it changed. The turn's answer
    /// waits for it.
    ///
    /// Errors: see [`CatalogError`].
    pub fn propose(&self, command: Command, turn: &mut Turn) -> Result<Proposed, CatalogError> {
        let notices = self.notices();
        if !notices.wanted() {
            let proposed = self.catalog().propose(command)?;
            turn.need_catalog(proposed.index);
            self.shared().audit.note(&proposed.events, turn);
            return Ok(proposed);
        }
        let known_user = match &command {
            Command::PutUser { name, .. } => self.catalog().read().user(name).is_some(),
            _ => false,
        };
        let proposed = self.catalog().propose(command.clone())?;
        turn.need_catalog(proposed.index);
        self.shared().audit.note(&proposed.events, turn);
        for event in &proposed.events {
            notices.definition_changed(&command, event, known_user, turn);
        }
        Ok(proposed)
    }

    /// Proposes a command; the turn's answer waits for it. Whether anything changed.
    ///
    /// Errors: see [`CatalogError`].
    pub fn change(&self, command: Command, turn: &mut Turn) -> Result<bool, CatalogError> {
        Ok(!self.propose(command, turn)?.events.is_empty())
    }
}
