//! Events about what is in a vhost: exchanges, queues and bindings, durable or not.

use warren_amqp::table_from_fields;
use warren_exchanges::Destination;

use super::{BindingRequest, Exchange, Vhost};
use crate::notices::EVENT_EXCHANGE;
use crate::policy::AppliedPolicy;
use crate::queue::{Queue, QueueHandle};
use crate::turn::Turn;

impl Vhost {
    /// Events are worth their while only if something is bound to their exchange.
    pub(super) fn look_for_listeners(&self) {
        if self.hosts_events {
            let bound = self.routing.read().has_bindings_from(EVENT_EXCHANGE);
            self.shared.notices.set_wanted(bound);
        }
    }

    pub(super) fn tell_queue_created(&self, queue: &Queue, turn: &Turn) {
        self.shared.notices.event_of("queue.created", turn, |t| {
            let definition = queue.definition();
            t.longstr("name", &definition.name);
            t.longstr("vhost", &*self.name);
            t.bool("durable", definition.durable);
            t.bool("auto_delete", definition.auto_delete);
            t.bool("exclusive", definition.owner.is_some());
            t.longstr("type", queue.kind().as_str());
            t.table("arguments", table_from_fields(&queue.arguments()));
        });
    }

    pub(super) fn tell_queue_deleted(&self, queue: &Queue, turn: &Turn) {
        let notices = &self.shared.notices;
        if notices.wanted() {
            let gone = self.bindings_of(queue);
            for binding in gone {
                self.tell_binding("binding.deleted", &binding, turn);
            }
        }
        notices.event_of("queue.deleted", turn, |t| {
            t.longstr("name", queue.name());
            t.longstr("vhost", &*self.name);
        });
    }

    /// The bindings that go with a queue.
    fn bindings_of(&self, queue: &Queue) -> Vec<BindingRequest> {
        let Some(queue) = self.find_queue(queue.name()) else {
            return Vec::new();
        };
        let name = queue.name().to_owned();
        let target = Destination::Queue(QueueHandle(queue));
        let routing = self.routing.read();
        let found = routing.bindings_to(&target);
        found
            .map(|binding| BindingRequest {
                source: binding.source.to_owned(),
                destination: name.clone(),
                to_queue: true,
                routing_key: binding.routing_key.to_owned(),
                arguments: binding.arguments.clone(),
            })
            .collect()
    }

    /// Only when another policy applies than before.
    pub(super) fn tell_queue_policy(
        &self,
        queue: &Queue,
        before: Option<&AppliedPolicy>,
        turn: &Turn,
    ) {
        let after = queue.policy();
        let names = |applied: Option<&AppliedPolicy>| {
            applied.map(|applied| (applied.policy.clone(), applied.operator_policy.clone()))
        };
        if names(before) == names(after.as_deref()) {
            return;
        }
        let key = match after {
            Some(_) => "queue.policy.updated",
            None => "queue.policy.cleared",
        };
        self.shared.notices.event_of(key, turn, |t| {
            t.longstr("name", queue.name());
            t.longstr("vhost", &*self.name);
            if let Some(policy) = after.as_ref().and_then(|after| after.policy.as_ref()) {
                t.longstr("policy", &**policy);
            }
        });
    }

    pub(super) fn tell_exchange_created(&self, exchange: &Exchange, turn: &Turn) {
        self.shared.notices.event_of("exchange.created", turn, |t| {
            t.longstr("name", &exchange.name);
            t.longstr("vhost", &*self.name);
            t.longstr("type", exchange.kind.as_str());
            t.bool("durable", exchange.durable);
            t.bool("auto_delete", exchange.auto_delete);
            t.bool("internal", exchange.internal);
            t.table("arguments", table_from_fields(&exchange.arguments));
        });
    }

    pub(super) fn tell_exchange_deleted(&self, name: &str, turn: &Turn) {
        self.shared.notices.event_of("exchange.deleted", turn, |t| {
            t.longstr("name", name);
            t.longstr("vhost", &*self.name);
        });
    }

    pub(super) fn tell_binding(&self, key: &'static str, binding: &BindingRequest, turn: &Turn) {
        self.shared.notices.event_of(key, turn, |t| {
            let kind = if binding.to_queue {
                "queue"
            } else {
                "exchange"
            };
            t.longstr("source_name", &binding.source);
            t.longstr("source_kind", "exchange");
            t.longstr("destination_name", &binding.destination);
            t.longstr("destination_kind", kind);
            t.longstr("routing_key", &binding.routing_key);
            t.longstr("vhost", &*self.name);
            t.table("arguments", table_from_fields(&binding.arguments));
        });
    }
}
