//! Declaring, deleting and purging queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use warren_amqp::{AMQPValue, FieldTable, ReplyError, short};
use warren_storage::QueueId;

use super::{Vhost, clean_name};
use crate::admin::limit;
use crate::arguments::{
    QueueArguments, QueueShape, QueueType, check_queue_equivalent, is_available,
    parse_queue_arguments,
};
use crate::auth::Access;
use crate::catalog::{Command, VhostLimit};
use crate::ids::ConnectionId;
use crate::queue::{DeleteRefused, Depth, Queue, QueueDefinition, QueueHandle};
use crate::route::REPLY_TO;
use crate::session::Session;
use crate::stats::add;
use crate::turn::Turn;

/// Names the type of a queue in its arguments.
const QUEUE_TYPE: &str = "x-queue-type";

/// `queue.declare` as asked for.
#[derive(Clone, Debug)]
pub struct QueueRequest {
    /// Its name; empty to have one made.
    pub name: String,
    /// Only check that it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Belongs to the declaring connection.
    pub exclusive: bool,
    /// Deleted with its last consumer.
    pub auto_delete: bool,
    /// Arguments.
    pub arguments: FieldTable,
}

/// The answer to a declare.
pub struct Declared {
    /// Its name, made up if none was given.
    pub name: String,
    /// Ready messages.
    pub messages: usize,
    /// Consumers.
    pub consumers: usize,
    /// The queue, when the declare created it as exclusive: to be deleted with the connection.
    pub exclusive: Option<Arc<Queue>>,
}

impl Vhost {
    /// Declares a queue (section 4.1). Errors are those of the protocol.
    pub fn declare_queue(
        &self,
        session: &mut Session,
        mut request: QueueRequest,
        turn: &mut Turn,
    ) -> Result<Declared, ReplyError> {
        request.name = clean_name(&request.name);
        // what ends with its connection is not durable, whatever was asked for.
        request.durable &= !request.exclusive;
        if request.name.starts_with(REPLY_TO) {
            return self.declare_reply_queue(request.name);
        }
        if request.passive {
            let queue = self.queue(&request.name)?;
            self.check_owner(&queue, session.connection)?;
            return Ok(declared(&queue, queue.touch(turn)));
        }
        if request.name.starts_with("amq.") {
            let text = format!(
                "queue name '{}' contains reserved prefix 'amq.*'",
                request.name
            );
            return Err(ReplyError::access_refused(text));
        }
        if request.name.is_empty() {
            refuse_server_named(&request.arguments)?;
            request.name = generated_name("amq.gen-");
        } else {
            self.choose_type(&mut request);
        }
        session.check_queue(Access::Configure, &request.name)?;
        if let Some(queue) = self.find_queue(&request.name) {
            return self.redeclare(session, &queue, &request, turn);
        }
        let _topology = self.topology.lock();
        if let Some(queue) = self.find_queue(&request.name) {
            return self.redeclare(session, &queue, &request, turn);
        }
        self.create_queue(session, request, turn)
    }

    /// Deletes a queue; a missing one is no error. Returns the ready count.
    pub fn delete_queue(
        &self,
        session: &mut Session,
        name: &str,
        if_unused: bool,
        if_empty: bool,
        turn: &mut Turn,
    ) -> Result<usize, ReplyError> {
        let name = clean_name(name);
        session.check_queue(Access::Configure, &name)?;
        let Some(queue) = self.find_queue(&name) else {
            // Perhaps deleted just now by somebody else: not before that is durable.
            self.await_defined(true, turn);
            return Ok(0);
        };
        self.check_owner(&queue, session.connection)?;
        self.refuse_conditions(&queue, if_unused, if_empty)?;
        match self.remove_queue(&queue, if_unused, if_empty, turn) {
            Ok(n) => Ok(n),
            Err(DeleteRefused::Gone) => Ok(0),
            Err(DeleteRefused::InUse) => Err(ReplyError::precondition_failed(format!(
                "queue '{name}' in vhost '{}' in use",
                self.name
            ))),
            Err(DeleteRefused::NotEmpty) => Err(ReplyError::precondition_failed(format!(
                "queue '{name}' in vhost '{}' not empty",
                self.name
            ))),
        }
    }

    /// Drops the ready messages; returns how many.
    pub fn purge_queue(
        &self,
        session: &mut Session,
        name: &str,
        turn: &mut Turn,
    ) -> Result<usize, ReplyError> {
        Ok(self.readable_queue(session, name)?.purge(turn))
    }

    /// The queue of that name for consume, get or purge: 403, 404 or 405 when it may not be read.
    pub fn readable_queue(
        &self,
        session: &mut Session,
        name: &str,
    ) -> Result<Arc<Queue>, ReplyError> {
        session.check_queue(Access::Read, name)?;
        let queue = self.queue(name)?;
        self.check_owner(&queue, session.connection)?;
        Ok(queue)
    }

    /// Removes a queue with its bindings; its consumers are told.
    pub fn remove_queue(
        &self,
        queue: &Arc<Queue>,
        if_unused: bool,
        if_empty: bool,
        turn: &mut Turn,
    ) -> Result<usize, DeleteRefused> {
        let _topology = self.topology.lock();
        let n = queue.close(if_unused, if_empty, turn)?;
        add(&self.shared.stats.churn.queues_deleted, 1);
        self.tell_queue_deleted(queue, turn);
        self.forget_queue(queue);
        let unbound = self
            .routing
            .write()
            .remove_queue(&QueueHandle(Arc::clone(queue)));
        self.bump_generation();
        if queue.durable() {
            let name = queue.name().to_owned();
            let command = Command::DeleteQueue {
                vhost: self.name.to_string(),
                name,
            };
            if let Err(error) = self.propose(command, turn) {
                tracing::error!(queue = queue.name(), vhost = %self.name, %error, "delete failed");
            }
        }
        self.remove_unbound(unbound, turn);
        Ok(n)
    }

    /// A limit counts every queue, transient and exclusive ones too.
    fn check_queue_limits(&self, name: &str) -> Result<(), ReplyError> {
        let refuse = |reached: String| {
            let text =
                format!("cannot declare queue '{name}': queue limit in {reached} is reached");
            Err(ReplyError::precondition_failed(text))
        };
        let of_vhost = {
            let state = self.shared.catalog.read();
            let limits = state.vhost(&self.name).map(|def| &def.limits);
            limits.and_then(|limits| limit(limits.get(&VhostLimit::MaxQueues)))
        };
        if let Some(limit) = of_vhost.filter(|limit| self.queues.len() >= *limit) {
            return refuse(format!("vhost '{}' ({limit})", self.name));
        }
        let n_queues = self.shared.n_queues.load(Ordering::Relaxed);
        if let Some(limit) = self.shared.limits.queues.filter(|limit| n_queues >= *limit) {
            return refuse(format!("cluster ({limit})"));
        }
        Ok(())
    }

    /// Ends a queue of a vhost that is deleted: the catalog has forgotten it already.
    pub(crate) fn drop_queue(&self, queue: &Arc<Queue>, turn: &mut Turn) {
        let _ = queue.close(false, false, turn);
        self.tell_queue_deleted(queue, turn);
        self.forget_queue(queue);
    }

    fn forget_queue(&self, queue: &Arc<Queue>) {
        let gone = self
            .queues
            .remove_if(queue.name(), |_, found| Arc::ptr_eq(found, queue));
        if gone.is_some() {
            self.shared.n_queues.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Makes the hidden queue of a direct reply-to consumer and returns it.
    pub fn open_reply_queue(&self, connection: ConnectionId, now_ms: u64) -> Arc<Queue> {
        let name = generated_name(&format!("{REPLY_TO}."));
        let definition = QueueDefinition {
            id: self.shared.transient_queue_id(),
            vhost: Arc::clone(&self.name),
            name: name.clone(),
            durable: false,
            auto_delete: false,
            owner: Some(connection),
        };
        let (arguments, settings) = (FieldTable::default(), QueueArguments::default());
        let (stats, pager) = (&self.stats, &self.shared.pager);
        let queue = Queue::new_in(definition, arguments, settings, now_ms, stats, pager);
        self.replies.insert(name, Arc::clone(&queue));
        queue
    }

    /// Ends a direct reply-to queue.
    pub fn close_reply_queue(&self, queue: &Arc<Queue>, turn: &mut Turn) {
        self.replies.remove(queue.name());
        let _ = queue.close(false, false, turn);
        self.bump_generation();
    }

    /// Puts a queue into the tables; no checks.
    pub(crate) fn install_queue(&self, queue: Arc<Queue>) {
        if self.queues.insert(queue.name().to_owned(), queue).is_none() {
            self.shared.n_queues.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// 405 when the queue is exclusive to another connection.
    pub fn check_owner(&self, queue: &Queue, connection: ConnectionId) -> Result<(), ReplyError> {
        match queue.definition().owner {
            Some(owner) if owner != connection => Err(self.locked(queue.name())),
            _ => Ok(()),
        }
    }

    fn locked(&self, name: &str) -> ReplyError {
        ReplyError::resource_locked(format!(
            "cannot obtain exclusive access to locked queue '{name}' in vhost '{}'. It could be \
             originally declared on another connection or the exclusive property value does not \
             match that of the original declaration.",
            self.name
        ))
    }

    fn redeclare(
        &self,
        session: &Session,
        queue: &Arc<Queue>,
        request: &QueueRequest,
        turn: &mut Turn,
    ) -> Result<Declared, ReplyError> {
        self.check_owner(queue, session.connection)?;
        let definition = queue.definition();
        if definition.owner.is_some() != request.exclusive {
            return Err(self.locked(&request.name));
        }
        let current = QueueShape {
            durable: definition.durable,
            auto_delete: definition.auto_delete,
            arguments: &queue.arguments(),
        };
        let wanted = QueueShape {
            durable: request.durable,
            auto_delete: request.auto_delete,
            arguments: &request.arguments,
        };
        check_queue_equivalent(&request.name, &self.name, &current, &wanted)?;
        self.await_defined(queue.durable(), turn);
        add(&self.shared.stats.churn.queues_declared, 1);
        Ok(declared(queue, queue.touch(turn)))
    }

    fn create_queue(
        &self,
        session: &mut Session,
        request: QueueRequest,
        turn: &mut Turn,
    ) -> Result<Declared, ReplyError> {
        let settings = parse_queue_arguments(
            &request.name,
            &self.name,
            &request.arguments,
            request.durable,
            request.exclusive,
            request.auto_delete,
        )?;
        if let Some(exchange) = &settings.dead_letter_exchange {
            session.check_queue(Access::Read, &request.name)?;
            session.check_exchange(Access::Write, exchange)?;
        }
        self.check_queue_limits(&request.name)?;
        let (settings, policy) = self.under_policy(&request.name, settings, &request.arguments);
        let durable = request.durable && !request.exclusive;
        let id = self.shared.next_queue_id(durable);
        let defined_at = if durable {
            let command = Command::DeclareQueue {
                vhost: self.name.to_string(),
                name: request.name.clone(),
                id: id.0,
                auto_delete: request.auto_delete,
                arguments: request.arguments.clone(),
            };
            self.propose(command, turn)?
        } else {
            0
        };
        let definition = QueueDefinition {
            id,
            vhost: Arc::clone(&self.name),
            name: request.name,
            durable: request.durable,
            auto_delete: request.auto_delete,
            owner: request.exclusive.then_some(session.connection),
        };
        let (now_ms, arguments) = (turn.now_ms(), request.arguments);
        let (stats, pager) = (&self.stats, &self.shared.pager);
        let queue = Queue::new_in(definition, arguments, settings, now_ms, stats, pager);
        queue.set_policy(policy);
        queue.set_defined_at(defined_at);
        let depth = queue.touch(turn);
        self.install_queue(Arc::clone(&queue));
        self.tell_queue_created(&queue, turn);
        add(&self.shared.stats.churn.queues_created, 1);
        add(&self.shared.stats.churn.queues_declared, 1);
        let mut declared = declared(&queue, depth);
        declared.exclusive = request.exclusive.then_some(queue);
        Ok(declared)
    }

    /// A declare that does not say which type it wants gets the vhost's default, where that can be
    /// what was asked for. A queue that is there already keeps its own.
    pub(super) fn choose_type(&self, request: &mut QueueRequest) {
        let plain = request.durable && !request.exclusive && !request.auto_delete;
        if !plain || request.arguments.contains_key(QUEUE_TYPE) {
            return;
        }
        let default = {
            let catalog = self.shared.catalog.read();
            let vhost = catalog.vhost(&self.name);
            vhost.and_then(|vhost| vhost.default_queue_type.clone())
        };
        let default = default.or_else(|| self.shared.default_queue_type.clone());
        let kind = default.as_deref().and_then(QueueType::from_name);
        let Some(kind) = kind.filter(|kind| is_available(*kind) && *kind != QueueType::Classic)
        else {
            return;
        };
        let known = self.find_queue(&request.name);
        if known.is_none_or(|known| known.kind() == kind) {
            let value = AMQPValue::LongString(kind.as_str().into());
            request.arguments.insert(short(QUEUE_TYPE), value);
        }
    }

    /// Row Q-13.
    fn refuse_conditions(
        &self,
        queue: &Queue,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<(), ReplyError> {
        if queue.kind() != QueueType::Quorum || !(if_unused || if_empty) {
            return Ok(());
        }
        let flag = if if_unused { "if-unused" } else { "if-empty" };
        Err(ReplyError::not_implemented(format!(
            "cannot delete queue '{}' in vhost '{}'. queue.delete operations with {flag} flag set \
             are not supported by quorum queues",
            queue.name(),
            self.name
        )))
    }

    /// Declaring a direct reply-to name only asks whether it lives.
    fn declare_reply_queue(&self, name: String) -> Result<Declared, ReplyError> {
        if name != REPLY_TO && !self.replies.contains_key(&name) {
            return Err(ReplyError::not_found(format!(
                "no queue '{name}' in vhost '{}'",
                self.name
            )));
        }
        Ok(Declared {
            name,
            messages: 0,
            consumers: 1,
            exclusive: None,
        })
    }
}

/// Row Q-2.
fn refuse_server_named(arguments: &FieldTable) -> Result<(), ReplyError> {
    let kind = match arguments.inner().get(QUEUE_TYPE) {
        Some(AMQPValue::LongString(name)) if name.as_bytes() == b"quorum" => "quorum",
        Some(AMQPValue::LongString(name)) if name.as_bytes() == b"stream" => "stream",
        _ => return Ok(()),
    };
    Err(ReplyError::precondition_failed(format!(
        "Cannot declare a server-named queue for type rabbit_{kind}_queue"
    )))
}

fn declared(queue: &Queue, depth: Depth) -> Declared {
    Declared {
        name: queue.name().to_owned(),
        messages: depth.ready,
        consumers: depth.consumers,
        exclusive: None,
    }
}

/// `prefix` and 22 random base64url characters (Q-2, H-100).
pub fn generated_name(prefix: &str) -> String {
    let mut random = [0u8; 16];
    // Without system randomness no unique name can be promised; nothing sensible remains to do.
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random))
}

/// Bit that marks identities of queues that are not durable.
const TRANSIENT: u64 = 1 << 63;

/// Whether a queue's identity is one that the catalog gave out.
pub(crate) fn is_durable(queue: QueueId) -> bool {
    queue.0 & TRANSIENT == 0
}

impl crate::broker::Shared {
    pub(super) fn next_queue_id(&self, durable: bool) -> QueueId {
        if !durable {
            return self.transient_queue_id();
        }
        QueueId(self.next_durable_queue.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn transient_queue_id(&self) -> QueueId {
        let n = self.next_transient_queue.fetch_add(1, Ordering::Relaxed);
        QueueId(n | TRANSIENT)
    }
}
