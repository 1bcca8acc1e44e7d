//! Limits on connections, channels, queues, exchanges and vhosts (rows U-22 to U-24, Q-17, X-21).
//!
//! What is open is counted by vhost and user, and counted before it is let in, so that a limit
//! holds however many knock at once. Limits are looked up when somebody knocks: lowering one
//! closes nothing (row U-26).

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use warren_amqp::ReplyError;

use crate::broker::Broker;
use crate::catalog::{UserLimit, VhostLimit};

/// Limits of the whole node; `None` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeLimits {
    /// Vhosts (`vhost_max`).
    pub vhosts: Option<usize>,
    /// Queues in all vhosts (`cluster_queue_limit`).
    pub queues: Option<usize>,
    /// Exchanges in all vhosts, those of the broker's own included (`cluster_exchange_limit`).
    pub exchanges: Option<usize>,
}

/// What is open now.
#[derive(Default)]
pub(crate) struct OpenCounts(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    connections_of_vhost: FxHashMap<String, usize>,
    connections_of_user: FxHashMap<String, usize>,
    channels_of_user: FxHashMap<String, usize>,
}

/// An open connection as limits count it, until it is dropped.
pub struct ConnectionSlot {
    counts: Arc<OpenCounts>,
    user: String,
    vhost: String,
}

/// An open channel as limits count it, until it is dropped.
pub struct ChannelSlot {
    counts: Arc<OpenCounts>,
    user: String,
}

impl Broker {
    /// Counts a connection that is about to open a vhost.
    ///
    /// Errors: `NOT_ALLOWED` when the vhost or the user has as many as allowed.
    pub fn admit_connection(&self, user: &str, vhost: &str) -> Result<ConnectionSlot, ReplyError> {
        let (of_vhost, of_user) = {
            let state = self.catalog().read();
            let of_vhost = state
                .vhost(vhost)
                .and_then(|def| limit(def.limits.get(&VhostLimit::MaxConnections)));
            let of_user = state
                .user(user)
                .and_then(|def| limit(def.limits.get(&UserLimit::MaxConnections)));
            (of_vhost, of_user)
        };
        let mut counts = self.open_counts().0.lock();
        let open = |counts: &FxHashMap<String, usize>, name| counts.get(name).copied().unwrap_or(0);
        if let Some(limit) = of_vhost
            && open(&counts.connections_of_vhost, vhost) >= limit
        {
            return Err(ReplyError::not_allowed(format!(
                "access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) \
                 is reached"
            )));
        }
        if let Some(limit) = of_user
            && open(&counts.connections_of_user, user) >= limit
        {
            return Err(ReplyError::not_allowed(format!(
                "connection refused for user '{user}': user connection limit ({limit}) is reached"
            )));
        }
        add(&mut counts.connections_of_vhost, vhost);
        add(&mut counts.connections_of_user, user);
        Ok(ConnectionSlot {
            counts: Arc::clone(self.open_counts()),
            user: user.to_owned(),
            vhost: vhost.to_owned(),
        })
    }

    /// Counts a channel that is about to open.
    ///
    /// Errors: `NOT_ALLOWED` when the user has as many as allowed.
    pub fn admit_channel(&self, user: &str) -> Result<ChannelSlot, ReplyError> {
        let of_user = {
            let state = self.catalog().read();
            let limits = state.user(user).map(|def| &def.limits);
            limits.and_then(|limits| limit(limits.get(&UserLimit::MaxChannels)))
        };
        let mut counts = self.open_counts().0.lock();
        let open = counts.channels_of_user.get(user).copied().unwrap_or(0);
        if let Some(limit) = of_user
            && open >= limit
        {
            return Err(ReplyError::not_allowed(format!(
                "number of channels opened for user '{user}' has reached the maximum allowed \
                 user limit of ({limit})"
            )));
        }
        add(&mut counts.channels_of_user, user);
        Ok(ChannelSlot {
            counts: Arc::clone(self.open_counts()),
            user: user.to_owned(),
        })
    }
}

/// Negative limits mean none.
pub(crate) fn limit(value: Option<&i64>) -> Option<usize> {
    value.and_then(|value| usize::try_from(*value).ok())
}

fn add(counts: &mut FxHashMap<String, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(n) => *n += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

fn remove(counts: &mut FxHashMap<String, usize>, name: &str) {
    if let Some(n) = counts.get_mut(name) {
        *n -= 1;
        if *n == 0 {
            counts.remove(name);
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        remove(&mut counts.connections_of_vhost, &self.vhost);
        remove(&mut counts.connections_of_user, &self.user);
    }
}

impl Drop for ChannelSlot {
    fn drop(&mut self) {
        remove(&mut self.counts.0.lock().channels_of_user, &self.user);
    }
}
