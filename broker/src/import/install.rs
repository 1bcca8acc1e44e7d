//! Making the running vhosts as the imported definitions say.

use std::sync::Arc;

use warren_exchanges::{Destination, ExchangeKind};
use warren_storage::QueueId;

use crate::arguments::{alternate_exchange, parse_queue_arguments};
use crate::broker::Shared;
use crate::catalog::{BindingDef, ExchangeDef, QueueDef};
use crate::queue::{Queue, QueueDefinition, QueueHandle};
use crate::stats::ExchangeStats;
use crate::turn::Turn;
use crate::vhost::{BindingRequest, Exchange, Vhost};

pub(super) fn install_exchange(vhost: &Arc<Vhost>, name: String, def: ExchangeDef, durable: bool) {
    let Ok(kind) = def.kind.parse::<ExchangeKind>() else {
        return;
    };
    let alternate = alternate_exchange(&name, vhost.name(), &def.arguments);
    vhost.install_exchange(Exchange {
        kind,
        durable,
        auto_delete: def.auto_delete,
        internal: def.internal,
        alternate: alternate.ok().flatten(),
        arguments: def.arguments,
        stats: ExchangeStats::new(vhost.stats()),
        name,
    });
}

/// `defined_at` is the command that made a durable queue; none for others.
pub(super) fn install_queue(
    shared: &Shared,
    vhost: &Arc<Vhost>,
    (name, def): (String, QueueDef),
    defined_at: Option<u64>,
    turn: &mut Turn,
) {
    let durable = defined_at.is_some();
    let parsed = parse_queue_arguments(
        &name,
        vhost.name(),
        &def.arguments,
        durable,
        false,
        def.auto_delete,
    );
    let settings = match parsed {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!(queue = name, vhost = %vhost.name(), %error, "queue not imported");
            return;
        }
    };
    let definition = QueueDefinition {
        id: QueueId(def.id),
        vhost: Arc::clone(vhost.name()),
        name,
        durable,
        auto_delete: def.auto_delete,
        owner: None,
    };
    let (settings, policy) = vhost.under_policy(&definition.name, settings, &def.arguments);
    let (now_ms, arguments) = (turn.now_ms(), def.arguments);
    let (stats, pager) = (vhost.stats(), &shared.pager);
    let queue = Queue::new_in(definition, arguments, settings, now_ms, stats, pager);
    queue.set_policy(policy);
    queue.set_defined_at(defined_at.unwrap_or(0));
    queue.touch(turn);
    vhost.install_queue(queue);
}

pub(super) fn install_binding(vhost: &Arc<Vhost>, binding: BindingDef) {
    let destination = if binding.destination_is_queue {
        let Some(queue) = vhost.find_queue(&binding.destination) else {
            return;
        };
        Destination::Queue(QueueHandle(queue))
    } else {
        Destination::Exchange(binding.destination.clone())
    };
    let request = BindingRequest {
        source: binding.source,
        destination: binding.destination,
        to_queue: binding.destination_is_queue,
        routing_key: binding.routing_key,
        arguments: binding.arguments,
    };
    if let Err(error) = vhost.install_binding(&request, destination) {
        tracing::error!(source = request.source, vhost = %vhost.name(), %error, "binding lost");
    }
}
