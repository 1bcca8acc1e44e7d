//! A client that declares, binds and deletes until the broker goes away.

use crate::{dialogue::*, random::Random};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Enough to be hit in the act, few enough to be looked at.
const AT_MOST: u32 = 300;

/// How far a queue, its exchange and their binding had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    QueueDeclared,
    ExchangeDeclared,
    Bound,
    QueueDeleted,
    ExchangeDeleted,
}

/// What was answered with an ok, and what was asked for last.
#[derive(Default)]
pub(crate) struct Definitions {
    round: u32,
    /// The newest step of each that was answered.
    done: BTreeMap<u32, Step>,
    /// Asked for and not answered.
    asked: Option<(u32, Step)>,
}

fn queue_name(round: u32, n: u32) -> String {
    format!("def-q-{round}-{n}")
}

fn exchange_name(round: u32, n: u32) -> String {
    format!("def-e-{round}-{n}")
}

pub(crate) fn declare_and_delete(mut c: Peer, round: u32, mut random: Random) -> Definitions {
    let mut done = Definitions {
        round,
        ..Definitions::default()
    };
    for n in 0..AT_MOST {
        let last = *random.pick(&[Step::Bound, Step::Bound, Step::ExchangeDeleted]);
        for step in [
            Step::QueueDeclared,
            Step::ExchangeDeclared,
            Step::Bound,
            Step::QueueDeleted,
            Step::ExchangeDeleted,
        ] {
            if step > last {
                break;
            }
            done.asked = Some((n, step));
            if !perform(&mut c, round, n, step) {
                return done;
            }
            done.done.insert(n, step);
        }
        done.asked = None;
    }
    done
}

/// Whether the step was answered with an ok; not when the broker is gone.
fn perform(c: &mut Peer, round: u32, n: u32, step: Step) -> bool {
    let (q, e) = (queue_name(round, n), exchange_name(round, n));
    let method = match step {
        Step::QueueDeclared => queue::Declare {
            durable: true,
            ..declare(&q)
        }
        .into_class(),
        Step::ExchangeDeclared => exchange::Declare {
            durable: true,
            ..declare_exchange(&e, "fanout")
        }
        .into_class(),
        Step::Bound => bind(&q, &e, "").into_class(),
        Step::QueueDeleted => delete(&q).into_class(),
        Step::ExchangeDeleted => delete_exchange(&e).into_class(),
    };
    c.try_send_bytes(&encode(METHOD, 1, &method_payload(&method)));
    loop {
        match c.listen(Duration::from_millis(100)) {
            Event::Frame(Frame::Method(1, answer)) => {
                let asked = method.get_amqp_class_id();
                assert_eq!(answer.get_amqp_class_id(), asked, "{answer:?}");
                return true;
            }
            Event::Frame(Frame::Method(0, _)) | Event::Gone => return false,
            Event::Nothing | Event::Frame(Frame::Heartbeat) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Passive declares tell what exists.
fn exists(c: &mut Peer, method: impl Method) -> bool {
    c.send(1, method);
    match c.next_frame() {
        Frame::Method(1, AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
            assert_eq!(close.reply_code, 404, "{close:?}");
            c.send(1, channel::CloseOk {});
            c.open_channel(1);
            false
        }
        Frame::Method(1, _) => true,
        other => panic!("{other:?}"),
    }
}

impl Definitions {
    pub(crate) fn check(&self, addr: SocketAddr) {
        let mut c = Peer::connect(addr);
        c.log_in(&Login::default());
        c.open_channel(1);
        for (n, step) in &self.done {
            let asked = self
                .asked
                .filter(|(asked, _)| asked == n)
                .map(|(_, step)| step);
            self.check_one(&mut c, *n, *step, asked);
        }
    }

    /// `done` was answered; `asked` may or may not have happened.
    fn check_one(&self, c: &mut Peer, n: u32, done: Step, asked: Option<Step>) {
        let (q, e) = (queue_name(self.round, n), exchange_name(self.round, n));
        let has_queue = exists(c, declare_passive(&q));
        let has_exchange = exists(
            c,
            exchange::Declare {
                passive: true,
                ..declare_exchange(&e, "fanout")
            },
        );
        let expect = |there: bool, made: Step, deleted: Step, what: &str| {
            if done >= deleted {
                assert!(!there, "{what} was deleted and is back");
            } else if done >= made && asked != Some(deleted) {
                assert!(there, "{what} was declared and is gone");
            }
        };
        expect(has_queue, Step::QueueDeclared, Step::QueueDeleted, &q);
        expect(
            has_exchange,
            Step::ExchangeDeclared,
            Step::ExchangeDeleted,
            &e,
        );
        if done == Step::Bound && asked.is_none() {
            c.publish(&e, "", "bound?");
            assert!(c.get(&q).is_some(), "the binding of {q} is gone");
        }
        c.call(1, delete(&q));
        c.call(1, delete_exchange(&e));
    }
}
