//! The handshake, whole or step by step.

use super::{AMQPValue, FieldTable, Peer, boolean, channel, connection, open_vhost, string, table};

/// What a client sends first.
pub(crate) const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// Who logs in, how, and what is negotiated.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
    pub(crate) mechanism: String,
    /// Client capabilities announced as true.
    pub(crate) capabilities: Vec<&'static str>,
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    /// Seconds; 0 turns heartbeats off.
    pub(crate) heartbeat: u16,
}

impl Default for Login {
    fn default() -> Login {
        Login {
            user: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            mechanism: "PLAIN".into(),
            capabilities: vec![
                "authentication_failure_close",
                "basic.nack",
                "connection.blocked",
                "consumer_cancel_notify",
                "publisher_confirms",
            ],
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 0,
        }
    }
}

impl Login {
    /// The user whose password is their name.
    pub(crate) fn as_user(user: &str) -> Login {
        Login {
            user: user.into(),
            password: user.into(),
            ..Login::default()
        }
    }

    pub(crate) fn at(self, vhost: &str) -> Login {
        Login {
            vhost: vhost.into(),
            ..self
        }
    }

    /// Without the capability `name`.
    pub(crate) fn without(mut self, name: &str) -> Login {
        self.capabilities.retain(|capability| *capability != name);
        self
    }

    pub(crate) fn start_ok(&self) -> connection::StartOk {
        let capabilities: Vec<_> = self
            .capabilities
            .iter()
            .map(|c| (*c, boolean(true)))
            .collect();
        connection::StartOk {
            client_properties: table(&[
                ("product", string("dialogue kit")),
                ("capabilities", AMQPValue::FieldTable(table(&capabilities))),
            ]),
            mechanism: self.mechanism.as_str().into(),
            response: self.response().into(),
            locale: "en_US".into(),
        }
    }

    fn response(&self) -> Vec<u8> {
        match self.mechanism.as_str() {
            "AMQPLAIN" => amqplain(&table(&[
                ("LOGIN", string(&self.user)),
                ("PASSWORD", string(&self.password)),
            ])),
            _ => format!("\0{}\0{}", self.user, self.password).into_bytes(),
        }
    }

    pub(crate) fn tune_ok(&self) -> connection::TuneOk {
        connection::TuneOk {
            channel_max: self.channel_max,
            frame_max: self.frame_max,
            heartbeat: self.heartbeat,
        }
    }
}

/// A table body without its length prefix.
fn amqplain(credentials: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in credentials {
        let AMQPValue::LongString(value) = value else {
            panic!("credentials are strings")
        };
        out.push(u8::try_from(key.as_str().len()).expect("a short key"));
        out.extend(key.as_str().as_bytes());
        out.push(b'S');
        out.extend(
            u32::try_from(value.len())
                .expect("a short value")
                .to_be_bytes(),
        );
        out.extend(value.as_bytes());
    }
    out
}

impl Peer {
    /// Says hello; gives the broker's start.
    pub(crate) fn start(&mut self) -> connection::Start {
        self.send_bytes(PROTOCOL_HEADER);
        self.expect(0)
    }

    /// Up to the point where the broker waits for tune-ok.
    pub(crate) fn authenticate(&mut self, login: &Login) -> connection::Tune {
        self.start();
        self.send(0, login.start_ok());
        self.expect(0)
    }

    /// Authenticates and negotiates; the broker waits for open.
    pub(crate) fn tune(&mut self, login: &Login) {
        self.authenticate(login);
        self.send(0, login.tune_ok());
        self.set_frame_max(if login.frame_max == 0 {
            131_072
        } else {
            login.frame_max
        });
    }

    /// The whole handshake.
    pub(crate) fn log_in(&mut self, login: &Login) {
        self.tune(login);
        self.call(0, open_vhost(&login.vhost));
    }

    pub(crate) fn open_channel(&mut self, number: u16) {
        self.call(number, channel::Open {});
    }
}
