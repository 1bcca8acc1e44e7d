//! What can go wrong while handling a peer's frames, and how the connection ends for it.

use std::time::Duration;

use warren_amqp::ReplyError;

/// Why a frame was not handled.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A rule of the protocol: answered with a close of the channel or the connection.
    Reply(ReplyError),
    /// Nothing can be answered: the socket is closed, after `delay`.
    Drop {
        /// For the log.
        reason: String,
        /// How long the peer is kept waiting (refused logins cost 3 s, C-25).
        delay: Duration,
    },
}

/// How long a peer waits for the end after a refusal (C-24, E-7).
pub(crate) use warren_broker::auth::REFUSAL_DELAY;

impl Fault {
    /// Closes the socket at once.
    pub(crate) fn drop_now(reason: impl Into<String>) -> Self {
        Self::Drop {
            reason: reason.into(),
            delay: Duration::ZERO,
        }
    }

    /// Closes the socket after the usual punishment.
    pub(crate) fn drop_late(reason: impl Into<String>) -> Self {
        Self::Drop {
            reason: reason.into(),
            delay: REFUSAL_DELAY,
        }
    }
}

impl From<ReplyError> for Fault {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}
