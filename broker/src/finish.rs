//! The end of a turn: dead letters, settlements, auto-delete, timers.

use std::sync::Arc;

use warren_amqp::{make_address, parse_content_header, parse_properties};
use warren_storage::Batch;

use crate::broker::Broker;
use crate::contained::contained;
use crate::dead_letter::{Death, DeathReason, dead_letter_header, extra_keys, is_cycle};
use crate::message::{Chunk, FLAG_BCC, FLAG_EXPIRES, Message, Meta};
use crate::notices::{Happening, Passing};
use crate::publish::{lasting as lasting_meta, paged_only, record};
use crate::queue::{DeadLetter, Logged, Queue};
use crate::route::{Found, lookup};
use crate::stats::add;
use crate::turn::{Dead, Turn};
use crate::vhost::Vhost;

/// Queues expired by one tick of the timers before others get a chance.
const DUE_AT_ONCE: usize = 256;

/// When a queue is looked at again whose expiry has failed.
const AGAIN_MS: u64 = 5000;

impl Broker {
    /// Carries out what queues left in `turn`. Call it with no lock held; the turn is idle
    /// afterwards.
    pub fn finish(&self, turn: &mut Turn) {
        while !turn.is_idle() {
            while let Some(dead) = turn.dead.pop_front() {
                self.dead_letter(dead, turn);
            }
            for replay in std::mem::take(&mut turn.replays) {
                self.replay(replay, turn);
            }
            for (deadline, queue) in std::mem::take(&mut turn.deadlines) {
                self.timers().set(deadline, &queue);
            }
            for queue in turn.gone.drain(..) {
                self.timers().forget(queue);
            }
            for queue in std::mem::take(&mut turn.unused) {
                if let Some(vhost) = self.vhost(&queue.definition().vhost) {
                    // Refused when somebody consumes from it again.
                    let _ = vhost.remove_queue(&queue, true, false, turn);
                }
            }
            if turn.dead.is_empty() && !turn.log.is_empty() {
                // On failure the log is poisoned and says so itself; what is settled in memory
                // may come back after a restart, which is what an unsynced ack allows.
                let _ = self.log().append(&mut turn.log, false);
                turn.log.clear();
            }
        }
    }

    /// Expires what is due at the turn's time. What fails for one queue does not keep the others
    /// from it; those that were due with it are looked at again soon.
    pub fn tick(&self, turn: &mut Turn) {
        let due = self.timers().take_due(turn.now_ms(), DUE_AT_ONCE);
        let mut failed = false;
        for queue in &due {
            let expired = contained("the expiry of a queue", || self.expire(queue, turn));
            failed |= expired.is_none();
        }
        failed |= contained("the end of an expiry", || self.finish(turn)).is_none();
        if failed {
            for queue in &due {
                self.timers().set(turn.now_ms() + AGAIN_MS, queue);
            }
        }
    }

    fn expire(&self, queue: &Arc<Queue>, turn: &mut Turn) {
        if queue.is_delay_store() {
            self.release(queue, turn);
        } else if queue.expire(turn)
            && let Some(vhost) = self.vhost(&queue.definition().vhost)
        {
            let _ = vhost.remove_queue(queue, true, false, turn);
        }
    }

    /// Sends a dead message on, then settles it; one that finds no place may stay in its queue.
    fn dead_letter(&self, dead: Dead, turn: &mut Turn) {
        let Dead {
            queue,
            entry,
            reason,
        } = dead;
        if let Some(target) = queue.dead_letter()
            && let Some(vhost) = self.vhost(&queue.definition().vhost)
        {
            let from = (&*queue, &*target);
            let Some(went_to) = self.send_on(&vhost, from, &entry.message, reason, turn) else {
                return queue.retain(entry, reason, turn);
            };
            tell_of_death(&vhost, &queue, (&entry.message, reason), &went_to, turn);
        }
        self.count_dead(&queue, reason);
        if entry.logged() {
            turn.log.settle(queue.id(), entry.seq);
        }
    }

    /// Publishes a dead message to its queue's dead-letter exchange and says where it went. The new
    /// copies go to the log before it is settled: a crash in between duplicates, never loses. `None`
    /// when there is no place for it, or one that is full, and the queue wants it to arrive (row
    ///
    fn send_on(
        &self,
        vhost: &Vhost,
        (queue, target): (&Queue, &DeadLetter),
        message: &Message,
        reason: DeathReason,
        turn: &mut Turn,
    ) -> Option<Vec<Arc<Queue>>> {
        let (exchange, key) = (target.exchange.as_str(), target.routing_key.as_deref());
        let dropped = (!target.at_least_once).then(Vec::new);
        if !exchange.is_empty() && vhost.exchange(exchange).is_err() {
            return dropped;
        }
        let death = Death {
            queue: queue.name(),
            reason,
            time: turn.now_ms() / 1000,
            exchange: message.exchange(),
            routing_key: message.routing_key(),
            has_dead_letter_key: key.is_some(),
        };
        let Ok(header) = dead_letter_header(message.header(), &death) else {
            return Some(Vec::new());
        };
        let mut found = dead_targets(vhost, exchange, key, message, &header);
        let n = found.targets.len();
        found
            .targets
            .retain(|target| !is_cycle(&header, target.name()));
        let in_circle = found.targets.len() < n;
        if target.at_least_once && !has_place(&found, message) {
            return None;
        }
        if in_circle {
            tracing::warn!(
                queue = queue.name(),
                vhost = %vhost.name(),
                "a dead message was dropped: it would go round in a circle"
            );
        }
        let meta = message.meta();
        let meta = Meta {
            flags: meta.flags & !(FLAG_EXPIRES | FLAG_BCC),
            expiration_ms: 0,
            ..meta
        };
        let mut address = Vec::new();
        make_address(&mut address, exchange, key.unwrap_or(message.routing_key()));
        let chunk = Chunk::single(&address, &header, message.body(), meta, turn.now_ms());
        let taken = self.enqueue_single(&chunk, &found, turn);
        (taken || !target.at_least_once).then_some(found.targets)
    }

    fn count_dead(&self, queue: &Queue, reason: DeathReason) {
        let surely = queue.dead_letter().is_some_and(|to| to.at_least_once);
        let dead = &self.stats().dead_lettered[usize::from(surely)];
        let counter = match reason {
            DeathReason::Expired => &dead.expired,
            DeathReason::Rejected => &dead.rejected,
            DeathReason::MaxLen => &dead.maxlen,
            DeathReason::DeliveryLimit => &dead.delivery_limit,
        };
        add(counter, 1);
    }

    /// Brings the one message of `chunk` everywhere it goes, logged where it must be. False when a
    /// queue refused it.
    pub(crate) fn enqueue_single(
        &self,
        chunk: &Arc<Chunk>,
        found: &Found,
        turn: &mut Turn,
    ) -> bool {
        for history in &found.histories {
            history.remember(chunk, 0, 1);
        }
        let targets = &found.targets;
        let (meta, parts) = (chunk.meta(0), chunk.parts(0));
        let (mut lasting, mut paged) = (Vec::new(), Vec::new());
        let mut numbered = Vec::with_capacity(targets.len());
        for queue in targets {
            let seq = queue.reserve_seqs(1);
            let logged = if queue.durable() && (queue.stores_all() || meta.persistent()) {
                lasting.push((queue.id(), seq));
                Logged::All
            } else if queue.pages() {
                paged.push((queue.id(), seq));
                Logged::All
            } else {
                Logged::None
            };
            numbered.push((queue, seq, logged));
        }
        let mut in_log = true;
        if !lasting.is_empty() || !paged.is_empty() {
            let mut log = Batch::new();
            let now_ms = turn.now_ms();
            record(&mut log, &lasting, lasting_meta(meta), parts, now_ms);
            record(&mut log, &paged, paged_only(meta), parts, now_ms);
            in_log = self.log().append(&mut log, false).is_ok();
        }
        let mut rejected = Vec::new();
        for (queue, seq, logged) in numbered {
            let logged = if in_log { logged } else { Logged::None };
            queue.enqueue(chunk, &[(0, 1)], seq, logged, turn, &mut rejected);
        }
        rejected.is_empty()
    }
}

/// Tells those who look on of a death.
fn tell_of_death(
    vhost: &Vhost,
    queue: &Arc<Queue>,
    (message, reason): (&Message, DeathReason),
    went_to: &[Arc<Queue>],
    turn: &Turn,
) {
    let died_in = (queue.id(), queue.name());
    let first = went_to.first().map(|target| target.name());
    let lately = &vhost.stats().dead;
    lately.note(died_in, reason, first, turn.now_ms());
    if !vhost.watched() {
        return;
    }
    let name = |queue: &Arc<Queue>| queue.name().to_owned();
    let to: Vec<String> = went_to.iter().map(name).collect();
    let died = || Happening::Died(name(queue), reason.as_str(), to.clone());
    let passing = Passing {
        exchange: message.exchange(),
        routing_key: message.routing_key(),
        body: message.body(),
        client: None,
    };
    vhost.viewers().see(passing, died);
}

/// Whether there is a queue for a dead message, and none that would refuse it: one that has it
/// already would get it again with each attempt.
fn has_place(found: &Found, message: &Message) -> bool {
    let bytes = message.body_len() as u64;
    let mut targets = found.targets.iter();
    !found.targets.is_empty() && !targets.any(|target| target.would_refuse(bytes))
}

/// Where a dead message goes: by the dead-letter key if there is one, else by its own keys, CC and
/// BCC included.
fn dead_targets(
    vhost: &Vhost,
    exchange: &str,
    key: Option<&str>,
    message: &Message,
    header: &[u8],
) -> Found {
    let properties = |header| {
        let properties = parse_content_header(header).and_then(|h| parse_properties(h.properties));
        properties.unwrap_or_default()
    };
    let extra = match key {
        Some(_) => None,
        None => extra_keys(properties(message.header()).headers)
            .ok()
            .flatten(),
    };
    let mut keys = vec![key.unwrap_or(message.routing_key())];
    if let Some(extra) = &extra {
        keys.extend(extra.cc.iter().chain(&extra.bcc).map(String::as_str));
    }
    lookup(vhost, exchange, &keys, &properties(header)).0
}
