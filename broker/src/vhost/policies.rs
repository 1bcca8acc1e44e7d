//! Policies of a vhost at work: which of them apply to its queues and exchanges, and what those do
//! by them.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard, RwLock};
use warren_amqp::{FieldTable, ReplyError};

use super::{Exchange, QueueRequest, Vhost, clean_name};
use crate::arguments::{
    QueueArguments, QueueShape, check_queue_equivalent, identity_arguments, parse_queue_arguments,
};
use crate::auth::Access;
use crate::catalog::{Command, State};
use crate::policy::{AppliedPolicy, PolicySet, Subject, effective_settings};
use crate::queue::Queue;
use crate::session::Session;
use crate::turn::Turn;

/// The policies of a vhost, compiled, and what applies to its exchanges.
#[derive(Default)]
pub(super) struct VhostPolicies {
    set: RwLock<Arc<PolicySet>>,
    exchanges: DashMap<String, Arc<AppliedPolicy>>,
    /// Held while the queues are gone through, so that the last change wins everywhere.
    pass: Mutex<()>,
}

impl Vhost {
    /// The policies that apply to an exchange (row L-9).
    pub fn exchange_policy(&self, exchange: &str) -> Option<Arc<AppliedPolicy>> {
        let found = self.policies.exchanges.get(exchange);
        found.map(|applied| Arc::clone(&applied))
    }

    /// The policies as they are now.
    pub fn policy_set(&self) -> Arc<PolicySet> {
        Arc::clone(&self.policies.set.read())
    }

    /// Changes a queue's arguments in place; its messages and consumers stay (a queue that is not
    /// there is declared). What a queue is (durable, exclusive, auto-delete, its type and its
    /// priorities) cannot change.
    ///
    /// Errors: those of a declare.
    pub fn redeclare_queue(
        &self,
        session: &mut Session,
        mut request: QueueRequest,
        turn: &mut Turn,
    ) -> Result<(), ReplyError> {
        request.name = clean_name(&request.name);
        if self.find_queue(&request.name).is_none() || request.name.starts_with("amq.") {
            return self.declare_queue(session, request, turn).map(|_| ());
        }
        self.choose_type(&mut request);
        session.check_queue(Access::Configure, &request.name)?;
        let _topology = self.topology.lock();
        let queue = self.queue(&request.name)?;
        self.check_owner(&queue, session.connection)?;
        let definition = queue.definition();
        let current = identity_arguments(&queue.arguments());
        let wanted = identity_arguments(&request.arguments);
        let shape = |durable, auto_delete, arguments| QueueShape {
            durable,
            auto_delete,
            arguments,
        };
        check_queue_equivalent(
            &request.name,
            &self.name,
            &shape(definition.durable, definition.auto_delete, &current),
            &shape(request.durable, request.auto_delete, &wanted),
        )?;
        let mut arguments = request.arguments;
        for (key, value) in current.inner() {
            // A classic queue that did not say so may have been asked to be one.
            arguments.insert(key.clone(), value.clone());
        }
        let declared = self.parse_arguments(&queue, &arguments)?;
        if let Some(exchange) = &declared.dead_letter_exchange {
            session.check_queue(Access::Read, &request.name)?;
            session.check_exchange(Access::Write, exchange)?;
        }
        if queue.durable() {
            let command = Command::RedeclareQueue {
                vhost: self.name.to_string(),
                name: request.name.clone(),
                arguments: arguments.clone(),
            };
            self.propose(command, turn)?;
        }
        let (settings, policy) = self.under_policy(&request.name, declared, &arguments);
        queue.set_arguments(arguments);
        queue.configure(settings, policy, turn);
        Ok(())
    }

    /// Compiles the vhost's policies and puts them in the place of those before. Queues that are
    /// there already are not told.
    pub(crate) fn load_policies(&self, state: &State) {
        let set = PolicySet::new(
            state.policies(&self.name, false),
            state.policies(&self.name, true),
        );
        *self.policies.set.write() = Arc::new(set);
        for exchange in self.exchanges() {
            self.reapply_to_exchange(&exchange);
        }
    }

    /// The same while the vhost runs: a declare sees either these policies or is seen by who goes
    /// through the queues afterwards.
    pub(crate) fn replace_policies(&self, set: PolicySet) {
        let topology = self.topology.lock();
        *self.policies.set.write() = Arc::new(set);
        for exchange in self.exchanges() {
            self.reapply_to_exchange(&exchange);
        }
        self.bump_generation();
        drop(topology);
    }

    /// One at a time goes through the queues.
    pub(crate) fn policy_pass(&self) -> MutexGuard<'_, ()> {
        self.policies.pass.lock()
    }

    /// The settings of a queue declared with `arguments`, and the policies they come from.
    pub(crate) fn under_policy(
        &self,
        queue: &str,
        declared: QueueArguments,
        arguments: &FieldTable,
    ) -> (QueueArguments, Option<Arc<AppliedPolicy>>) {
        let set = self.policy_set();
        if set.is_empty() {
            return (declared, None);
        }
        let policy = set.find(queue, Subject::Queue(declared.queue_type));
        let definition = policy.as_ref().map(|applied| &applied.definition);
        let settings = effective_settings(&declared, arguments, definition);
        (settings, policy)
    }

    /// Puts the policies as they are now in force for a queue.
    pub(crate) fn reapply_to_queue(&self, queue: &Arc<Queue>, turn: &mut Turn) {
        let arguments = queue.arguments();
        match self.parse_arguments(queue, &arguments) {
            Ok(declared) => {
                let (settings, policy) = self.under_policy(queue.name(), declared, &arguments);
                let before = queue.policy();
                queue.configure(settings, policy, turn);
                self.tell_queue_policy(queue, before.as_deref(), turn);
            }
            // It was declared with them.
            Err(error) => {
                tracing::error!(queue = queue.name(), vhost = %self.name, %error, "no policy set");
            }
        }
    }

    /// The alternate exchange in force: the argument's, else the policy's (row L-6).
    pub(super) fn apply_to_exchange(&self, exchange: &Exchange) -> Option<String> {
        let set = self.policy_set();
        // The default exchange is not one that could be bound to or have an alternate.
        let applied = match exchange.name.as_str() {
            "" => None,
            name => set.find(name, Subject::Exchange),
        };
        let alternate = exchange.alternate.clone().or_else(|| {
            let value = applied.as_ref()?.definition.get("alternate-exchange")?;
            value.as_str().map(str::to_owned)
        });
        match applied {
            Some(applied) => self
                .policies
                .exchanges
                .insert(exchange.name.clone(), applied),
            None => self
                .policies
                .exchanges
                .remove(&exchange.name)
                .map(|(_, old)| old),
        };
        alternate
    }

    /// Forgets what applied to an exchange that is gone.
    pub(super) fn forget_exchange_policy(&self, exchange: &str) {
        self.policies.exchanges.remove(exchange);
    }

    fn reapply_to_exchange(&self, exchange: &Exchange) {
        let alternate = self.apply_to_exchange(exchange);
        self.routing
            .write()
            .set_alternate(&exchange.name, alternate.as_deref());
    }

    fn parse_arguments(
        &self,
        queue: &Queue,
        arguments: &FieldTable,
    ) -> Result<QueueArguments, ReplyError> {
        let definition = queue.definition();
        parse_queue_arguments(
            &definition.name,
            &self.name,
            arguments,
            definition.durable,
            definition.owner.is_some(),
            definition.auto_delete,
        )
    }
}
