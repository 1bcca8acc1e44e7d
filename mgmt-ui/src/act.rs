//! Doing something to the broker on behalf of a request: in a turn of its own, away from the
//! threads that serve connections, answered when it is on disk.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use warren_broker::auth::AuthenticatedUser;
use warren_broker::catalog::{CatalogError, Command, Proposed};
use warren_broker::{Broker, Face, Session, Turn, Vhost};

use crate::Context;
use crate::http::{ApiError, MemberVhost, actor, blocking};

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Context {
    /// Runs work that changes the broker; what it left in the turn is carried out, and the answer
    /// waits until the definitions it changed are on disk.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Broker, &mut Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let broker = Arc::clone(&self.broker);
        blocking(move || {
            let mut turn = new_turn();
            let result = work(&broker, &mut turn);
            broker.finish(&mut turn);
            match turn.take_catalog_index() {
                0 => {}
                index => broker.catalog().wait_durable(index)?,
            }
            result
        })
        .await?
    }

    /// The same as a member of a vhost, whose permissions are checked as those of a connection.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        member: MemberVhost,
        work: impl FnOnce(&Arc<Vhost>, &mut Session, &mut Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let MemberVhost { user, vhost } = member;
        self.change(move |broker, turn| {
            let mut session = session(broker, user, &vhost)?;
            work(&vhost, &mut session, turn)
        })
        .await
    }

    /// Applies a command about definitions and waits until it is on disk.
    pub(crate) async fn propose(&self, command: Command) -> Result<Proposed, ApiError> {
        self.change(move |broker, turn| Ok(broker.propose(command, turn)?))
            .await
    }
}

/// A turn for the request being handled, in its user's name.
pub(crate) fn new_turn() -> Turn {
    let turn = Turn::new(now_ms());
    match actor::get() {
        Some(actor) => turn.on_behalf_of(&actor, Face::Http),
        None => turn,
    }
}

/// A session as a connection would have it.
pub(crate) fn session(
    broker: &Broker,
    user: AuthenticatedUser,
    vhost: &Vhost,
) -> Result<Session, ApiError> {
    let id = broker.new_connection_id();
    Ok(Session::open(id, user, vhost.name(), broker.catalog())?)
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        if matches!(error, CatalogError::Log(_)) {
            tracing::error!(%error, "a management request failed");
        }
        crate::api::refused(error)
    }
}
