//! Start-up: vhosts, queues and bindings from the catalog, messages from the commit log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::DashMap;
use rustc_hash::FxHashMap;
use warren_exchanges::{Destination, ExchangeKind};
use warren_storage::{
    Batch, DataDir, Durability, LogOptions, MessageLog, OpenError, QueueId, ReadEnd, ReadError,
    ReadLimit, RecoveredQueue, Stored,
};

use crate::arguments::{alternate_exchange, parse_queue_arguments};
use crate::broker::{Broker, Shared};
use crate::delay::{DelayStore, store_of};
use crate::message::{Chunk, FLAG_PAGED, FLAG_PERSISTENT, Message};
use crate::pager::reader;
use crate::publish::read_record;
use crate::queue::{Entry, Queue, QueueDefinition, QueueHandle};
use crate::stats::ExchangeStats;
use crate::turn::Turn;
use crate::vhost::{BindingRequest, Exchange, Vhost, is_durable};

/// Builds the vhosts as the catalog describes them.
pub(crate) fn rebuild_vhosts(shared: &Arc<Shared>, now_ms: u64) -> DashMap<String, Arc<Vhost>> {
    let vhosts = DashMap::new();
    let names: Vec<String> = shared
        .catalog
        .read()
        .vhosts()
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in names {
        let vhost = build_vhost(shared, &name, now_ms);
        vhosts.insert(name, vhost);
    }
    vhosts
}

/// Builds one vhost as the catalog describes it.
pub(crate) fn build_vhost(shared: &Arc<Shared>, name: &str, now_ms: u64) -> Arc<Vhost> {
    let vhost = Vhost::new(name, shared);
    let state = shared.catalog.read();
    vhost.load_policies(&state);
    for (exchange, def) in state.exchanges(name) {
        let Ok(kind) = def.kind.parse::<ExchangeKind>() else {
            tracing::error!(
                exchange,
                vhost = name,
                kind = def.kind,
                "unknown exchange type"
            );
            continue;
        };
        vhost.install_exchange(Exchange {
            name: exchange.to_owned(),
            kind,
            durable: true,
            auto_delete: def.auto_delete,
            internal: def.internal,
            alternate: alternate_exchange(exchange, name, &def.arguments)
                .ok()
                .flatten(),
            arguments: def.arguments.clone(),
            stats: ExchangeStats::new(vhost.stats()),
        });
    }
    for (queue, def) in state.queues(name) {
        let definition = QueueDefinition {
            id: QueueId(def.id),
            vhost: Arc::clone(vhost.name()),
            name: queue.to_owned(),
            durable: true,
            auto_delete: def.auto_delete,
            owner: None,
        };
        if let Some(exchange) = store_of(queue, &def.arguments) {
            vhost.restore_delay_store(exchange, definition, def.arguments.clone(), now_ms);
            continue;
        }
        let parsed =
            parse_queue_arguments(queue, name, &def.arguments, true, false, def.auto_delete);
        match parsed {
            Ok(settings) => {
                let (settings, policy) = vhost.under_policy(queue, settings, &def.arguments);
                let (stats, pager) = (vhost.stats(), &shared.pager);
                let arguments = def.arguments.clone();
                let queue = Queue::new_in(definition, arguments, settings, now_ms, stats, pager);
                queue.set_policy(policy);
                vhost.install_queue(queue);
            }
            Err(error) => tracing::error!(queue, vhost = name, %error, "queue not restored"),
        }
    }
    for binding in state.bindings(name) {
        install(
            &vhost,
            BindingRequest {
                source: binding.source.clone(),
                destination: binding.destination.clone(),
                to_queue: binding.destination_is_queue,
                routing_key: binding.routing_key.clone(),
                arguments: binding.arguments.clone(),
            },
        );
    }
    drop(state);
    give_delay_stores(&vhost, &mut Turn::new(now_ms));
    vhost
}

/// Delayed exchanges that came with an import have no store yet.
pub(crate) fn give_delay_stores(vhost: &Arc<Vhost>, turn: &mut Turn) {
    for exchange in vhost.exchanges() {
        if exchange.kind != ExchangeKind::Delayed {
            continue;
        }
        let made = vhost.create_delay_store(&exchange.name, exchange.durable, turn);
        if let Err(error) = made {
            tracing::error!(exchange = exchange.name, vhost = %vhost.name(), %error, "no store");
        }
    }
}

fn install(vhost: &Arc<Vhost>, request: BindingRequest) {
    let destination = if request.to_queue {
        let Some(queue) = vhost.find_queue(&request.destination) else {
            return;
        };
        Destination::Queue(QueueHandle(queue))
    } else {
        Destination::Exchange(request.destination.clone())
    };
    if let Err(error) = vhost.install_binding(&request, destination) {
        tracing::error!(source = request.source, vhost = %vhost.name(), %error, "binding lost");
    }
}

/// How the log is to look at the broker's messages.
pub(crate) fn log_options() -> LogOptions {
    LogOptions {
        weigh: |flags, payload| {
            read_record(flags, payload).map_or(0, |(_, [_, _, body])| body.len() as u32)
        },
        transient: |flags| flags & FLAG_PAGED != 0 || flags & FLAG_PERSISTENT == 0,
        ..LogOptions::default()
    }
}

/// All that the store of a delayed exchange holds; what cannot be read any more is settled in
/// `settled`.
fn read_store(
    log: &MessageLog,
    found: &RecoveredQueue,
    settled: &mut Batch,
) -> Result<Vec<Entry>, ReadError> {
    let limit = ReadLimit {
        messages: 4096,
        bytes: 1 << 20,
    };
    let (mut entries, mut lost, mut from) = (Vec::new(), Vec::new(), 0);
    let mut see = |stored: Stored<'_>| {
        let (seq, read) = match stored {
            Stored::Message {
                seq,
                enqueued_ms,
                flags,
                payload,
            } => (
                seq,
                read_record(flags, payload).map(|read| (enqueued_ms, read)),
            ),
            Stored::Lost { seq, .. } => (seq, None),
        };
        let Some((enqueued_ms, (meta, [address, header, body]))) = read else {
            tracing::error!(
                queue = found.queue.0,
                seq,
                "a delayed message is damaged and lost"
            );
            return lost.push(seq);
        };
        let chunk = Chunk::single(address, header, body, meta, enqueued_ms);
        entries.push(DelayStore::entry(seq, Message::new(&chunk, 0), true));
    };
    while let ReadEnd::Next(next) = log.read(found.queue, from, found.highest, limit, &mut see)? {
        from = next;
    }
    for seq in lost {
        settled.settle(found.queue, seq);
    }
    Ok(entries)
}

/// Opens the commit log and tells the queues what it holds for them. Nothing is loaded.
pub(crate) fn recover_messages(
    shared: &Shared,
    dir: &DataDir,
    durability: Durability,
    vhosts: &DashMap<String, Arc<Vhost>>,
) -> Result<MessageLog, OpenError> {
    let all = vhosts.iter().flat_map(|vhost| {
        let mut all = vhost.queues();
        all.extend(vhost.delay_stores());
        all
    });
    let queues: FxHashMap<QueueId, Arc<Queue>> = all.map(|queue| (queue.id(), queue)).collect();
    let options = LogOptions {
        durability,
        ..log_options()
    };
    let (log, report) = MessageLog::open(dir, options)?;
    // With definitions lost to damage, an unknown queue may be one of the lost: keep its messages.
    let keep_unknown = !shared.catalog.damage().is_empty();
    let mut settled = Batch::new();
    let unreadable = |error| OpenError::Unreadable {
        path: dir.path(),
        source: std::io::Error::other::<ReadError>(error),
    };
    for found in &report.queues {
        if is_durable(found.queue) {
            // A number the log knows is never given out again, even if its declare was lost.
            shared
                .next_durable_queue
                .fetch_max(found.queue.0 + 1, Ordering::Relaxed);
        }
        let Some(queue) = queues.get(&found.queue) else {
            let keep = keep_unknown && is_durable(found.queue);
            for (first, last) in found.live.iter().filter(|_| !keep) {
                settled.settle_range(found.queue, *first, *last);
            }
            continue;
        };
        queue.number_above(found.highest);
        if queue.is_delay_store() {
            let entries = read_store(&log, found, &mut settled).map_err(unreadable)?;
            queue.recover_delayed(entries);
            continue;
        }
        if let Some(max) = queue.max_priority() {
            let see = |levels: &[(u8, u64)]| queue.recover_levels(levels);
            reader::levels(&log, found.queue, found.highest, max, see).map_err(unreadable)?;
        }
        queue.recover(found);
    }
    for lost in &report.lost {
        let queue = queues.get(&lost.queue).map(|queue| queue.definition());
        tracing::error!(
            queue = queue.map(|it| it.name.as_str()),
            vhost = queue.map(|it| &*it.vhost),
            seq = lost.seq,
            segment = lost.segment,
            offset = lost.offset,
            "a message is lost to damage on disk"
        );
    }
    tracing::info!(
        messages = report.messages,
        segments = report.segments,
        cut_tail_bytes = report.cut_tail_bytes,
        "commit log recovered"
    );
    if !settled.is_empty() {
        let _ = log.append(&mut settled, false);
    }
    Ok(log)
}

/// Sets the timers of recovered queues and asks for their heads.
pub(crate) fn start_timers(broker: &Broker, now_ms: u64) {
    let mut turn = Turn::new(now_ms);
    for vhost in broker.vhosts() {
        for queue in vhost.queues() {
            queue.touch(&mut turn);
        }
        for store in vhost.delay_stores() {
            store.plan_release(&mut turn);
        }
    }
    broker.finish(&mut turn);
}
