//! What an operator does to a queue's deliveries: hold them back, let them go on, end a consumer.
//!
//! None of it outlives the process: it is a hand on the tap, not a setting.

use std::sync::Arc;

use super::Queue;
use crate::ids::ConsumerId;
use crate::turn::Turn;

impl Queue {
    /// Whether deliveries to all its consumers are held back.
    pub fn paused(&self) -> bool {
        self.state.lock().paused()
    }

    /// Holds back deliveries to all its consumers, or lets them go on. `basic.get` is served all
    /// the same, and what is unacked stays so.
    pub fn set_paused(self: &Arc<Self>, paused: bool, turn: &mut Turn) {
        self.enter(turn, |state, now, fx| {
            state.set_paused(paused);
            state.dispatch(now, fx);
        });
    }

    /// The same for one consumer; the others get what it would have got. While the active one of
    /// a single-active queue is held back, nobody is served. False when it is not there.
    pub fn set_consumer_paused(
        self: &Arc<Self>,
        id: ConsumerId,
        paused: bool,
        turn: &mut Turn,
    ) -> bool {
        self.enter(turn, |state, now, fx| {
            let found = state.consumers_mut().set_paused(id, paused);
            state.dispatch(now, fx);
            found
        })
    }

    /// Ends a consumer; its client is told with `basic.cancel` if it can take that. What it has
    /// not settled stays with its channel. False when it is not there.
    pub fn cancel_consumer(self: &Arc<Self>, id: ConsumerId, turn: &mut Turn) -> bool {
        let told = self.enter(turn, |state, now, fx| {
            let teller = state.consumers().get(id)?.teller();
            state.remove_consumer(id, now, fx);
            Some(teller)
        });
        let Some((sink, info)) = told else {
            return false;
        };
        sink.cancelled(&info);
        true
    }
}
