//! Kills the broker again and again under load and looks at what is left.
//!
//! A round: publishers, consumers, a transactional client and one that declares things work
//! until the broker is killed at a random moment; it starts again on the same data; then what is
//! found is compared with what had been promised ([`ledger`]). All rounds use the same data.

mod body;
mod clients;
mod definitions;
mod drain;
mod ledger;

use crate::{
    dialogue::*,
    harness::{Broker, is_oracle},
    random::{Random, setting},
};
use drain::Found;
use ledger::Ledger;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Queues that messages are published to; a fanout exchange leads to the first two.
const QUEUES: [&str; 4] = ["fan-a", "fan-b", "direct-a", "direct-b"];
const FANOUT: &str = "fan";
/// Queues that transactions publish to, each time to both.
const TX_QUEUES: [&str; 2] = ["tx-a", "tx-b"];
const PUBLISHERS: u32 = 3;

fn set_up(broker: &Broker) {
    let mut c = broker.client();
    for q in QUEUES.iter().chain(&TX_QUEUES) {
        c.call(
            1,
            queue::Declare {
                durable: true,
                ..declare(q)
            },
        );
    }
    c.call(
        1,
        exchange::Declare {
            durable: true,
            ..declare_exchange(FANOUT, "fanout")
        },
    );
    for q in &QUEUES[..2] {
        c.call(1, bind(q, FANOUT, ""));
    }
}

/// Works until the broker is gone; gives what was promised.
fn work(broker: &Broker, round: u32, random: &mut Random) -> thread::JoinHandle<Ledger> {
    let addr = broker.addr();
    let mut seeds: Vec<Random> = (0..8).map(|salt| random.fork(salt)).collect();
    let publishers: Vec<Peer> = (0..PUBLISHERS).map(|_| clients::publisher(addr)).collect();
    let consumers = [QUEUES[0], QUEUES[3]].map(|queue| (queue, clients::consumer(addr, queue)));
    let committer = clients::transactional_consumer(addr, QUEUES[2]);
    let transactor = clients::transactor(addr);
    let declarer = broker.client();
    thread::spawn(move || {
        let mut seed = || seeds.pop().expect("one for each client");
        thread::scope(|scope| {
            let publishers: Vec<_> = (0..)
                .zip(publishers)
                .map(|(id, c)| {
                    let random = seed();
                    scope.spawn(move || clients::publish_with_confirms(c, round, id, random))
                })
                .collect();
            let consumers = consumers.map(|(queue, c)| {
                let random = seed();
                scope.spawn(move || clients::consume_with_acks(c, queue, random))
            });
            let random = seed();
            let committer =
                scope.spawn(move || clients::consume_in_transactions(committer, QUEUES[2], random));
            let random = seed();
            let transactions = scope.spawn(move || clients::transact(transactor, round, random));
            let random = seed();
            let definitions =
                scope.spawn(move || definitions::declare_and_delete(declarer, round, random));
            let mut consumed: Vec<_> = consumers.map(join).into();
            consumed.push(join(committer));
            Ledger {
                round,
                publishers: publishers.into_iter().map(join).collect(),
                consumed,
                transactions: join(transactions),
                definitions: join(definitions),
            }
        })
    })
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Kill,
    Stop,
}

/// Plays one round; gives what was promised and what was found.
fn play(broker: &mut Broker, round: u32, end: End, random: &mut Random) -> (Ledger, Found) {
    let working = work(broker, round, random);
    thread::sleep(Duration::from_millis(30 + random.below(350) as u64));
    match end {
        End::Kill => broker.kill9(),
        End::Stop => {
            let exit = broker.terminate();
            assert!(exit.success(), "SIGTERM under load: {exit:?}");
        }
    }
    let ledger = working
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let started = Instant::now();
    broker.start_again();
    let up = started.elapsed();
    let found = drain::all(broker.addr());
    println!(
        "round {round}: {end:?}, up in {up:?}; {}",
        ledger.summary(&found)
    );
    ledger.check(&found);
    ledger.definitions.check(broker.addr());
    (ledger, found)
}

fn rounds() -> u32 {
    setting("CRASH_ROUNDS", if is_oracle() { 2 } else { 50 }) as u32
}

#[test]
fn nothing_confirmed_is_lost() {
    let rounds = rounds();
    let seed = setting("CRASH_SEED", 20_091_221);
    println!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let mut broker = Broker::start(&[]);
    set_up(&broker);
    for round in 0..rounds {
        play(&mut broker, round, End::Kill, &mut random);
    }
}

#[test]
fn acked_messages_come_back_only_as_redelivered() {
    if is_oracle() {
        return; // it promises nothing of the kind, and does not do it
    }
    let rounds = rounds().div_ceil(5);
    let seed = setting("CRASH_SEED", 20_091_222);
    println!("CRASH_SEED={seed} CRASH_ROUNDS={}", rounds * 5);
    let mut random = Random::new(seed);
    let mut broker = Broker::start(&[]);
    set_up(&broker);
    for round in 0..rounds {
        let (ledger, found) = play(&mut broker, round, End::Kill, &mut random);
        ledger.check_redelivered(&found);
    }
}

#[test]
fn nothing_confirmed_is_lost_by_an_orderly_stop() {
    let seed = setting("CRASH_SEED", 20_091_221);
    println!("CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    let mut broker = Broker::start(&[]);
    set_up(&broker);
    for round in 0..3 {
        let (ledger, found) = play(&mut broker, round, End::Stop, &mut random);
        ledger.check_redelivered(&found);
    }
}
