//! One event, and what is common to all (rows O-23, O-24).

use warren_amqp::TableBuilder;

use super::{INTERNAL_USER, Notice, Notices};
use crate::broker::Broker;
use crate::turn::Turn;

/// Something happened.
pub(super) struct Event {
    /// Its routing key, such as `queue.created`.
    pub(super) key: &'static str,
    /// Its headers.
    pub(super) headers: Vec<u8>,
    /// When, Unix milliseconds.
    pub(super) at_ms: u64,
}

impl Event {
    pub(super) fn weight(&self) -> usize {
        self.headers.len() + 64
    }
}

impl Notices {
    /// Tells that something happened, if anybody wants to know. `actor` is the user who did it;
    /// `fill` adds the fields that belong to `key`.
    pub(crate) fn event(
        &self,
        key: &'static str,
        (actor, now_ms): (&str, u64),
        fill: impl FnOnce(&mut TableBuilder),
    ) {
        if !self.wanted() {
            return;
        }
        let mut headers = TableBuilder::new();
        fill(&mut headers);
        headers.longstr("user_who_performed_action", actor);
        headers.long("timestamp_in_ms", i64::try_from(now_ms).unwrap_or(i64::MAX));
        self.push(Notice::Event(Event {
            key,
            headers: headers.finish(),
            at_ms: now_ms,
        }));
    }

    /// The same for what somebody's turn did.
    pub(crate) fn event_of(
        &self,
        key: &'static str,
        turn: &Turn,
        fill: impl FnOnce(&mut TableBuilder),
    ) {
        self.event(key, (turn.actor(), turn.now_ms()), fill);
    }
}

impl Broker {
    /// Tells listeners of the event exchange what happened outside the broker, at `now_ms` (Unix
    /// milliseconds) and by `actor`, none for the broker itself; `fill` adds the event's fields.
    pub fn notify(
        &self,
        key: &'static str,
        actor: Option<&str>,
        now_ms: u64,
        fill: impl FnOnce(&mut TableBuilder),
    ) {
        let actor = actor.unwrap_or(INTERNAL_USER);
        self.notices().event(key, (actor, now_ms), fill);
    }
}
