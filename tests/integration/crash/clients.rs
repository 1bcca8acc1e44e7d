//! Clients that work until the broker goes away, and remember what was promised to them.

use super::{FANOUT, QUEUES, TX_QUEUES, body::Id, body::TX_PUBLISHER};
use crate::{dialogue::*, random::Random};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// How many messages a publisher has unconfirmed at most.
const WINDOW: usize = 400;
const A_MOMENT: Duration = Duration::from_millis(1);
const A_WHILE: Duration = Duration::from_millis(50);

/// What one publisher sent and was told.
pub(crate) struct Published {
    pub(crate) id: u32,
    /// The queues of each message, in order.
    pub(crate) targets: Vec<&'static [&'static str]>,
    pub(crate) confirmed: BTreeSet<u32>,
}

/// What one consumer was given and did with it.
#[derive(Default)]
pub(crate) struct Consumed {
    pub(crate) queue: &'static str,
    /// An ack was sent, or at least tried.
    pub(crate) acked: BTreeSet<Id>,
    /// The ack is part of a transaction answered with commit-ok.
    pub(crate) acked_for_good: BTreeSet<Id>,
    pub(crate) deliveries: usize,
}

/// What the transactional client did: transaction `n` publishes message `2n` to both queues and
/// message `2n + 1` to the first.
#[derive(Default)]
pub(crate) struct Transactions {
    pub(crate) begun: u32,
    pub(crate) committed: BTreeSet<u32>,
    /// Rolled back, or about to be when the broker went away.
    pub(crate) rolled_back: BTreeSet<u32>,
}

/// Clients are made ready before the clock runs, so that it strikes while they work.
fn client(addr: SocketAddr) -> Peer {
    let mut c = Peer::connect(addr);
    c.quiet();
    c.log_in(&Login::default());
    c.open_channel(1);
    c
}

/// A client that publishes with confirms.
pub(crate) fn publisher(addr: SocketAddr) -> Peer {
    let mut c = client(addr);
    c.call(1, confirm_select());
    c
}

/// A client that consumes from `queue`.
pub(crate) fn consumer(addr: SocketAddr, queue: &str) -> Peer {
    let mut c = client(addr);
    c.call(1, qos(100));
    c.call(1, consume(queue, "t"));
    c
}

/// A client in a transaction.
pub(crate) fn transactor(addr: SocketAddr) -> Peer {
    let mut c = client(addr);
    c.call(1, tx::Select {});
    c
}

/// A client in a transaction that consumes from `queue`.
pub(crate) fn transactional_consumer(addr: SocketAddr, queue: &str) -> Peer {
    let mut c = transactor(addr);
    c.call(1, qos(200));
    c.call(1, consume(queue, "t"));
    c
}

/// All frames of one persistent message.
fn publish_frames(exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let mut frames = method_frame(publish(exchange, key));
    let persistent = properties().with_delivery_mode(2);
    frames.extend(encode(
        HEADER,
        1,
        &header_payload(body.len() as u64, &persistent),
    ));
    for part in body.chunks(131_064) {
        frames.extend(encode(BODY, 1, part));
    }
    frames
}

/// Publishes with confirms, in bursts, to one queue or to all behind the fanout exchange.
pub(crate) fn publish_with_confirms(
    mut c: Peer,
    round: u32,
    id: u32,
    mut random: Random,
) -> Published {
    let mut published = Published {
        id,
        targets: Vec::new(),
        confirmed: BTreeSet::new(),
    };
    let mut pending: BTreeSet<u64> = BTreeSet::new();
    loop {
        let mut burst = Vec::new();
        for _ in 0..=random.below(40) {
            let n = published.targets.len() as u32;
            let message = Id {
                round,
                publisher: id,
                n,
            }
            .body();
            if random.one_in(3) {
                published.targets.push(&QUEUES[..2]);
                burst.extend(publish_frames(FANOUT, "", &message));
            } else {
                let queue = 2 + random.below(2);
                published.targets.push(&QUEUES[queue..=queue]);
                burst.extend(publish_frames("", QUEUES[queue], &message));
            }
            pending.insert(u64::from(n) + 1);
        }
        if !c.try_send_bytes(&burst) {
            // What had been confirmed may still wait in the socket.
            while read_confirm(&mut c, A_WHILE, &mut pending, &mut published) == Some(true) {}
            return published;
        }
        loop {
            let time = if pending.len() > WINDOW {
                A_WHILE
            } else {
                A_MOMENT
            };
            match read_confirm(&mut c, time, &mut pending, &mut published) {
                Some(true) => {}
                Some(false) if pending.len() > WINDOW => {}
                Some(false) => break,
                None => return published,
            }
        }
    }
}

/// Whether a confirm was read; `None` when the broker is gone.
fn read_confirm(
    c: &mut Peer,
    time: Duration,
    pending: &mut BTreeSet<u64>,
    published: &mut Published,
) -> Option<bool> {
    let ack = match c.listen(time) {
        Event::Frame(Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))) => ack,
        // an orderly stop says so
        Event::Frame(Frame::Method(0, _)) | Event::Gone => return None,
        Event::Nothing => return Some(false),
        other => panic!("a publisher got {other:?}"),
    };
    let first = if ack.multiple { 0 } else { ack.delivery_tag };
    let tags: Vec<u64> = pending.range(first..=ack.delivery_tag).copied().collect();
    assert!(
        !tags.is_empty(),
        "{ack:?} confirms what was not sent or already confirmed"
    );
    for tag in tags {
        pending.remove(&tag);
        published.confirmed.insert(tag as u32 - 1);
    }
    Some(true)
}

/// Reads deliveries, checking that each publisher's come in order.
struct Inbox {
    c: Peer,
    open: Option<(basic::Deliver, Option<u64>, Vec<u8>)>,
    newest: BTreeMap<u32, u32>,
}

/// What an inbox gave.
enum Got {
    Message { tag: u64, id: Id, redelivered: bool },
    CommitOk,
    Nothing,
    Gone,
}

impl Inbox {
    fn next(&mut self, time: Duration) -> Got {
        loop {
            match self.c.listen(time) {
                Event::Gone | Event::Frame(Frame::Method(0, _)) => return Got::Gone,
                Event::Nothing => return Got::Nothing,
                Event::Frame(Frame::Method(1, AMQPClass::Tx(tx::AMQPMethod::CommitOk(_)))) => {
                    return Got::CommitOk;
                }
                Event::Frame(Frame::Method(
                    1,
                    AMQPClass::Basic(basic::AMQPMethod::Deliver(it)),
                )) => {
                    self.open = Some((it, None, Vec::new()));
                }
                Event::Frame(Frame::Header(1, header)) => {
                    self.open.as_mut().expect("a delivery").1 = Some(header.body_size);
                }
                Event::Frame(Frame::Body(1, part)) => {
                    self.open.as_mut().expect("a delivery").2.extend(part);
                }
                Event::Frame(Frame::Heartbeat) => {}
                other => panic!("a consumer got {other:?}"),
            }
            if let Some(got) = self.complete() {
                return got;
            }
        }
    }

    fn complete(&mut self) -> Option<Got> {
        let (_, size, body) = self.open.as_ref()?;
        if *size != Some(body.len() as u64) {
            return None;
        }
        let (deliver, _, body) = self.open.take()?;
        let (id, redelivered) = (Id::of(&body), deliver.redelivered);
        if !redelivered {
            let newest = self.newest.insert(id.publisher, id.n);
            assert!(
                newest.is_none_or(|n| n < id.n),
                "{id:?} comes after {newest:?}"
            );
        }
        Some(Got::Message {
            tag: deliver.delivery_tag,
            id,
            redelivered,
        })
    }
}

/// A consumer that acks most of what it gets, one by one or together, requeues some, and holds
/// on to some.
pub(crate) fn consume_with_acks(c: Peer, queue: &'static str, mut random: Random) -> Consumed {
    let mut consumed = Consumed {
        queue,
        ..Consumed::default()
    };
    let mut inbox = Inbox {
        c,
        open: None,
        newest: BTreeMap::new(),
    };
    let mut held: BTreeMap<u64, Id> = BTreeMap::new();
    loop {
        let (tag, id, redelivered) = match inbox.next(A_WHILE) {
            Got::Message {
                tag,
                id,
                redelivered,
            } => (tag, id, redelivered),
            Got::Nothing | Got::CommitOk => continue,
            Got::Gone => return consumed,
        };
        consumed.deliveries += 1;
        held.insert(tag, id);
        let answer = match random.below(20) {
            _ if held.len() > 60 => settle(&mut held, &mut consumed, tag, true),
            0..=13 => settle(&mut held, &mut consumed, tag, false),
            14 => settle(&mut held, &mut consumed, tag, true),
            15 if !redelivered => {
                held.remove(&tag);
                method_frame(nack(tag))
            }
            _ => continue,
        };
        // When the broker is gone, what it said before is still read.
        inbox.c.try_send_bytes(&answer);
    }
}

/// Takes down acks, and gives the frame that says so.
fn settle(
    held: &mut BTreeMap<u64, Id>,
    consumed: &mut Consumed,
    delivery_tag: u64,
    multiple: bool,
) -> Vec<u8> {
    let first = if multiple { 0 } else { delivery_tag };
    let tags: Vec<u64> = held
        .range(first..=delivery_tag)
        .map(|(tag, _)| *tag)
        .collect();
    for tag in tags {
        consumed.acked.extend(held.remove(&tag));
    }
    method_frame(basic::Ack {
        delivery_tag,
        multiple,
    })
}

/// A consumer that acks in transactions.
pub(crate) fn consume_in_transactions(
    c: Peer,
    queue: &'static str,
    mut random: Random,
) -> Consumed {
    let mut consumed = Consumed {
        queue,
        ..Consumed::default()
    };
    let mut inbox = Inbox {
        c,
        open: None,
        newest: BTreeMap::new(),
    };
    let mut held: BTreeMap<u64, Id> = BTreeMap::new();
    // Acked in the transaction that waits for its commit-ok.
    let mut committing: Vec<Id> = Vec::new();
    loop {
        let tag = match inbox.next(A_WHILE) {
            Got::Message { tag, id, .. } => {
                consumed.deliveries += 1;
                held.insert(tag, id);
                tag
            }
            Got::CommitOk => {
                consumed.acked_for_good.extend(committing.drain(..));
                continue;
            }
            Got::Nothing => continue,
            Got::Gone => return consumed,
        };
        if committing.is_empty() && held.len() > random.below(40) {
            committing.extend(held.values());
            let mut frames = settle(&mut held, &mut consumed, tag, true);
            frames.extend(method_frame(tx::Commit {}));
            inbox.c.try_send_bytes(&frames);
        }
    }
}

/// Publishes in transactions to two queues at once.
pub(crate) fn transact(mut c: Peer, round: u32, mut random: Random) -> Transactions {
    let mut done = Transactions::default();
    loop {
        let n = done.begun * 2;
        let first = Id {
            round,
            publisher: TX_PUBLISHER,
            n,
        }
        .body();
        let second = Id {
            round,
            publisher: TX_PUBLISHER,
            n: n + 1,
        }
        .body();
        let mut frames = publish_frames("", TX_QUEUES[0], &first);
        frames.extend(publish_frames("", TX_QUEUES[1], &first));
        frames.extend(publish_frames("", TX_QUEUES[0], &second));
        let rollback = random.one_in(5);
        let end = if rollback {
            method_frame(tx::Rollback {})
        } else {
            method_frame(tx::Commit {})
        };
        frames.extend(end);
        if rollback {
            done.rolled_back.insert(done.begun);
        }
        done.begun += 1;
        c.try_send_bytes(&frames);
        loop {
            match c.listen(A_WHILE) {
                Event::Frame(Frame::Method(1, AMQPClass::Tx(tx::AMQPMethod::CommitOk(_)))) => {
                    done.committed.insert(done.begun - 1);
                    break;
                }
                Event::Frame(Frame::Method(1, AMQPClass::Tx(tx::AMQPMethod::RollbackOk(_)))) => {
                    break;
                }
                Event::Nothing => {}
                Event::Gone | Event::Frame(Frame::Method(0, _)) => return done,
                other => panic!("a transactional client got {other:?}"),
            }
        }
    }
}
