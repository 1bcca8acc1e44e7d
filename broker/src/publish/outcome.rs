//! What came of a batch: its counts, and what may be confirmed when.

use std::sync::Arc;

use warren_storage::Position;

use super::{Outcome, PublishBatch, Published, Run};
use crate::stats::{Event, NodeStats, add};

impl PublishBatch {
    /// Counts the batch: per channel for the caller, per exchange, for the vhost and the node.
    pub(super) fn count(&mut self, node: &NodeStats, now_ms: u64) {
        self.published.clear();
        self.exchanges.clear();
        let pairs = node.sampler().keeps_pairs();
        let (mut confirmed, mut routed, mut lost) = (0, 0, 0);
        let mut runs = self.runs.iter().peekable();
        // Neighbours of one exchange and channel are counted together.
        let mut sum = Published::none(0);
        let mut out = 0;
        while let Some(run) = runs.next() {
            let route = &self.routes[run.route];
            let (n, targets) = (u64::from(run.n), route.targets().len() as u64);
            sum.channel = run.channel;
            sum.messages += n;
            match run.returned {
                true => sum.returned += n,
                false if targets == 0 => sum.dropped += n,
                false => out += n * targets,
            }
            confirmed += if run.first_confirm == 0 { 0 } else { n };
            let exchange = route.exchange();
            if pairs && let Some(exchange) = exchange {
                let queues = route.targets().iter();
                queues.for_each(|queue| queue.count_incoming(exchange, n));
            }
            let same = |next: &&Run| {
                let pair = self.routes[next.route].exchange().zip(exchange);
                next.channel == run.channel && pair.is_some_and(|(a, b)| Arc::ptr_eq(a, b))
            };
            if runs.peek().is_some_and(same) {
                continue;
            }
            if let Some(exchange) = exchange {
                exchange.count(sum.messages, out);
                let vhost = exchange.vhost();
                vhost.count(Event::Publish, sum.messages);
                vhost.count(Event::ReturnUnroutable, sum.returned);
                vhost.count(Event::DropUnroutable, sum.dropped);
            }
            lost += sum.returned + sum.dropped;
            self.published.push(sum);
            if pairs {
                self.exchanges.push(exchange.cloned());
            }
            routed += out;
            (sum, out) = (Published::none(0), 0);
        }
        add(&node.received_confirm, confirmed);
        add(&node.routed, routed);
        node.sizes.add(&std::mem::take(&mut self.sizes));
        if lost > 0 {
            self.note_unroutable(now_ms);
        }
    }

    /// Tells the vhost what of the batch reached no queue.
    #[cold]
    fn note_unroutable(&self, now_ms: u64) {
        let route = |run: &Run| &self.routes[run.route];
        let lost = |run: &&Run| run.returned || route(run).targets().is_empty();
        let runs = || self.runs.iter().filter(lost);
        // All of a batch come from one connection, so from one vhost.
        let vhost = runs().find_map(|run| route(run).exchange());
        if let Some(vhost) = vhost.map(|exchange| exchange.vhost()) {
            let runs = runs().map(|run| (route(run).address(), u64::from(run.n), run.returned));
            vhost.unroutable.note(runs, self.publisher, now_ms);
        }
    }

    /// Fills `outcomes`: the batch is safe once the log is durable up to `position`.
    pub(super) fn outcome(&mut self, position: Position) {
        for run in &self.runs {
            if run.first_confirm == 0 {
                continue;
            }
            let last = run.first_confirm + u64::from(run.n) - 1;
            let ack = |first, last| Outcome {
                channel: run.channel,
                confirms: (first, last),
                position,
                nack: false,
            };
            let mut first = run.first_confirm;
            if !self.rejected.is_empty() && !self.routes[run.route].targets().is_empty() {
                for index in self
                    .rejected
                    .iter()
                    .filter(|i| (run.start..run.start + run.n).contains(i))
                {
                    let confirm = run.first_confirm + u64::from(index - run.start);
                    if confirm > first {
                        self.outcomes.push(ack(first, confirm - 1));
                    }
                    self.outcomes.push(Outcome {
                        nack: true,
                        ..ack(confirm, confirm)
                    });
                    first = confirm + 1;
                }
            }
            if first <= last {
                self.outcomes.push(ack(first, last));
            }
        }
    }
}

impl Published {
    fn none(channel: u16) -> Self {
        Self {
            channel,
            messages: 0,
            returned: 0,
            dropped: 0,
        }
    }
}
