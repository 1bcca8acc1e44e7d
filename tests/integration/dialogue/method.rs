//! Short names for the methods a client sends, with every flag off; a test turns on what it is
//! about: `queue::Declare { durable: true, ..declare("q") }`.
//!
//! [`Method`] carries a method in and out of `amq-protocol`'s nested enums; [`Request`] says which
//! answer a synchronous method has.

use super::*;

/// A method that can be put into a frame, or recognised in one.
pub(crate) trait Method: Sized {
    fn into_class(self) -> AMQPClass;
    fn from_class(class: AMQPClass) -> Result<Self, AMQPClass>;
}

/// A method the broker answers.
pub(crate) trait Request: Method {
    type Reply: Method;
}

macro_rules! methods {
    ($($class:ident in $module:ident: $($method:ident)*;)*) => { $($(
        impl Method for $module::$method {
            fn into_class(self) -> AMQPClass {
                AMQPClass::$class($module::AMQPMethod::$method(self))
            }
            fn from_class(class: AMQPClass) -> Result<Self, AMQPClass> {
                match class {
                    AMQPClass::$class($module::AMQPMethod::$method(it)) => Ok(it),
                    other => Err(other),
                }
            }
        }
    )*)* };
}

methods! {
    Connection in connection: Start StartOk Tune TuneOk Open OpenOk Close CloseOk Blocked
        Unblocked UpdateSecret UpdateSecretOk SecureOk;
    Channel in channel: Open OpenOk Flow FlowOk Close CloseOk;
    Access in access: Request RequestOk;
    Exchange in exchange: Declare DeclareOk Delete DeleteOk Bind BindOk Unbind UnbindOk;
    Queue in queue: Declare DeclareOk Bind BindOk Purge PurgeOk Delete DeleteOk Unbind UnbindOk;
    Basic in basic: Qos QosOk Consume ConsumeOk Cancel CancelOk Publish Return Deliver Get GetOk
        GetEmpty Ack Reject RecoverAsync Recover RecoverOk Nack;
    Tx in tx: Select SelectOk Commit CommitOk Rollback RollbackOk;
    Confirm in confirm: Select SelectOk;
}

macro_rules! requests {
    ($($module:ident: $($request:ident -> $reply:ident)*;)*) => { $($(
        impl Request for $module::$request {
            type Reply = $module::$reply;
        }
    )*)* };
}

requests! {
    connection: Open -> OpenOk Close -> CloseOk UpdateSecret -> UpdateSecretOk;
    channel: Open -> OpenOk Flow -> FlowOk Close -> CloseOk;
    access: Request -> RequestOk;
    exchange: Declare -> DeclareOk Delete -> DeleteOk Bind -> BindOk Unbind -> UnbindOk;
    queue: Declare -> DeclareOk Bind -> BindOk Purge -> PurgeOk Delete -> DeleteOk
        Unbind -> UnbindOk;
    basic: Qos -> QosOk Consume -> ConsumeOk Cancel -> CancelOk Recover -> RecoverOk;
    tx: Select -> SelectOk Commit -> CommitOk Rollback -> RollbackOk;
    confirm: Select -> SelectOk;
}

pub(crate) fn declare(queue: &str) -> queue::Declare {
    queue::Declare {
        queue: queue.into(),
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    }
}

pub(crate) fn declare_with(queue: &str, arguments: FieldTable) -> queue::Declare {
    queue::Declare {
        arguments,
        ..declare(queue)
    }
}

pub(crate) fn declare_passive(queue: &str) -> queue::Declare {
    queue::Declare {
        passive: true,
        ..declare(queue)
    }
}

pub(crate) fn declare_exchange(exchange: &str, kind: &str) -> exchange::Declare {
    exchange::Declare {
        exchange: exchange.into(),
        kind: kind.into(),
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: FieldTable::default(),
    }
}

pub(crate) fn delete_exchange(exchange: &str) -> exchange::Delete {
    exchange::Delete {
        exchange: exchange.into(),
        if_unused: false,
        nowait: false,
    }
}

/// Binds exchange `source` to exchange `destination`.
pub(crate) fn bind_exchange(source: &str, destination: &str, key: &str) -> exchange::Bind {
    exchange::Bind {
        source: source.into(),
        destination: destination.into(),
        routing_key: key.into(),
        nowait: false,
        arguments: FieldTable::default(),
    }
}

pub(crate) fn unbind_exchange(source: &str, destination: &str, key: &str) -> exchange::Unbind {
    exchange::Unbind {
        source: source.into(),
        destination: destination.into(),
        routing_key: key.into(),
        nowait: false,
        arguments: FieldTable::default(),
    }
}

pub(crate) fn bind(queue: &str, exchange: &str, key: &str) -> queue::Bind {
    queue::Bind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        nowait: false,
        arguments: FieldTable::default(),
    }
}

pub(crate) fn unbind(queue: &str, exchange: &str, key: &str) -> queue::Unbind {
    queue::Unbind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        arguments: FieldTable::default(),
    }
}

pub(crate) fn purge(queue: &str) -> queue::Purge {
    queue::Purge {
        queue: queue.into(),
        nowait: false,
    }
}

pub(crate) fn delete(queue: &str) -> queue::Delete {
    queue::Delete {
        queue: queue.into(),
        if_unused: false,
        if_empty: false,
        nowait: false,
    }
}

pub(crate) fn qos(prefetch_count: u16) -> basic::Qos {
    basic::Qos {
        prefetch_count,
        global: false,
    }
}

/// A manual-ack consumer with tag `tag`.
pub(crate) fn consume(queue: &str, tag: &str) -> basic::Consume {
    basic::Consume {
        queue: queue.into(),
        consumer_tag: tag.into(),
        no_local: false,
        no_ack: false,
        exclusive: false,
        nowait: false,
        arguments: FieldTable::default(),
    }
}

pub(crate) fn cancel(tag: &str) -> basic::Cancel {
    basic::Cancel {
        consumer_tag: tag.into(),
        nowait: false,
    }
}

pub(crate) fn get(queue: &str) -> basic::Get {
    basic::Get {
        queue: queue.into(),
        no_ack: false,
    }
}

pub(crate) fn publish(exchange: &str, key: &str) -> basic::Publish {
    basic::Publish {
        exchange: exchange.into(),
        routing_key: key.into(),
        mandatory: false,
        immediate: false,
    }
}

pub(crate) fn ack(delivery_tag: u64) -> basic::Ack {
    basic::Ack {
        delivery_tag,
        multiple: false,
    }
}

pub(crate) fn ack_up_to(delivery_tag: u64) -> basic::Ack {
    basic::Ack {
        delivery_tag,
        multiple: true,
    }
}

pub(crate) fn nack(delivery_tag: u64) -> basic::Nack {
    basic::Nack {
        delivery_tag,
        multiple: false,
        requeue: true,
    }
}

pub(crate) fn reject(delivery_tag: u64, requeue: bool) -> basic::Reject {
    basic::Reject {
        delivery_tag,
        requeue,
    }
}

pub(crate) fn recover() -> basic::Recover {
    basic::Recover { requeue: true }
}

pub(crate) fn confirm_select() -> confirm::Select {
    confirm::Select { nowait: false }
}

pub(crate) fn open_vhost(vhost: &str) -> connection::Open {
    connection::Open {
        virtual_host: vhost.into(),
    }
}

pub(crate) fn close_connection() -> connection::Close {
    connection::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }
}

pub(crate) fn close_channel() -> channel::Close {
    channel::Close {
        reply_code: 200,
        reply_text: "bye".into(),
        class_id: 0,
        method_id: 0,
    }
}

/// A whole frame of a method on channel 1, for tests that write several at once.
pub(crate) fn method_frame(method: impl Method) -> Vec<u8> {
    encode(METHOD, 1, &method_payload(&method.into_class()))
}
