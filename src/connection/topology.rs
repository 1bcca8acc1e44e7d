//! Exchanges, queues and bindings as the client declares them.

use warren_amqp::protocol::{AMQPClass, exchange, queue};
use warren_amqp::{FieldTable, short};
use warren_broker::{BindingRequest, ExchangeRequest, QueueRequest};

use super::fault::Fault;
use super::{Connection, unimplemented_method};
use exchange::AMQPMethod as ExchangeMethod;
use queue::AMQPMethod as QueueMethod;

impl Connection {
    pub(super) fn exchange_class(
        &mut self,
        number: u16,
        method: ExchangeMethod,
    ) -> Result<(), Fault> {
        let (session, vhost, turn) = self.opened()?;
        let answer = match method {
            ExchangeMethod::Declare(declare) => {
                let request = ExchangeRequest {
                    name: declare.exchange.to_string(),
                    kind: declare.kind.to_string(),
                    passive: declare.passive,
                    durable: declare.durable,
                    auto_delete: declare.auto_delete,
                    internal: declare.internal,
                    arguments: declare.arguments,
                };
                vhost.declare_exchange(session, request, turn)?;
                (!declare.nowait).then(|| ExchangeMethod::DeclareOk(Default::default()))
            }
            ExchangeMethod::Delete(delete) => {
                vhost.delete_exchange(session, delete.exchange.as_str(), delete.if_unused, turn)?;
                (!delete.nowait).then(|| ExchangeMethod::DeleteOk(Default::default()))
            }
            ExchangeMethod::Bind(bind) => {
                let (source, destination) = (bind.source.as_str(), bind.destination.as_str());
                let key = bind.routing_key.as_str();
                let request = between_exchanges(source, destination, key, bind.arguments.clone());
                vhost.bind(session, request, turn)?;
                (!bind.nowait).then(|| ExchangeMethod::BindOk(Default::default()))
            }
            ExchangeMethod::Unbind(unbind) => {
                let (source, destination) = (unbind.source.as_str(), unbind.destination.as_str());
                let key = unbind.routing_key.as_str();
                let request = between_exchanges(source, destination, key, unbind.arguments.clone());
                vhost.unbind(session, request, turn)?;
                (!unbind.nowait).then(|| ExchangeMethod::UnbindOk(Default::default()))
            }
            _ => return Err(unimplemented_method().into()),
        };
        self.flush();
        if let Some(answer) = answer {
            self.send(number, &AMQPClass::Exchange(answer));
        }
        Ok(())
    }

    pub(super) fn queue_class(&mut self, number: u16, method: QueueMethod) -> Result<(), Fault> {
        let answer = match method {
            QueueMethod::Declare(declare) => self.declare_queue(number, declare)?,
            QueueMethod::Bind(bind) => {
                let (queue, key) =
                    self.binding_names(number, bind.queue.as_str(), bind.routing_key.as_str())?;
                let request = to_queue(bind.exchange.as_str(), queue, key, bind.arguments);
                let (session, vhost, turn) = self.opened()?;
                vhost.bind(session, request, turn)?;
                (!bind.nowait).then(|| QueueMethod::BindOk(Default::default()))
            }
            QueueMethod::Unbind(unbind) => {
                let (queue, key) =
                    self.binding_names(number, unbind.queue.as_str(), unbind.routing_key.as_str())?;
                let request = to_queue(unbind.exchange.as_str(), queue, key, unbind.arguments);
                let (session, vhost, turn) = self.opened()?;
                vhost.unbind(session, request, turn)?;
                Some(QueueMethod::UnbindOk(Default::default()))
            }
            QueueMethod::Purge(purge) => {
                let name = self.queue_name(number, purge.queue.as_str())?;
                let (session, vhost, turn) = self.opened()?;
                let n = vhost.purge_queue(session, &name, turn)?;
                let ok = queue::PurgeOk {
                    message_count: count(n),
                };
                (!purge.nowait).then_some(QueueMethod::PurgeOk(ok))
            }
            QueueMethod::Delete(delete) => {
                let name = self.queue_name(number, delete.queue.as_str())?;
                let (session, vhost, turn) = self.opened()?;
                let (if_unused, if_empty) = (delete.if_unused, delete.if_empty);
                let n = vhost.delete_queue(session, &name, if_unused, if_empty, turn)?;
                self.exclusive.retain(|queue| !queue.deleted());
                let ok = queue::DeleteOk {
                    message_count: count(n),
                };
                (!delete.nowait).then_some(QueueMethod::DeleteOk(ok))
            }
            _ => return Err(unimplemented_method().into()),
        };
        self.flush();
        if let Some(answer) = answer {
            self.send(number, &AMQPClass::Queue(answer));
        }
        Ok(())
    }

    fn declare_queue(
        &mut self,
        number: u16,
        declare: queue::Declare,
    ) -> Result<Option<QueueMethod>, Fault> {
        let request = QueueRequest {
            name: declare.queue.to_string(),
            passive: declare.passive,
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: declare.arguments,
        };
        let (session, vhost, turn) = self.opened()?;
        let declared = vhost.declare_queue(session, request, turn)?;
        if let Some(queue) = declared.exclusive {
            // Those that ended by themselves are forgotten now and then.
            if self.exclusive.len().is_power_of_two() {
                self.exclusive.retain(|queue| !queue.deleted());
            }
            self.exclusive.push(queue);
        }
        let ok = queue::DeclareOk {
            queue: short(&declared.name),
            message_count: count(declared.messages),
            consumer_count: count(declared.consumers),
        };
        self.open(number)?.last_queue = Some(declared.name);
        Ok((!declare.nowait).then_some(QueueMethod::DeclareOk(ok)))
    }

    /// Queue and routing key of a bind or unbind: with both empty, the key is the name of the
    /// queue last declared (H-15).
    fn binding_names(
        &mut self,
        number: u16,
        queue: &str,
        key: &str,
    ) -> Result<(String, String), Fault> {
        let name = self.queue_name(number, queue)?;
        let key = if queue.is_empty() && key.is_empty() {
            name.clone()
        } else {
            key.to_owned()
        };
        Ok((name, key))
    }
}

fn to_queue(source: &str, queue: String, key: String, arguments: FieldTable) -> BindingRequest {
    BindingRequest {
        source: source.to_owned(),
        destination: queue,
        to_queue: true,
        routing_key: key,
        arguments,
    }
}

fn between_exchanges(
    source: &str,
    destination: &str,
    key: &str,
    arguments: FieldTable,
) -> BindingRequest {
    BindingRequest {
        source: source.to_owned(),
        destination: destination.to_owned(),
        to_queue: false,
        routing_key: key.to_owned(),
        arguments,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
