//! What of a queue an operator may change while it runs: arguments, policy, dead-letter target.
//!
//! The settings they come to are the state machine's; here is what can be seen of them, and what
//! is needed without the queue's lock.

use std::sync::Arc;

use warren_amqp::FieldTable;

use super::{Queue, QueueDefinition};
use crate::arguments::{DeadLetterStrategy, QueueArguments};
use crate::policy::AppliedPolicy;
use crate::turn::Turn;

/// Where a queue's dead messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The exchange; empty for the default one.
    pub exchange: String,
    /// The routing key; without one a message keeps its own.
    pub routing_key: Option<String>,
    /// What finds no place is kept and tried again.
    pub at_least_once: bool,
}

impl DeadLetter {
    fn of(settings: &QueueArguments) -> Option<Arc<Self>> {
        let exchange = settings.dead_letter_exchange.clone()?;
        let routing_key = settings.dead_letter_routing_key.clone();
        Some(Arc::new(Self {
            exchange,
            routing_key,
            at_least_once: settings.dead_letters_at_least_once(),
        }))
    }
}

/// See the module documentation.
#[derive(Default)]
pub(super) struct Configuration {
    arguments: Arc<FieldTable>,
    policy: Option<Arc<AppliedPolicy>>,
    dead_letter: Option<Arc<DeadLetter>>,
    consumer_timeout_ms: Option<u64>,
}

impl Configuration {
    pub(super) fn new(arguments: FieldTable, settings: &QueueArguments) -> Self {
        Self {
            arguments: Arc::new(arguments),
            policy: None,
            dead_letter: DeadLetter::of(settings),
            consumer_timeout_ms: settings.consumer_timeout_ms,
        }
    }
}

impl Queue {
    /// Arguments as declared last.
    pub fn arguments(&self) -> Arc<FieldTable> {
        Arc::clone(&self.configuration.read().arguments)
    }

    /// The policies that apply to it (row L-9).
    pub fn policy(&self) -> Option<Arc<AppliedPolicy>> {
        self.configuration.read().policy.clone()
    }

    /// The settings in force: arguments and policies merged.
    pub fn settings(&self) -> QueueArguments {
        self.state.lock().settings().clone()
    }

    /// Dead-letter exchange and routing key.
    pub fn dead_letter(&self) -> Option<Arc<DeadLetter>> {
        self.configuration.read().dead_letter.clone()
    }

    /// How long its deliveries may stay unacknowledged, in milliseconds, where it has a limit of
    /// its own.
    pub fn consumer_timeout_ms(&self) -> Option<u64> {
        self.configuration.read().consumer_timeout_ms
    }

    pub(crate) fn set_arguments(&self, arguments: FieldTable) {
        self.configuration.write().arguments = Arc::new(arguments);
    }

    /// Says which policies the settings it was made with come from.
    pub(crate) fn set_policy(&self, policy: Option<Arc<AppliedPolicy>>) {
        self.configuration.write().policy = policy;
    }

    /// Puts other settings in force, at once and for what is already in the queue (row L-5).
    pub(crate) fn configure(
        self: &Arc<Self>,
        settings: QueueArguments,
        policy: Option<Arc<AppliedPolicy>>,
        turn: &mut Turn,
    ) {
        warn_of_fallback(self.definition(), &settings);
        let mut configuration = self.configuration.write();
        configuration.policy = policy;
        configuration.dead_letter = DeadLetter::of(&settings);
        configuration.consumer_timeout_ms = settings.consumer_timeout_ms;
        drop(configuration);
        self.enter(turn, |state, now, fx| {
            state.apply_settings(settings, now, fx);
        });
    }
}

/// Says so when dead letters are less safe than was asked for (row Q-67).
pub(super) fn warn_of_fallback(definition: &QueueDefinition, settings: &QueueArguments) {
    if settings.dead_letter_strategy == DeadLetterStrategy::AtLeastOnce
        && !settings.dead_letters_at_least_once()
    {
        tracing::warn!(
            queue = definition.name,
            vhost = %definition.vhost,
            "dead letters go at most once: at-least-once needs a quorum queue with \
             dead-letter-exchange and overflow reject-publish"
        );
    }
}
