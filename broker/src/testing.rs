//! A node without clients for unit tests, used through the engine's own API.

use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use warren_amqp::{AMQPValue, FieldTable, ReplyError};

use crate::auth::{AuthenticatedUser, DefaultUser, LoopbackUsers, PasswordRules, bootstrap};
use crate::catalog::Command;
use crate::policy::parse_policy;
use crate::{Broker, ExchangeRequest, NodeLimits, QueueRequest, Session, Settings, Turn, Vhost};

/// A broker in a folder of its own.
pub(crate) struct Node {
    pub(crate) broker: Broker,
    pub(crate) turn: Turn,
    dir: TempDir,
}

pub(crate) fn settings() -> Settings {
    Settings {
        node_name: "n".to_owned(),
        cluster_name: "c".to_owned(),
        loopback_users: LoopbackUsers::default(),
        interceptors: Default::default(),
        max_message_size: 1 << 20,
        sample_interval_ms: 5000,
        durability: warren_storage::Durability::default(),
        passwords: PasswordRules::default(),
        limits: NodeLimits::default(),
        paging: crate::PagingSettings::default(),
        event_vhost: None,
        vhost_defaults: crate::VhostDefaults::default(),
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::start_with(settings())
    }

    pub(crate) fn start_with(settings: Settings) -> Self {
        Self::open(tempfile::tempdir().unwrap(), settings)
    }

    pub(crate) fn open(dir: TempDir, settings: Settings) -> Self {
        let prepare = |catalog: &crate::catalog::Catalog| {
            bootstrap(catalog, &DefaultUser::default(), &PasswordRules::default())
                .map_err(|error| error.to_string())?;
            Ok(())
        };
        let broker = Broker::open(dir.path(), settings, 1000, prepare).unwrap();
        Self {
            broker,
            turn: Turn::new(1000),
            dir,
        }
    }

    pub(crate) fn restart(self) -> Self {
        self.broker.close();
        let Self { broker, dir, .. } = self;
        drop(broker);
        Self::open(dir, settings())
    }

    /// The broker for threads of its own, and its folder, which goes with the last value.
    pub(crate) fn share(self) -> (Arc<Broker>, Turn, TempDir) {
        (Arc::new(self.broker), self.turn, self.dir)
    }

    pub(crate) fn vhost(&self) -> Arc<Vhost> {
        self.broker.vhost("/").unwrap()
    }

    pub(crate) fn session(&self) -> Session {
        self.session_of("guest", "/")
    }

    pub(crate) fn session_of(&self, user: &str, vhost: &str) -> Session {
        let user = AuthenticatedUser {
            name: user.to_owned(),
            tags: Vec::new(),
        };
        let id = self.broker.new_connection_id();
        Session::open(id, user, vhost, self.broker.catalog()).unwrap()
    }

    pub(crate) fn declare(
        &mut self,
        name: &str,
        arguments: &[(&str, AMQPValue)],
    ) -> Result<(), ReplyError> {
        let (vhost, mut session) = (self.vhost(), self.session());
        let declared = vhost.declare_queue(&mut session, queue(name, arguments), &mut self.turn);
        self.broker.finish(&mut self.turn);
        declared.map(|_| ())
    }

    pub(crate) fn declare_exchange(&mut self, name: &str) -> Result<(), ReplyError> {
        let request = ExchangeRequest {
            name: name.to_owned(),
            kind: "topic".to_owned(),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::default(),
        };
        let (vhost, mut session) = (self.vhost(), self.session());
        vhost.declare_exchange(&mut session, request, &mut self.turn)
    }

    pub(crate) fn set_policy(&mut self, name: &str, operator: bool, policy: Value) {
        let policy = parse_policy(name, policy.as_object().unwrap(), operator).unwrap();
        self.broker
            .set_policy("/", name, operator, policy, &mut self.turn)
            .unwrap();
    }

    pub(crate) fn change(&mut self, command: Command) {
        self.broker.change(command, &mut self.turn).unwrap();
    }
}

pub(crate) fn queue(name: &str, arguments: &[(&str, AMQPValue)]) -> QueueRequest {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert((*key).into(), value.clone());
    }
    QueueRequest {
        name: name.to_owned(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: table,
    }
}
