//! Takes everything out of the queues, for good: acks in a transaction that is committed, so that
//! a message seen again in a later round is one that came back from the dead.

use super::{QUEUES, TX_QUEUES, body::Id};
use crate::dialogue::*;
use std::{collections::BTreeMap, net::SocketAddr};

/// What a queue held: messages in order, each with its redelivered flag.
pub(crate) type Found = BTreeMap<&'static str, Vec<(Id, bool)>>;

pub(crate) fn all(addr: SocketAddr) -> Found {
    QUEUES
        .iter()
        .chain(&TX_QUEUES)
        .map(|queue| (*queue, drain(addr, queue)))
        .collect()
}

fn drain(addr: SocketAddr, queue: &str) -> Vec<(Id, bool)> {
    let mut c = Peer::connect(addr);
    c.quiet();
    c.log_in(&Login::default());
    c.open_channel(1);
    c.call(1, tx::Select {});
    let count = c.call(1, declare_passive(queue)).message_count;
    c.call(1, consume(queue, "t"));
    let mut found = Vec::new();
    for _ in 0..count {
        let message = c.expect_deliver(1);
        found.push((Id::of(&message.body), message.method.redelivered));
    }
    c.send(1, ack_up_to(0));
    c.call(1, tx::Commit {});
    // Nothing was hidden behind the count.
    c.call(1, cancel("t"));
    assert_eq!(
        c.call(1, declare_passive(queue)).message_count,
        0,
        "{queue} after the drain"
    );
    found
}
