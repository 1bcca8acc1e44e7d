//! A panic in a piece of work, and what goes on all the same: other queues expire and are read back.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use warren_amqp::{AMQPValue, FieldTable, Properties};

use super::*;
use crate::queue::{
    ChannelCredit, Consumer, ConsumerInfo, ConsumerSink, Entry, Got, HeadWaiter, Queue,
    ResidentLimits,
};
use crate::testing::{Node, settings};
use crate::{Broker, ConnectionId, ConsumerId, PagingSettings, Turn};

#[test]
fn a_panic_stays_inside_and_keeps_its_words() {
    assert_eq!(contained("adding", || 1 + 1), Some(2));
    assert_eq!(contained("failing", || panic!("no")), None::<()>);
    for (panic, words) in [
        (catch_unwind(|| panic!("plain")), "plain"),
        (catch_unwind(|| panic!("number {}", 7)), "number 7"),
        (catch_unwind(|| panic_any(7)), "a panic without words"),
    ] {
        assert_eq!(said(&*panic.unwrap_err()), words);
    }
}

/// A client that panics when it is first given something, or first told of something.
struct Faulty(AtomicBool);

impl Faulty {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn panic_once(&self) {
        assert!(!self.0.swap(false, Ordering::Relaxed), "a bug");
    }

    fn has_panicked(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

impl ConsumerSink for Faulty {
    fn room(&self) -> usize {
        self.panic_once();
        0
    }

    fn deliver(&self, _: &ConsumerInfo, _: &mut Vec<Entry>) -> bool {
        false
    }

    fn credit_returned(&self, _: &ConsumerInfo) {}

    fn cancelled(&self, _: &ConsumerInfo) {}
}

impl HeadWaiter for Faulty {
    fn head_here(&self) {
        self.panic_once();
    }
}

fn publish(node: &mut Node, queue: &str, messages: usize) {
    let (vhost, mut session) = (node.vhost(), node.session());
    let lasting = Properties {
        delivery_mode: Some(2),
        ..Properties::default()
    };
    for _ in 0..messages {
        let to = ("", queue);
        let turn = &mut node.turn;
        let published = node
            .broker
            .publish_one(&vhost, &mut session, to, &lasting, b"m", turn);
        published.unwrap();
    }
    node.broker.finish(&mut node.turn);
}

fn ready(node: &Node, queue: &str) -> usize {
    node.vhost().queue(queue).unwrap().depth().ready
}

#[test]
fn what_fails_for_one_queue_expires_in_the_others() {
    let mut node = Node::start();
    for (queue, dead) in [("a", "dead a"), ("b", "dead b")] {
        node.declare(dead, &[]).unwrap();
        let arguments = [
            ("x-message-ttl", AMQPValue::LongInt(10)),
            ("x-dead-letter-exchange", AMQPValue::LongString("".into())),
            (
                "x-dead-letter-routing-key",
                AMQPValue::LongString(dead.into()),
            ),
        ];
        node.declare(queue, &arguments).unwrap();
        publish(&mut node, queue, 3);
    }
    let info = ConsumerInfo {
        id: ConsumerId(1),
        connection: ConnectionId(1),
        channel: 1,
        tag: String::new(),
        no_ack: false,
        exclusive: false,
        priority: 0,
        prefetch: 0,
        arguments: FieldTable::default(),
    };
    let faulty = Faulty::new();
    let sink = Arc::clone(&faulty) as Arc<dyn ConsumerSink>;
    let consumer = Consumer::new(info, sink, Arc::new(ChannelCredit::default()));
    let queue = node.vhost().queue("dead a").unwrap();
    queue.add_consumer(consumer, 1000, || {}).unwrap();
    node.turn.begin(2000);
    node.broker.tick(&mut node.turn);
    assert!(faulty.has_panicked());
    // What was due with it is looked at again soon, though nothing of it expires any more.
    assert_eq!(node.broker.timers().next(), Some(2000 + 5000));
    node.turn.begin(7000);
    node.broker.tick(&mut node.turn);
    assert!(node.turn.is_idle());
    assert_eq!((ready(&node, "dead a"), ready(&node, "dead b")), (3, 3));
}

/// Tells that the message is there.
struct Here(Sender<()>);

impl HeadWaiter for Here {
    fn head_here(&self) {
        self.0.send(()).unwrap();
    }
}

/// Takes everything, waiting for the pager where it must.
fn drain(broker: &Broker, queue: &Arc<Queue>, turn: &mut Turn) -> usize {
    let (sender, here) = channel();
    let waiter: Arc<dyn HeadWaiter> = Arc::new(Here(sender));
    let mut taken = 0;
    loop {
        let got = queue.get(true, &waiter, turn);
        broker.finish(turn);
        match got {
            Got::Message(_) => taken += 1,
            Got::Away => here.recv_timeout(Duration::from_secs(20)).unwrap(),
            Got::Empty => return taken,
        }
    }
}

#[test]
fn backlogs_are_read_back_after_one_has_failed() {
    const MESSAGES: usize = 500;
    let mut node = Node::start_with(crate::Settings {
        paging: PagingSettings {
            resident: ResidentLimits {
                messages: 16,
                bytes: 1 << 10,
            },
            ..PagingSettings::default()
        },
        ..settings()
    });
    for queue in ["a", "b"] {
        node.declare(queue, &[]).unwrap();
        publish(&mut node, queue, MESSAGES);
    }
    let [a, b] = ["a", "b"].map(|name| node.vhost().queue(name).unwrap());
    let faulty = Faulty::new();
    let waiter = Arc::clone(&faulty) as Arc<dyn HeadWaiter>;
    let mut taken = 0;
    while let Got::Message(_) = a.get(true, &waiter, &mut node.turn) {
        taken += 1;
    }
    assert!(taken < MESSAGES);
    let (broker, mut turn, _dir) = node.share();
    broker.start_pager(|| 2000).unwrap();
    assert_eq!(drain(&broker, &b, &mut turn), MESSAGES);
    assert_eq!(taken + drain(&broker, &a, &mut turn), MESSAGES);
    assert!(faulty.has_panicked());
    broker.close();
}
