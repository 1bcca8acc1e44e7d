//! What was promised in a round, and whether it was kept.

use super::{
    QUEUES, TX_QUEUES,
    body::{Id, TX_PUBLISHER},
    clients::{Consumed, Published, Transactions},
    definitions::Definitions,
    drain::Found,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Ledger {
    pub(crate) round: u32,
    pub(crate) publishers: Vec<Published>,
    pub(crate) consumed: Vec<Consumed>,
    pub(crate) transactions: Transactions,
    pub(crate) definitions: Definitions,
}

impl Ledger {
    pub(crate) fn summary(&self, found: &Found) -> String {
        let sent: usize = self.publishers.iter().map(|p| p.targets.len()).sum();
        let confirmed: usize = self.publishers.iter().map(|p| p.confirmed.len()).sum();
        let acked: usize = self.consumed.iter().map(|c| c.acked.len()).sum();
        let deliveries: usize = self.consumed.iter().map(|c| c.deliveries).sum();
        let left: usize = found.values().map(Vec::len).sum();
        format!(
            "{sent} sent, {confirmed} confirmed, {deliveries} delivered, {acked} acked, {} \
             transactions, {left} found",
            self.transactions.committed.len()
        )
    }

    pub(crate) fn check(&self, found: &Found) {
        for queue in QUEUES {
            self.check_queue(queue, &found[queue]);
        }
        self.check_transactions(found);
    }

    fn check_queue(&self, queue: &str, found: &[(Id, bool)]) {
        let place: BTreeMap<Id, bool> = found.iter().copied().collect();
        assert_eq!(place.len(), found.len(), "{queue} holds a message twice");
        self.check_order(queue, found);

        let nothing = Consumed::default();
        let consumed = self
            .consumed
            .iter()
            .find(|c| c.queue == queue)
            .unwrap_or(&nothing);
        for publisher in &self.publishers {
            for n in &publisher.confirmed {
                let id = Id {
                    round: self.round,
                    publisher: publisher.id,
                    n: *n,
                };
                let there = place.contains_key(&id) || consumed.acked.contains(&id);
                let meant = publisher.targets[*n as usize].contains(&queue);
                assert!(
                    there || !meant,
                    "{id:?} was confirmed and is not in {queue}"
                );
            }
        }
        for id in &consumed.acked_for_good {
            assert!(
                !place.contains_key(id),
                "{id:?} is back in {queue} after commit-ok"
            );
        }
    }

    /// An ack that was lost with the broker may bring its message back, but only as redelivered.
    pub(crate) fn check_redelivered(&self, found: &Found) {
        for consumed in &self.consumed {
            for (id, redelivered) in &found[consumed.queue] {
                let fresh = consumed.acked.contains(id) && !redelivered;
                assert!(
                    !fresh,
                    "{id:?} is back in {}, acked, not redelivered",
                    consumed.queue
                );
            }
        }
    }

    /// What is left is what was published this round to this queue, in the order of publishing.
    fn check_order(&self, queue: &str, found: &[(Id, bool)]) {
        let mut newest: BTreeMap<u32, u32> = BTreeMap::new();
        for (id, _) in found {
            assert_eq!(
                id.round, self.round,
                "{queue}: {id:?} was taken out for good before"
            );
            let publisher = &self.publishers[id.publisher as usize];
            let meant = publisher
                .targets
                .get(id.n as usize)
                .is_some_and(|t| t.contains(&queue));
            assert!(meant, "{id:?} was not published to {queue}");
            let before = newest.insert(id.publisher, id.n);
            assert!(
                before.is_none_or(|n| n < id.n),
                "{queue}: {id:?} comes after {before:?}"
            );
        }
    }

    /// Each transaction is there whole or not at all.
    fn check_transactions(&self, found: &Found) {
        let ids = |queue| -> BTreeSet<Id> { found[queue].iter().map(|(id, _)| *id).collect() };
        let (a, b) = (ids(TX_QUEUES[0]), ids(TX_QUEUES[1]));
        for queue in TX_QUEUES {
            assert!(
                found[queue].is_sorted_by_key(|(id, _)| id.n),
                "{queue} is out of order"
            );
            assert!(
                found[queue].iter().all(|(id, _)| id.round == self.round),
                "{queue}: old ones"
            );
        }
        let mut seen = 0;
        for transaction in 0..self.transactions.begun {
            let n = transaction * 2;
            let id = |n| Id {
                round: self.round,
                publisher: TX_PUBLISHER,
                n,
            };
            let parts = [
                a.contains(&id(n)),
                b.contains(&id(n)),
                a.contains(&id(n + 1)),
            ];
            assert!(
                parts == [true; 3] || parts == [false; 3],
                "half a transaction: {parts:?}"
            );
            seen += usize::from(parts[0]);
            if self.transactions.committed.contains(&transaction) {
                assert!(
                    parts[0],
                    "transaction {transaction} was committed and is gone"
                );
            }
            if self.transactions.rolled_back.contains(&transaction) {
                assert!(
                    !parts[0],
                    "transaction {transaction} was rolled back and is there"
                );
            }
        }
        assert_eq!(seen * 3, a.len() + b.len(), "messages of no transaction");
    }
}
