//! Vhosts while the node runs.

use warren_amqp::ReplyError;

use crate::broker::Broker;
use crate::catalog::{CatalogError, Command, VhostDef};
use crate::recovery::build_vhost;
use crate::turn::Turn;

/// Queues closed before others get a turn.
const BATCH: usize = 64;

/// Metadata of a vhost as an operator sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostMetadata {
    /// For people.
    pub description: String,
    /// For people.
    pub tags: Vec<String>,
    /// The type of queues declared without one.
    pub default_queue_type: Option<String>,
}

impl From<VhostDef> for VhostMetadata {
    fn from(def: VhostDef) -> Self {
        Self {
            description: def.description,
            tags: def.tags,
            default_queue_type: def.default_queue_type,
        }
    }
}

impl Broker {
    /// Creates a vhost with the exchanges every vhost has, or changes its metadata. Whether it is
    /// new.
    ///
    /// Errors: `Name`, `Limit`, `Defaults`, `Log`.
    pub fn put_vhost(
        &self,
        name: &str,
        metadata: VhostMetadata,
        turn: &mut Turn,
    ) -> Result<bool, CatalogError> {
        let _changes = self.vhost_changes().lock();
        let new = self.vhost(name).is_none();
        if let Some(limit) = self.settings().limits.vhosts
            && new
            && self.vhosts().len() >= limit
        {
            return Err(CatalogError::Limit(format!(
                "cannot create vhost '{name}': vhost limit of {limit} is reached"
            )));
        }
        let command = Command::PutVhost {
            name: name.to_owned(),
            description: metadata.description,
            tags: metadata.tags,
            default_queue_type: metadata.default_queue_type,
        };
        let command = if new {
            let mut all = vec![command];
            all.extend(self.vhost_defaults(name).map_err(CatalogError::Defaults)?);
            Command::Batch(all)
        } else {
            command
        };
        self.change(command, turn)?;
        if new {
            let vhost = build_vhost(self.shared(), name, turn.now_ms());
            self.insert_vhost(vhost);
        }
        Ok(new)
    }

    /// What a new vhost of that name is given.
    ///
    /// Errors: a password in the configuration that cannot be used.
    pub(crate) fn vhost_defaults(&self, name: &str) -> Result<Vec<Command>, String> {
        let settings = self.settings();
        let state = self.catalog().read();
        let defaults = &settings.vhost_defaults;
        defaults.commands(name, &state, &settings.passwords)
    }

    /// Protects a vhost from deletion or no longer does.
    ///
    /// Errors: `NoSuchVhost`, `Log`.
    pub fn protect_vhost(
        &self,
        name: &str,
        protected: bool,
        turn: &mut Turn,
    ) -> Result<bool, CatalogError> {
        let name = name.to_owned();
        self.change(Command::ProtectVhost { name, protected }, turn)
    }

    /// Deletes a vhost with all it holds and closes the connections to it (row U-21).
    ///
    /// Errors: `NoSuchVhost`, `Protected`, `Log`.
    pub fn delete_vhost(&self, name: &str, turn: &mut Turn) -> Result<(), CatalogError> {
        let _changes = self.vhost_changes().lock();
        let command = Command::DeleteVhost {
            name: name.to_owned(),
        };
        self.change(command, turn)?;
        let Some(vhost) = self.take_vhost(name) else {
            return Ok(());
        };
        vhost.shut();
        let error = ReplyError::connection_forced(format!("vhost '{name}' is deleted"));
        self.close_connections(&error, |connection| connection.vhost() == name);
        for batch in vhost.queues().chunks(BATCH) {
            for queue in batch {
                vhost.drop_queue(queue, turn);
            }
            self.finish(turn);
            std::thread::yield_now();
        }
        Ok(())
    }
}
