//! Publisher confirms and transactions: selecting the mode, commit and rollback.

use std::sync::atomic::Ordering;

use warren_amqp::ReplyError;
use warren_amqp::protocol::{AMQPClass, confirm, tx};
use warren_broker::stats::Event;

use super::channel::{Fate, Settlement, Tx};
use super::confirms::Confirms;
use super::fault::Fault;
use super::{Connection, unimplemented_method};
use crate::net::outbox::by_source;
use tx::AMQPMethod as TxMethod;

impl Connection {
    pub(super) fn confirm_class(
        &mut self,
        number: u16,
        method: confirm::AMQPMethod,
    ) -> Result<(), Fault> {
        let confirm::AMQPMethod::Select(select) = method else {
            return Err(unimplemented_method().into());
        };
        let channel = self.open(number)?;
        if channel.tx.is_some() {
            let text = "cannot switch from tx to confirm mode";
            return Err(ReplyError::precondition_failed(text).into());
        }
        channel.confirms.get_or_insert_with(Confirms::default);
        channel.live.confirm.store(true, Ordering::Relaxed);
        if !select.nowait {
            let ok = confirm::AMQPMethod::SelectOk(Default::default());
            self.send(number, &AMQPClass::Confirm(ok));
        }
        Ok(())
    }

    pub(super) fn tx_class(&mut self, number: u16, method: TxMethod) -> Result<(), Fault> {
        let answer = match method {
            TxMethod::Select(_) => {
                let channel = self.open(number)?;
                if channel.confirms.is_some() {
                    let text = "cannot switch from confirm to tx mode";
                    return Err(ReplyError::precondition_failed(text).into());
                }
                channel.tx.get_or_insert_with(Tx::default);
                channel.live.transactional.store(true, Ordering::Relaxed);
                TxMethod::SelectOk(Default::default())
            }
            TxMethod::Commit(_) => {
                self.commit(number)?;
                TxMethod::CommitOk(Default::default())
            }
            TxMethod::Rollback(_) => {
                self.rollback(number)?;
                TxMethod::RollbackOk(Default::default())
            }
            _ => return Err(unimplemented_method().into()),
        };
        self.send(number, &AMQPClass::Tx(answer));
        Ok(())
    }

    /// H-61 to H-66: publishes first, then acks, one record in the log; the answer waits for it.
    fn commit(&mut self, number: u16) -> Result<(), Fault> {
        let Tx {
            mut publishes,
            returns,
            settlements,
            ..
        } = self.take_tx(number)?;
        for returned in &returns {
            self.send_return(number, returned);
        }
        let (acked, rest): (Vec<Settlement>, Vec<Settlement>) = settlements
            .into_iter()
            .partition(|settlement| settlement.fate == Fate::Ack);
        let acked: Vec<_> = acked
            .into_iter()
            .flat_map(|settlement| settlement.entries)
            .collect();
        let mut acks = {
            let mut inner = self.outbox.lock();
            match inner.channel(number) {
                Some(channel) => {
                    channel.release_credit(&acked);
                    by_source(channel, acked)
                }
                None => Vec::new(),
            }
        };
        let broker = &self.context.broker;
        let n = acks.iter().map(|(_, _, entries)| entries.len() as u64);
        let n = n.sum();
        // What it allocated serves the next transaction, unless that is much.
        let reused = !publishes.is_full();
        let (position, refused) = broker.commit(&mut publishes, &mut acks, &mut self.turn);
        if position != warren_broker::NEVER
            && let Ok(channel) = self.open(number)
        {
            channel.live.count(Event::Ack, n);
            for (index, published) in publishes.published().iter().enumerate() {
                channel.count_published(published, publishes.published_to(index));
            }
            if let Some(tx) = &mut channel.tx
                && reused
            {
                tx.publishes = publishes;
            }
        }
        for Settlement { entries, fate } in rest {
            self.apply_settlement(number, entries, fate);
        }
        self.flush();
        self.kick_channel(number);
        self.flush();
        if position == warren_broker::NEVER {
            // The log failed: nothing can be promised any more.
            return Err(ReplyError::internal().into());
        }
        self.barrier.1 = self.barrier.1.max(position);
        if refused {
            return Err(ReplyError::precondition_failed("partial tx completion").into());
        }
        Ok(())
    }

    /// H-64: the publishes are forgotten, what was acked is unacked again.
    fn rollback(&mut self, number: u16) -> Result<(), Fault> {
        let tx = self.take_tx(number)?;
        let entries = tx
            .settlements
            .into_iter()
            .flat_map(|settlement| settlement.entries);
        let entries = entries.collect();
        if let Some(channel) = self.outbox.lock().channel(number) {
            channel.unacked.restore(entries);
        }
        Ok(())
    }

    fn take_tx(&mut self, number: u16) -> Result<Tx, Fault> {
        let channel = self.open(number)?;
        let Some(tx) = &mut channel.tx else {
            return Err(ReplyError::precondition_failed("channel is not transactional").into());
        };
        let taken = std::mem::take(tx);
        channel.show_tx();
        Ok(taken)
    }
}
