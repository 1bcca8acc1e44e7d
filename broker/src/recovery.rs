//! Start-up: vhosts, queues and bindings from the catalog, messages from the commit log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::DashMap;
use rustc_hash::FxHashMap;
use warren_exchanges::{Destination, ExchangeKind};
use warren_storage::{Batch, DataDir, LogOptions, MessageLog, OpenError, QueueId};

use crate::arguments::{alternate_exchange, parse_queue_arguments};
use crate::broker::{Broker, Shared};
use crate::message::{CHUNK_TARGET_BYTES, Chunk, Message};
use crate::publish::read_record;
use crate::queue::{Entry, Queue, QueueDefinition, QueueHandle};
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
            arguments: def.arguments.clone(),
        };
        let parsed =
            parse_queue_arguments(queue, name, &def.arguments, true, false, def.auto_delete);
        match parsed {
            Ok(settings) => vhost.install_queue(Queue::new(definition, settings, now_ms)),
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

/// Messages recovered so far: the open chunk and what each queue gets.
struct Recovered {
    queues: FxHashMap<QueueId, (Arc<Queue>, Vec<Entry>)>,
    chunk: Chunk,
    chunk_ms: u64,
    /// Entries of messages still in the open chunk: queue and everything but the message.
    waiting: Vec<(QueueId, u32, Waiting)>,
    /// Settlements of messages whose queue is gone.
    orphans: Batch,
    messages: u64,
}

/// The parts of an entry that do not need the chunk closed.
struct Waiting {
    seq: u64,
    segment: u32,
    redelivered: bool,
    deliveries: u16,
}

impl Recovered {
    fn take(&mut self, found: &warren_storage::RecoveredMessage<'_>) {
        let Some((meta, parts)) = read_record(found.flags, found.payload) else {
            return;
        };
        if found.enqueued_ms != self.chunk_ms || self.chunk.bytes() >= CHUNK_TARGET_BYTES {
            self.close_chunk();
            self.chunk_ms = found.enqueued_ms;
        }
        let mut index = None;
        for target in found.targets {
            if !self.queues.contains_key(&target.queue) {
                self.orphans.settle(target.queue, target.seq, found.segment);
                continue;
            }
            let [address, header, body] = parts;
            let index = *index.get_or_insert_with(|| self.chunk.push(address, header, body, meta));
            let entry = Waiting {
                seq: target.seq,
                segment: found.segment,
                redelivered: target.redelivered,
                deliveries: u16::try_from(target.delivery_count).unwrap_or(u16::MAX),
            };
            self.waiting.push((target.queue, index, entry));
            self.messages += 1;
        }
    }

    fn close_chunk(&mut self) {
        let chunk = std::mem::take(&mut self.chunk).share(self.chunk_ms);
        for (queue, index, entry) in self.waiting.drain(..) {
            let Some((_, entries)) = self.queues.get_mut(&queue) else {
                continue;
            };
            entries.push(Entry {
                seq: entry.seq,
                message: Message::new(&chunk, index),
                segment: entry.segment,
                deliveries: entry.deliveries,
                redelivered: entry.redelivered,
                level: 0,
                deadline_ms: u64::MAX,
            });
        }
    }
}

/// Opens the commit log and puts its live messages into their queues.
pub(crate) fn recover_messages(
    shared: &Shared,
    dir: &DataDir,
    options: LogOptions,
    vhosts: &DashMap<String, Arc<Vhost>>,
    now_ms: u64,
) -> Result<MessageLog, OpenError> {
    let all = vhosts.iter().flat_map(|vhost| vhost.queues());
    let mut recovered = Recovered {
        queues: all.map(|queue| (queue.id(), (queue, Vec::new()))).collect(),
        chunk: Chunk::default(),
        chunk_ms: 0,
        waiting: Vec::new(),
        orphans: Batch::new(),
        messages: 0,
    };
    let (log, report) = MessageLog::open(dir, options, &mut |found| recovered.take(&found))?;
    recovered.close_chunk();
    for damage in &report.damaged {
        let warren_storage::Damage {
            segment,
            offset,
            len,
        } = *damage;
        tracing::error!(
            segment,
            offset,
            len,
            "damaged bytes in the commit log were skipped"
        );
    }
    for (queue, seq) in &report.highest_seqs {
        // A number the log knows is never given out again, even if its declare was lost.
        shared
            .next_durable_queue
            .fetch_max(queue.0 + 1, Ordering::Relaxed);
        if let Some((queue, _)) = recovered.queues.get(queue) {
            queue.number_above(*seq);
        }
    }
    tracing::info!(
        messages = recovered.messages,
        segments = report.segments,
        cut_tail_bytes = report.cut_tail_bytes,
        "commit log recovered"
    );
    // With definitions lost to damage, an unknown queue may be one of the lost: keep its messages.
    if !recovered.orphans.is_empty() && shared.catalog.damage().is_empty() {
        let _ = log.append(&mut recovered.orphans, false);
    }
    for (queue, entries) in recovered.queues.into_values() {
        queue.recover(entries, now_ms);
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
