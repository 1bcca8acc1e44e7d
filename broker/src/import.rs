//! Importing definitions into a running node: all of a file or nothing of it.
//!
//! Everything is tried on a copy of the definitions first. What it comes to is one command in the
//! log; then the running vhosts follow. Like RabbitMQ's import it adds and updates but never
//! deletes, and queues and exchanges that are there already are kept as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::broker::Broker;
use crate::catalog::definitions::Definitions;
use crate::catalog::{CatalogError, Command, Event};
use crate::recovery::give_delay_stores;
use crate::turn::Turn;
use crate::vhost::Vhost;

mod install;
mod plan;

use install::{install_binding, install_exchange, install_queue};
use plan::{Plan, Transient};

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What is new or different, one line each.
    pub changed: Vec<String>,
    /// What has no effect, one line each with the reason.
    pub ignored: Vec<String>,
}

/// Why nothing was imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Something in the file; says what and where.
    #[error("{0}")]
    Refused(String),
    /// The definitions could not be stored.
    #[error(transparent)]
    Storage(CatalogError),
}

impl Broker {
    /// Imports a file. With `dry_run` nothing changes and the answer says what would. The turn's
    /// reply waits for it.
    pub fn import(
        &self,
        file: &Definitions,
        dry_run: bool,
        turn: &mut Turn,
    ) -> Result<Imported, ImportError> {
        let _one_at_a_time = self.vhost_changes().lock();
        let mut vhosts = self.vhosts();
        vhosts.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        // Nobody declares or binds until all of it is there.
        let topologies: Vec<_> = vhosts.iter().map(|vhost| vhost.topology.lock()).collect();
        let mut plan = Plan::new(self);
        plan.add_all(file)?;
        let imported = Imported {
            changed: plan.changed,
            ignored: plan.ignored,
        };
        if dry_run {
            return Ok(imported);
        }
        let transient = plan.transient;
        let proposed = self
            .propose(Command::Batch(plan.commands), turn)
            .map_err(ImportError::Storage)?;
        // New vhosts are shown when they are complete.
        let mut fresh = BTreeMap::new();
        let mut with_policies = BTreeSet::new();
        for event in proposed.events {
            if let Event::PolicySet { vhost, .. } = &event {
                with_policies.insert(vhost.clone());
            }
            self.follow(event, proposed.index, &mut fresh, turn);
        }
        for step in transient {
            self.install_transient(step, &fresh, turn);
        }
        for vhost in fresh.into_values() {
            self.insert_vhost(vhost);
        }
        drop(topologies);
        for vhost in self.vhosts() {
            give_delay_stores(&vhost, turn);
        }
        for vhost in with_policies {
            self.refresh_policies(&vhost, turn);
        }
        Ok(imported)
    }

    /// Makes the running vhosts as the catalog has become.
    fn follow(
        &self,
        event: Event,
        index: u64,
        fresh: &mut BTreeMap<String, Arc<Vhost>>,
        turn: &mut Turn,
    ) {
        match event {
            Event::VhostCreated { name, .. } => {
                let vhost = Vhost::new(&name, self.shared());
                fresh.insert(name, vhost);
            }
            Event::ExchangeDeclared {
                vhost,
                name,
                exchange,
            } => {
                if let Some(vhost) = self.fresh_or_running(fresh, &vhost) {
                    install_exchange(&vhost, name, exchange, true);
                }
            }
            Event::QueueDeclared {
                vhost, name, queue, ..
            } => {
                if let Some(vhost) = self.fresh_or_running(fresh, &vhost) {
                    install_queue(self.shared(), &vhost, (name, queue), Some(index), turn);
                }
            }
            Event::Bound { vhost, binding } => {
                if let Some(vhost) = self.fresh_or_running(fresh, &vhost) {
                    install_binding(&vhost, binding);
                }
            }
            // Users, permissions and parameters are looked up where they are needed.
            _ => {}
        }
    }

    fn install_transient(
        &self,
        step: Transient,
        fresh: &BTreeMap<String, Arc<Vhost>>,
        turn: &mut Turn,
    ) {
        let (Transient::Exchange(name, ..)
        | Transient::Queue(name, ..)
        | Transient::Binding(name, ..)) = &step;
        let Some(vhost) = self.fresh_or_running(fresh, name) else {
            return;
        };
        match step {
            Transient::Exchange(_, name, def) => install_exchange(&vhost, name, def, false),
            Transient::Queue(_, name, mut def) => {
                def.id = self.shared().transient_queue_id().0;
                install_queue(self.shared(), &vhost, (name, def), None, turn);
            }
            Transient::Binding(_, binding) => install_binding(&vhost, binding),
        }
    }

    fn fresh_or_running(
        &self,
        fresh: &BTreeMap<String, Arc<Vhost>>,
        name: &str,
    ) -> Option<Arc<Vhost>> {
        fresh.get(name).cloned().or_else(|| self.vhost(name))
    }
}
