//! Who is asking: a connection's user in its vhost, with compiled permissions.

use std::sync::Arc;

use warren_amqp::ReplyError;

use crate::auth::{Access, AuthenticatedUser, Permission, PermissionCache, TopicPermissions};
use crate::catalog::Catalog;
use crate::ids::ConnectionId;

/// A logged-in user on one connection to one vhost.
pub struct Session {
    /// The connection.
    pub connection: ConnectionId,
    /// The user.
    pub user: AuthenticatedUser,
    vhost: Arc<str>,
    catalog: Arc<Catalog>,
    permissions: PermissionCache,
    topics: TopicPermissions,
    auth_version: u64,
}

/// What a permission is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

impl Kind {
    /// `queue` or `exchange`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Exchange => "exchange",
        }
    }
}

impl Session {
    /// Opens `vhost` for a user: 530 when it does not exist or the user has no permission there.
    pub fn open(
        connection: ConnectionId,
        user: AuthenticatedUser,
        vhost: &str,
        catalog: &Arc<Catalog>,
    ) -> Result<Self, ReplyError> {
        let auth_version = catalog.auth_version();
        let permission = Permission::for_vhost(catalog, &user, vhost)?;
        let topics = TopicPermissions::for_vhost(catalog, &user.name, vhost);
        Ok(Self {
            connection,
            user,
            vhost: vhost.into(),
            catalog: Arc::clone(catalog),
            permissions: PermissionCache::new(permission),
            topics,
            auth_version,
        })
    }

    /// Moves with every change of users and permissions; what was checked before counts no more.
    pub fn auth_version(&mut self) -> u64 {
        let version = self.catalog.auth_version();
        if version != self.auth_version {
            self.auth_version = version;
            let permission = Permission::for_vhost(&self.catalog, &self.user, &self.vhost);
            self.permissions =
                PermissionCache::new(permission.unwrap_or_else(|_| Permission::none()));
            self.topics = TopicPermissions::for_vhost(&self.catalog, &self.user.name, &self.vhost);
            if let Some(known) = self.catalog.read().user(&self.user.name) {
                self.user.tags.clone_from(&known.tags);
            }
        }
        version
    }

    /// 403 unless the user has `access` to the queue.
    pub fn check_queue(&mut self, access: Access, name: &str) -> Result<(), ReplyError> {
        self.check(access, Kind::Queue, name)
    }

    /// 403 unless the user has `access` to the exchange (the default one counts as `amq.default`).
    pub fn check_exchange(&mut self, access: Access, name: &str) -> Result<(), ReplyError> {
        self.check(
            access,
            Kind::Exchange,
            if name.is_empty() { "amq.default" } else { name },
        )
    }

    /// 403 unless the user has `access` to this routing key of a topic exchange.
    pub fn check_topic(
        &mut self,
        access: Access,
        exchange: &str,
        key: &str,
    ) -> Result<(), ReplyError> {
        self.auth_version();
        self.topics
            .check(access, exchange, key, &self.vhost, &self.user.name)
    }

    fn check(&mut self, access: Access, kind: Kind, name: &str) -> Result<(), ReplyError> {
        self.auth_version();
        self.permissions
            .check(access, kind.as_str(), name, &self.vhost, &self.user.name)
    }
}
