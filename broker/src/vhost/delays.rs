//! The stores of delayed exchanges: made, found again after a restart, and removed with them.

use std::sync::Arc;

use warren_amqp::{FieldTable, ReplyError};

use super::Vhost;
use crate::catalog::Command;
use crate::delay::{STORE_PREFIX, store_arguments};
use crate::queue::{Queue, QueueDefinition};
use crate::turn::Turn;

impl Vhost {
    /// The store of the delayed exchange `exchange`.
    pub(crate) fn delay_store(&self, exchange: &str) -> Option<Arc<Queue>> {
        self.delays.get(exchange).map(|store| Arc::clone(&store))
    }

    /// The stores of all delayed exchanges.
    pub(crate) fn delay_stores(&self) -> Vec<Arc<Queue>> {
        self.delays.iter().map(|store| Arc::clone(&store)).collect()
    }

    /// How many messages the exchange holds back; `None` unless it is a delayed one.
    pub fn messages_delayed(&self, exchange: &str) -> Option<usize> {
        self.delays.get(exchange).map(|store| store.delayed())
    }

    /// Makes the store of a delayed exchange unless it has one. Messages in it are as durable as
    /// the exchange.
    pub(crate) fn create_delay_store(
        &self,
        exchange: &str,
        durable: bool,
        turn: &mut Turn,
    ) -> Result<(), ReplyError> {
        if self.delays.contains_key(exchange) {
            return Ok(());
        }
        let id = self.shared.next_queue_id(durable);
        let definition = QueueDefinition {
            id,
            vhost: Arc::clone(&self.name),
            name: format!("{STORE_PREFIX}{}", id.0),
            durable,
            auto_delete: false,
            owner: None,
        };
        let arguments = store_arguments(exchange);
        let mut defined_at = 0;
        if durable {
            let command = Command::DeclareQueue {
                vhost: self.name.to_string(),
                name: definition.name.clone(),
                id: id.0,
                auto_delete: false,
                arguments: arguments.clone(),
            };
            defined_at = self.propose(command, turn)?;
        }
        let shared = (&self.stats, &self.shared.pager);
        let store = Queue::new_delay_store(definition, arguments, turn.now_ms(), shared);
        store.set_defined_at(defined_at);
        self.delays.insert(exchange.to_owned(), store);
        Ok(())
    }

    /// Puts a store of the catalog back into the tables.
    pub(crate) fn restore_delay_store(
        &self,
        exchange: String,
        definition: QueueDefinition,
        arguments: FieldTable,
        now_ms: u64,
    ) {
        let shared = (&self.stats, &self.shared.pager);
        let store = Queue::new_delay_store(definition, arguments, now_ms, shared);
        self.delays.insert(exchange, store);
    }

    /// The exchange goes, and with it what it held.
    pub(super) fn remove_delay_store(&self, exchange: &str, turn: &mut Turn) {
        let Some((_, store)) = self.delays.remove(exchange) else {
            return;
        };
        let _ = store.close(false, false, turn);
        if store.durable() {
            let command = Command::DeleteQueue {
                vhost: self.name.to_string(),
                name: store.name().to_owned(),
            };
            if let Err(error) = self.propose(command, turn) {
                tracing::error!(exchange, vhost = %self.name, %error, "delete failed");
            }
        }
    }
}
