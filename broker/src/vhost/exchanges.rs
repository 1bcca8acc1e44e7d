//! Declaring and deleting exchanges.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use warren_amqp::{FieldTable, ReplyError};
use warren_exchanges::{ExchangeKind, ExchangeType};

use super::{Vhost, clean_name};
use crate::arguments::{ExchangeShape, alternate_exchange, check_exchange_equivalent};
use crate::auth::Access;
use crate::catalog::Command;
use crate::history::History;
use crate::session::Session;
use crate::stats::ExchangeStats;
use crate::turn::Turn;

/// An exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its name; empty for the default exchange.
    pub name: String,
    /// How it matches.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted when its last binding as a source goes.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// Arguments as declared.
    pub arguments: FieldTable,
    /// Takes what this one cannot route.
    pub alternate: Option<String>,
    /// What went through it.
    pub stats: Arc<ExchangeStats>,
}

/// `exchange.declare` as asked for.
#[derive(Clone, Debug)]
pub struct ExchangeRequest {
    /// Its name.
    pub name: String,
    /// Type name as sent.
    pub kind: String,
    /// Only check that it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted with its last binding.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// Arguments.
    pub arguments: FieldTable,
}

impl Exchange {
    fn shape(&self) -> ExchangeShape<'_> {
        ExchangeShape {
            kind: self.kind.as_str(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: &self.arguments,
        }
    }
}

impl Vhost {
    /// Declares an exchange (rows ). Errors are those of the protocol.
    pub fn declare_exchange(
        &self,
        session: &mut Session,
        mut request: ExchangeRequest,
        turn: &mut Turn,
    ) -> Result<(), ReplyError> {
        request.name = clean_name(&request.name);
        refuse_default(&request.name)?;
        if request.passive {
            return self.exchange(&request.name).map(|_| ());
        }
        let kind = ExchangeKind::from_str(&request.kind).map_err(|_| {
            ReplyError::precondition_failed(format!("unknown exchange type '{}'", request.kind))
        })?;
        session.check_exchange(Access::Configure, &request.name)?;
        let _topology = self.topology.lock();
        if let Ok(existing) = self.exchange(&request.name) {
            let wanted = ExchangeShape {
                kind: kind.as_str(),
                durable: request.durable,
                auto_delete: request.auto_delete,
                internal: request.internal,
                arguments: &request.arguments,
            };
            check_exchange_equivalent(&request.name, &self.name, &existing.shape(), &wanted)?;
            self.await_defined(existing.durable, turn);
            return Ok(());
        }
        if request.name.starts_with("amq.") {
            let text = format!(
                "exchange name '{}' contains reserved prefix 'amq.*'",
                request.name
            );
            return Err(ReplyError::access_refused(text));
        }
        let alternate = alternate_exchange(&request.name, &self.name, &request.arguments)?;
        ExchangeType::new(kind, &request.arguments).map_err(ReplyError::precondition_failed)?;
        if let Some(alternate) = &alternate {
            session.check_exchange(Access::Read, &request.name)?;
            session.check_exchange(Access::Write, alternate)?;
        }
        let n_exchanges = self.shared.n_exchanges.load(Ordering::Relaxed);
        if let Some(limit) = self.shared.limits.exchanges
            && n_exchanges >= limit
        {
            return Err(ReplyError::precondition_failed(format!(
                "cannot declare exchange '{}' in vhost '{}': exchange limit of {limit} is reached",
                request.name, self.name
            )));
        }
        if request.durable {
            self.propose(
                Command::DeclareExchange {
                    vhost: self.name.to_string(),
                    name: request.name.clone(),
                    kind: kind.as_str().to_owned(),
                    auto_delete: request.auto_delete,
                    internal: request.internal,
                    arguments: request.arguments.clone(),
                },
                turn,
            )?;
        }
        if kind == ExchangeKind::Delayed {
            self.create_delay_store(&request.name, request.durable, turn)?;
        }
        let exchange = Exchange {
            name: request.name,
            kind,
            durable: request.durable,
            auto_delete: request.auto_delete,
            internal: request.internal,
            arguments: request.arguments,
            alternate,
            stats: ExchangeStats::new(&self.stats),
        };
        self.tell_exchange_created(&exchange, turn);
        self.install_exchange(exchange);
        Ok(())
    }

    /// Deletes an exchange. A missing one is no error.
    pub fn delete_exchange(
        &self,
        session: &mut Session,
        name: &str,
        if_unused: bool,
        turn: &mut Turn,
    ) -> Result<(), ReplyError> {
        let name = clean_name(name);
        refuse_default(&name)?;
        if name.starts_with("amq.") {
            let text = format!(
                "deletion of system exchange '{name}' in vhost '{}' not allowed",
                self.name
            );
            return Err(ReplyError::access_refused(text));
        }
        session.check_exchange(Access::Configure, &name)?;
        let _topology = self.topology.lock();
        let Ok(exchange) = self.exchange(&name) else {
            return Ok(());
        };
        if if_unused && self.routing.read().has_bindings_from(&name) {
            let text = format!("exchange '{name}' in vhost '{}' in use", self.name);
            return Err(ReplyError::precondition_failed(text));
        }
        self.remove_exchange(&exchange, turn)
    }

    /// Puts an exchange into the tables; no checks.
    pub(crate) fn install_exchange(&self, exchange: Exchange) {
        let alternate = self.apply_to_exchange(&exchange);
        // The arguments were checked when it was declared.
        let exchange_type = ExchangeType::new(exchange.kind, &exchange.arguments)
            .unwrap_or_else(|_| ExchangeType::plain(exchange.kind));
        if let Some(length) = exchange_type.history() {
            let history = Arc::new(History::new(length));
            self.histories.insert(exchange.name.clone(), history);
        }
        self.routing.write().add_typed_exchange(
            &exchange.name,
            exchange_type,
            alternate.as_deref(),
        );
        let name = exchange.name.clone();
        if self.exchanges.insert(name, Arc::new(exchange)).is_none() {
            self.shared.n_exchanges.fetch_add(1, Ordering::Relaxed);
        }
        self.bump_generation();
    }

    /// Removes auto-delete exchanges that lost their last binding, and those that lose theirs
    /// by that. The topology lock is held by the caller.
    pub(super) fn remove_unbound(&self, sources: Vec<String>, turn: &mut Turn) {
        for name in sources {
            let Ok(exchange) = self.exchange(&name) else {
                continue;
            };
            if !exchange.auto_delete {
                continue;
            }
            if let Err(error) = self.remove_exchange(&exchange, turn) {
                tracing::error!(exchange = %name, vhost = %self.name, %error, "auto-delete failed");
            }
        }
    }

    fn remove_exchange(&self, exchange: &Arc<Exchange>, turn: &mut Turn) -> Result<(), ReplyError> {
        if exchange.durable {
            let command = Command::DeleteExchange {
                vhost: self.name.to_string(),
                name: exchange.name.clone(),
            };
            self.propose(command, turn)?;
        }
        if self.exchanges.remove(&exchange.name).is_some() {
            self.shared.n_exchanges.fetch_sub(1, Ordering::Relaxed);
        }
        self.tell_exchange_deleted(&exchange.name, turn);
        self.forget_exchange_policy(&exchange.name);
        self.histories.remove(&exchange.name);
        self.remove_delay_store(&exchange.name, turn);
        let unbound = self.routing.write().remove_exchange(&exchange.name);
        self.bump_generation();
        self.remove_unbound(unbound, turn);
        Ok(())
    }

    /// A durable thing already there must be durable before it is confirmed again.
    pub(super) fn await_defined(&self, durable: bool, turn: &mut Turn) {
        if durable {
            turn.need_catalog(self.shared.catalog.last_index());
        }
    }

    /// Sends a command through the catalog; the turn's replies wait for it.
    pub(super) fn propose(&self, command: Command, turn: &mut Turn) -> Result<u64, ReplyError> {
        if self.shut.load(Ordering::Acquire) {
            return Err(ReplyError::not_found(format!("no vhost '{}'", self.name)));
        }
        let proposed = self.shared.catalog.propose(command).map_err(|error| {
            tracing::error!(vhost = %self.name, %error, "definition not stored");
            ReplyError::internal()
        })?;
        turn.need_catalog(proposed.index);
        self.shared.audit.note(&proposed.events, turn);
        Ok(proposed.index)
    }
}

pub(super) fn refuse_default(name: &str) -> Result<(), ReplyError> {
    if name.is_empty() {
        return Err(ReplyError::access_refused(
            "operation not permitted on the default exchange",
        ));
    }
    Ok(())
}
