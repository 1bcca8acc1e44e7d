//! The handshake and what else happens on channel 0 (section 1 of the specification).

use std::sync::Arc;
use std::time::Instant;

use warren_amqp::frame::FRAME_MIN_SIZE;
use warren_amqp::handshake::{HeaderCheck, PROTOCOL_HEADER, check_protocol_header, parse_sasl};
use warren_amqp::protocol::{AMQPClass, connection as conn_methods};
use warren_amqp::{AMQPValue, FieldTable, ReplyError};
use warren_broker::auth::{self, AuthenticatedUser};
use warren_broker::stats::{ConnectionInfo, LiveConnection, Login};
use warren_broker::{Session, Tap, Vhost};

use super::fault::{Fault, REFUSAL_DELAY};
use super::handle::Handle;
use super::{Capabilities, Connection, Phase};
use crate::clock;
use crate::config::AuthMechanism;
use crate::tls::user_name;
use conn_methods::AMQPMethod as Method;

impl Connection {
    /// The eight bytes everything begins with. None when more is needed or all is over.
    pub(super) fn receive_header(&mut self, input: &[u8]) -> Option<usize> {
        match check_protocol_header(input) {
            HeaderCheck::NeedMore => None,
            HeaderCheck::Accept => {
                // Only now: whoever looks whether the port is open says nothing (C-6).
                tracing::info!("accepting AMQP connection ({})", self.name);
                self.phase = Phase::Start;
                let start = self.context.start_frame(self.secured.is_some());
                self.outbox
                    .write(|inner| inner.out.bytes.extend_from_slice(start));
                Some(PROTOCOL_HEADER.len())
            }
            HeaderCheck::Refuse(mistake) => {
                tracing::error!(connection = self.name, "bad protocol header: {mistake}");
                self.outbox
                    .write(|inner| inner.out.bytes.extend_from_slice(&PROTOCOL_HEADER));
                self.ended = Some(format!("bad protocol header: {mistake}"));
                self.phase = Phase::Closed;
                None
            }
        }
    }

    pub(super) fn connection_method(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let AMQPClass::Connection(method) = self.parse(payload)? else {
            return Err(self.unexpected());
        };
        match (&self.phase, method) {
            (Phase::Start, Method::StartOk(start_ok)) => self.start_ok(start_ok),
            (Phase::Tune, Method::TuneOk(tune_ok)) => self.tune_ok(&tune_ok),
            (Phase::Open, Method::Open(open)) => self.open_vhost(open.virtual_host.as_str()),
            (_, Method::Close(_)) => {
                self.closed_by_client();
                Ok(())
            }
            (Phase::Running, Method::CloseOk(_)) => Ok(()),
            (Phase::Running, Method::UpdateSecret(_)) => {
                // The internal users have no secret that could expire: accepted as RabbitMQ does.
                self.send(
                    0,
                    &AMQPClass::Connection(Method::UpdateSecretOk(Default::default())),
                );
                Ok(())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// C-17, W-20.
    fn unexpected(&self) -> Fault {
        if self.phase == Phase::Running {
            return ReplyError::channel_error("unexpected method in connection state running")
                .into();
        }
        Fault::drop_late(format!(
            "unexpected method in connection state {:?}",
            self.phase
        ))
    }

    fn start_ok(&mut self, start_ok: conn_methods::StartOk) -> Result<(), Fault> {
        self.capabilities = capabilities(&start_ok.client_properties);
        self.introduced = (start_ok.client_properties, start_ok.mechanism.to_string());
        let mechanism = start_ok.mechanism.as_str();
        let (address, now_ms) = (self.peer.ip(), clock::now_ms());
        let throttle = self.context.broker.login_throttle();
        if !throttle.admits(address, now_ms) {
            return self.refuse_login(mechanism, "too many failed logins from this address");
        }
        match self.authenticate(mechanism, start_ok.response.as_bytes()) {
            Ok(user) => {
                self.tell_login(&user.name, mechanism, None);
                let stats = self.context.broker.stats();
                stats.count_login(Login::Amqp, true);
                self.login = Some(user);
            }
            Err(reason) => {
                throttle.failed(address, now_ms);
                let claimed = parse_sasl(mechanism, start_ok.response.as_bytes());
                let claimed = claimed.map(|given| given.user).unwrap_or_default();
                self.tell_login(&claimed, mechanism, Some(&reason));
                return self.refuse_login(mechanism, &reason);
            }
        }
        let limits = &self.context.limits;
        let tune = conn_methods::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: limits.heartbeat_s,
        };
        self.send(0, &AMQPClass::Connection(Method::Tune(tune)));
        self.phase = Phase::Tune;
        Ok(())
    }

    /// Who logs in; the error says why nobody, for the log.
    fn authenticate(&self, mechanism: &str, response: &[u8]) -> Result<AuthenticatedUser, String> {
        let offered = self.context.mechanism(mechanism, self.secured.is_some());
        let broker = &self.context.broker;
        let is_loopback = self.peer.ip().to_canonical().is_loopback();
        let loopback_users = &broker.settings().loopback_users;
        let check = |user: &str, password: &str| {
            let catalog = broker.catalog();
            auth::login(catalog, user, password, is_loopback, loopback_users)
                .map_err(|refused| refused.to_string())
        };
        match offered {
            None => Err(format!("mechanism '{mechanism}' is not offered")),
            Some(AuthMechanism::Plain | AuthMechanism::AmqPlain) => {
                let given = parse_sasl(mechanism, response).map_err(|error| error.to_string())?;
                check(&given.user, &given.password)
            }
            Some(AuthMechanism::External) => {
                let user = self.name_in_certificate()?;
                auth::login_without_password(broker.catalog(), &user, is_loopback, loopback_users)
                    .map_err(|refused| refused.to_string())
            }
            Some(AuthMechanism::Anonymous) => {
                let (user, password) = self.context.anonymous().ok_or("there is no such user")?;
                check(user, password)
            }
        }
    }

    /// C-22: the client's certificate, which TLS has checked, says who it is.
    fn name_in_certificate(&self) -> Result<String, String> {
        let certificate = self.secured.as_ref().and_then(|s| s.certificate.as_ref());
        let certificate =
            certificate.ok_or("connection peer presented no TLS (x.509) certificate")?;
        user_name(certificate, self.context.limits.certificate_login)
            .map_err(|error| error.to_string())
    }

    /// C-24, C-25: a close for those who asked for one, and always three seconds.
    fn refuse_login(&mut self, mechanism: &str, reason: &str) -> Result<(), Fault> {
        tracing::error!(connection = self.name, "login refused: {reason}");
        self.context.broker.stats().count_login(Login::Amqp, false);
        if !self.capabilities.authentication_failure_close {
            return Err(Fault::drop_late(format!("login refused: {reason}")));
        }
        self.drop_at = Some(Instant::now() + REFUSAL_DELAY);
        self.deaf = true;
        let text = format!(
            "Login was refused using authentication mechanism {mechanism}. For details see the \
             broker logfile."
        );
        Err(ReplyError::access_refused(text).without_method().into())
    }

    fn tune_ok(&mut self, tune_ok: &conn_methods::TuneOk) -> Result<(), Fault> {
        let limits = &self.context.limits;
        let (frame_max, channel_max) = (tune_ok.frame_max, tune_ok.channel_max);
        let too_large = |name: &str, asked: u64, limit: u64| {
            let refused = limit != 0 && (asked == 0 || asked > limit);
            refused.then(|| {
                format!(
                    "negotiated {name} = {asked} is higher than the maximum allowed value ({limit})"
                )
            })
        };
        let too_small = (frame_max != 0 && frame_max < FRAME_MIN_SIZE).then(|| {
            format!("negotiated frame_max = {frame_max} is lower than the minimum allowed value ({FRAME_MIN_SIZE})")
        });
        let wrong = too_large("frame_max", frame_max.into(), limits.frame_max.into())
            .or(too_small)
            .or_else(|| too_large("channel_max", channel_max.into(), limits.channel_max.into()));
        if let Some(text) = wrong {
            self.drop_at = Some(Instant::now() + REFUSAL_DELAY);
            return Err(ReplyError::not_allowed(text).into());
        }
        self.frame_max = frame_max;
        self.outbox.set_frame_max(frame_max);
        self.channel_max = channel_max;
        self.heartbeat_s = tune_ok.heartbeat;
        self.phase = Phase::Open;
        Ok(())
    }

    fn open_vhost(&mut self, name: &str) -> Result<(), Fault> {
        let broker = Arc::clone(&self.context.broker);
        let Some(user) = self.login.take() else {
            return Err(self.unexpected());
        };
        let limit = self.context.limits.connection_max;
        if limit.is_some_and(|limit| broker.connection_count() >= limit) {
            let text = format!(
                "connection refused: node connection limit ({}) is reached",
                limit.unwrap_or_default()
            );
            return Err(ReplyError::not_allowed(text).into());
        }
        let user_name = user.name.clone();
        let slot = broker.admit_connection(&user_name, name)?;
        let session = Session::open(self.id, user, name, broker.catalog())?;
        let Some(vhost) = broker.vhost(name) else {
            return Err(ReplyError::not_allowed(format!("vhost {name} not found")).into());
        };
        let live = self.become_visible(&user_name, &vhost);
        let handle = Handle {
            live,
            tls: self
                .secured
                .as_ref()
                .map(|secured| Arc::clone(&secured.details)),
            outbox: Arc::clone(&self.outbox),
            consumer_timeout_ms: self.context.limits.consumer_timeout_ms,
        };
        let live_connection = Arc::clone(&handle.live);
        self.session = Some(session);
        self.turn = self.new_turn();
        self.tap = Some(Tap::new(&vhost, &live_connection));
        self.outbox.set_tap(Tap::new(&vhost, &live_connection));
        self.slot = Some(slot);
        self.vhost = Some(vhost);
        self.phase = Phase::Running;
        self.registered = true;
        broker.add_connection(self.id, Arc::new(handle));
        self.tell_opened();
        tracing::info!(
            "connection ({}): user '{user_name}' authenticated and granted access to vhost '{name}'",
            self.name
        );
        self.send(
            0,
            &AMQPClass::Connection(Method::OpenOk(Default::default())),
        );
        Ok(())
    }

    fn become_visible(&mut self, user: &str, vhost: &Vhost) -> Arc<LiveConnection> {
        let (client_properties, auth_mechanism) = std::mem::take(&mut self.introduced);
        let info = ConnectionInfo {
            id: self.id,
            name: self.name.clone(),
            peer: self.peer,
            local: self.local,
            user: user.to_owned(),
            vhost: vhost.name().to_string(),
            client_properties,
            auth_mechanism,
            frame_max: self.frame_max,
            channel_max: self.channel_max,
            heartbeat_s: self.heartbeat_s,
            connected_at_ms: clock::now_ms(),
        };
        let live = LiveConnection::new(info, vhost.stats());
        let [received, reads, sent, writes] = self.early;
        live.count_received(received, reads);
        live.count_sent(sent, writes);
        self.live = Some(Arc::clone(&live));
        live
    }

    /// C-36: everything is wound down before close-ok.
    fn closed_by_client(&mut self) {
        self.close_all_channels();
        self.delete_exclusive_queues();
        // Whoever waits for close-ok may open the next one.
        self.slot = None;
        self.send(
            0,
            &AMQPClass::Connection(Method::CloseOk(Default::default())),
        );
        self.phase = Phase::Closed;
    }
}

fn capabilities(properties: &FieldTable) -> Capabilities {
    let Some(AMQPValue::FieldTable(table)) = properties.inner().get("capabilities") else {
        return Capabilities::default();
    };
    let has = |name: &str| matches!(table.inner().get(name), Some(AMQPValue::Boolean(true)));
    Capabilities {
        authentication_failure_close: has("authentication_failure_close"),
        consumer_cancel_notify: has("consumer_cancel_notify"),
        connection_blocked: has("connection.blocked"),
    }
}
