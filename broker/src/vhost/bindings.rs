//! Binding and unbinding queues and exchanges.

use std::sync::Arc;

use warren_amqp::{FieldTable, ReplyError};
use warren_exchanges::{Destination, ExchangeKind};

use super::exchanges::refuse_default;
use super::{Vhost, clean_name};
use crate::auth::Access;
use crate::catalog::{BindingDef, Command};
use crate::queue::QueueHandle;
use crate::release::Replay;
use crate::route::REPLY_TO;
use crate::session::Session;
use crate::turn::Turn;

/// `queue.bind`, `exchange.bind` and their opposites as asked for.
#[derive(Clone, Debug)]
pub struct BindingRequest {
    /// Source exchange.
    pub source: String,
    /// Destination queue or exchange.
    pub destination: String,
    /// Whether the destination is a queue.
    pub to_queue: bool,
    /// Routing key.
    pub routing_key: String,
    /// Arguments.
    pub arguments: FieldTable,
}

impl Vhost {
    /// Binds. 404 when an end is missing.
    pub fn bind(
        &self,
        session: &mut Session,
        mut request: BindingRequest,
        turn: &mut Turn,
    ) -> Result<(), ReplyError> {
        check_binding(session, &mut request)?;
        self.check_topic(session, &request)?;
        let _topology = self.topology.lock();
        let source = self.exchange(&request.source)?;
        let (destination, to_durable) = self.destination(session, &request)?;
        let durable = source.durable && to_durable;
        let new = self.install_binding(&request, destination.clone())?;
        if new {
            self.tell_binding("binding.created", &request, turn);
        }
        if new && let Some(history) = self.history(&request.source) {
            turn.replays.push(Replay {
                vhost: Arc::clone(&self.name),
                destination,
                messages: history.messages(),
            });
        }
        if new && durable {
            self.propose(
                Command::Bind {
                    vhost: self.name.to_string(),
                    binding: def(request),
                },
                turn,
            )?;
        } else {
            self.await_defined(durable, turn);
        }
        Ok(())
    }

    /// Unbinds; whatever is missing is no error.
    pub fn unbind(
        &self,
        session: &mut Session,
        mut request: BindingRequest,
        turn: &mut Turn,
    ) -> Result<(), ReplyError> {
        check_binding(session, &mut request)?;
        self.check_topic(session, &request)?;
        let _topology = self.topology.lock();
        let (destination, to_durable) = match self.destination(session, &request) {
            Ok(found) => found,
            Err(error) if error.code == warren_amqp::ReplyCode::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let Ok(source) = self.exchange(&request.source) else {
            return Ok(());
        };
        let unbound = self.routing.write().unbind(
            &request.source,
            &destination,
            &request.routing_key,
            &request.arguments,
        );
        if !unbound.removed {
            return Ok(());
        }
        self.tell_binding("binding.deleted", &request, turn);
        self.bump_generation();
        let emptied = request.source.clone();
        if source.durable && to_durable {
            let binding = def(request);
            self.propose(
                Command::Unbind {
                    vhost: self.name.to_string(),
                    binding,
                },
                turn,
            )?;
        }
        if unbound.source_now_empty {
            self.remove_unbound(vec![emptied], turn);
        }
        Ok(())
    }

    /// The bindings from an exchange to one queue or exchange; none when either is missing.
    pub fn bindings_between(
        &self,
        source: &str,
        destination: &str,
        to_queue: bool,
    ) -> Vec<BindingRequest> {
        let target = if to_queue {
            match self.find_queue(destination) {
                Some(queue) => Destination::Queue(QueueHandle(queue)),
                None => return Vec::new(),
            }
        } else {
            Destination::Exchange(destination.to_owned())
        };
        let routing = self.routing.read();
        let found = routing.bindings_to(&target);
        found
            .filter(|binding| binding.source == source)
            .map(|binding| BindingRequest {
                source: source.to_owned(),
                destination: destination.to_owned(),
                to_queue,
                routing_key: binding.routing_key.to_owned(),
                arguments: binding.arguments.clone(),
            })
            .collect()
    }

    /// The bindings that are not kept on disk, without those of exclusive queues.
    pub fn transient_bindings(&self) -> Vec<BindingRequest> {
        let routing = self.routing.read();
        let durable = |name: &str| self.exchange(name).is_ok_and(|exchange| exchange.durable);
        let mut found = Vec::new();
        for binding in routing.bindings() {
            let (destination, to_queue, to_durable) = match binding.destination {
                Destination::Queue(QueueHandle(queue)) if queue.definition().owner.is_some() => {
                    continue;
                }
                Destination::Queue(QueueHandle(queue)) => (queue.name(), true, queue.durable()),
                Destination::Exchange(name) => (name.as_str(), false, durable(name)),
            };
            if to_durable && durable(binding.source) {
                continue;
            }
            found.push(BindingRequest {
                source: binding.source.to_owned(),
                destination: destination.to_owned(),
                to_queue,
                routing_key: binding.routing_key.to_owned(),
                arguments: binding.arguments.clone(),
            });
        }
        found
    }

    /// Puts a binding into the tables; both ends exist. Whether it was new.
    pub(crate) fn install_binding(
        &self,
        request: &BindingRequest,
        destination: Destination<QueueHandle>,
    ) -> Result<bool, ReplyError> {
        let (key, arguments) = (&request.routing_key, &request.arguments);
        let bound = self
            .routing
            .write()
            .bind(&request.source, destination, key, arguments);
        let new = bound.map_err(|error| ReplyError::precondition_failed(error.to_string()))?;
        if new {
            self.bump_generation();
        }
        Ok(new)
    }

    /// U-10; a missing exchange is found out later.
    fn check_topic(
        &self,
        session: &mut Session,
        request: &BindingRequest,
    ) -> Result<(), ReplyError> {
        match self.exchange(&request.source) {
            Ok(source) if source.kind == ExchangeKind::Topic => {
                session.check_topic(Access::Read, &request.source, &request.routing_key)
            }
            _ => Ok(()),
        }
    }

    fn destination(
        &self,
        session: &Session,
        request: &BindingRequest,
    ) -> Result<(Destination<QueueHandle>, bool), ReplyError> {
        if request.to_queue {
            let queue = self.queue(&request.destination)?;
            self.check_owner(&queue, session.connection)?;
            let durable = queue.durable();
            return Ok((Destination::Queue(QueueHandle(Arc::clone(&queue))), durable));
        }
        let exchange = self.exchange(&request.destination)?;
        Ok((
            Destination::Exchange(exchange.name.clone()),
            exchange.durable,
        ))
    }
}

fn check_binding(session: &mut Session, request: &mut BindingRequest) -> Result<(), ReplyError> {
    request.source = clean_name(&request.source);
    request.destination = clean_name(&request.destination);
    refuse_default(&request.source)?;
    if request.to_queue {
        if request.destination.starts_with(REPLY_TO) {
            let text = "cannot bind or unbind to a volatile (direct reply-to) queue";
            return Err(ReplyError::access_refused(text));
        }
        session.check_queue(Access::Write, &request.destination)?;
    } else {
        refuse_default(&request.destination)?;
        session.check_exchange(Access::Write, &request.destination)?;
    }
    session.check_exchange(Access::Read, &request.source)
}

fn def(request: BindingRequest) -> BindingDef {
    BindingDef {
        source: request.source,
        destination: request.destination,
        destination_is_queue: request.to_queue,
        routing_key: request.routing_key,
        arguments: request.arguments,
    }
}
