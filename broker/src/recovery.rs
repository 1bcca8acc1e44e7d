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
use crate::message::{CHUNK_TARGET_BYTES, Chunk, FLAG_PERSISTENT, Message};
use crate::publish::read_record;
use crate::queue::{Entry, Queue, QueueDefinition, QueueHandle};
use crate::stats::ExchangeStats;
use crate::turn::Turn;
use crate::vhost::{BindingRequest, Exchange, Vhost};

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
        let parsed =
            parse_queue_arguments(queue, name, &def.arguments, true, false, def.auto_delete);
        match parsed {
            Ok(settings) => {
                let (settings, policy) = vhost.under_policy(queue, settings, &def.arguments);
                let arguments = def.arguments.clone();
                let queue = Queue::new_in(definition, arguments, settings, now_ms, vhost.stats());
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
    vhost
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
        transient: |flags| flags & FLAG_PERSISTENT == 0,
        ..LogOptions::default()
    }
}

/// The messages of one queue while they are read back: the open chunk and what is in it.
#[derive(Default)]
struct Reading {
    chunk: Chunk,
    chunk_ms: u64,
    /// Number and index in the open chunk.
    waiting: Vec<(u64, u32)>,
    entries: Vec<Entry>,
    /// Numbers whose messages cannot be read.
    lost: Vec<u64>,
}

impl Reading {
    fn take(&mut self, stored: Stored<'_>, queue: &RecoveredQueue) {
        let (seq, enqueued_ms, flags, payload) = match stored {
            Stored::Message {
                seq,
                enqueued_ms,
                flags,
                payload,
            } => (seq, enqueued_ms, flags, payload),
            Stored::Lost {
                seq,
                segment,
                offset,
            } => {
                tracing::error!(
                    queue = queue.queue.0,
                    seq,
                    segment,
                    offset,
                    "a message is damaged on disk and lost"
                );
                return self.lost.push(seq);
            }
        };
        let Some((meta, [address, header, body])) = read_record(flags, payload) else {
            return self.lost.push(seq);
        };
        if enqueued_ms != self.chunk_ms || self.chunk.bytes() >= CHUNK_TARGET_BYTES {
            self.close_chunk(queue);
            self.chunk_ms = enqueued_ms;
        }
        let index = self.chunk.push(address, header, body, meta);
        self.waiting.push((seq, index));
    }

    fn close_chunk(&mut self, queue: &RecoveredQueue) {
        let chunk = std::mem::take(&mut self.chunk).share(self.chunk_ms);
        for (seq, index) in self.waiting.drain(..) {
            let count = queue.counts.binary_search_by_key(&seq, |(seq, _)| *seq);
            let deliveries = count.map_or(0, |at| queue.counts[at].1);
            self.entries.push(Entry {
                seq,
                message: Message::new(&chunk, index),
                logged: true,
                deliveries: u16::try_from(deliveries).unwrap_or(u16::MAX),
                redelivered: queue.delivered_up_to >= Some(seq),
                level: 0,
                deadline_ms: u64::MAX,
            });
        }
    }
}

/// All of a queue's messages; those that cannot be read any more are settled in `settled`.
fn read_queue(
    log: &MessageLog,
    queue: &RecoveredQueue,
    settled: &mut Batch,
) -> Result<Vec<Entry>, ReadError> {
    let limit = ReadLimit {
        messages: 4096,
        bytes: 1 << 20,
    };
    let (mut reading, mut from) = (Reading::default(), 0);
    while let ReadEnd::Next(next) =
        log.read(queue.queue, from, queue.highest, limit, &mut |stored| {
            reading.take(stored, queue);
        })?
    {
        from = next;
    }
    reading.close_chunk(queue);
    for seq in reading.lost {
        settled.settle(queue.queue, seq);
    }
    Ok(reading.entries)
}

/// Opens the commit log and puts its live messages into their queues.
pub(crate) fn recover_messages(
    shared: &Shared,
    dir: &DataDir,
    durability: Durability,
    vhosts: &DashMap<String, Arc<Vhost>>,
    now_ms: u64,
) -> Result<MessageLog, OpenError> {
    let all = vhosts.iter().flat_map(|vhost| vhost.queues());
    let queues: FxHashMap<QueueId, Arc<Queue>> = all.map(|queue| (queue.id(), queue)).collect();
    let options = LogOptions {
        durability,
        ..log_options()
    };
    let (log, report) = MessageLog::open(dir, options)?;
    // With definitions lost to damage, an unknown queue may be one of the lost: keep its messages.
    let keep_unknown = !shared.catalog.damage().is_empty();
    let mut settled = Batch::new();
    for found in &report.queues {
        // A number the log knows is never given out again, even if its declare was lost.
        shared
            .next_durable_queue
            .fetch_max(found.queue.0 + 1, Ordering::Relaxed);
        let Some(queue) = queues.get(&found.queue) else {
            for (first, last) in found.live.iter().filter(|_| !keep_unknown) {
                settled.settle_range(found.queue, *first, *last);
            }
            continue;
        };
        queue.number_above(found.highest);
        let entries =
            read_queue(&log, found, &mut settled).map_err(|error| OpenError::Unreadable {
                path: dir.path(),
                source: std::io::Error::other(error),
            })?;
        queue.recover(entries, now_ms);
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

/// Sets the timers of recovered queues.
pub(crate) fn start_timers(broker: &Broker, now_ms: u64) {
    let mut turn = Turn::new(now_ms);
    for vhost in broker.vhosts() {
        for queue in vhost.queues() {
            queue.touch(&mut turn);
        }
    }
    broker.finish(&mut turn);
}
