//! How long lists take with ten thousand queues. A measurement, not a test:
//! `cargo test --release --test integration -- --ignored --nocapture ten_thousand`

use std::time::{Duration, Instant};

use super::{see, start};
use crate::dialogue::*;

const QUEUES: usize = 10_000;

#[test]
#[ignore = "a measurement"]
fn lists_of_ten_thousand_queues() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.quiet();
    for n in 0..QUEUES {
        let declare = queue::Declare {
            nowait: true,
            ..declare(&format!("q{:05}", n * 7919 % QUEUES))
        };
        c.send(1, declare);
        if n % 10 == 0 {
            c.put(&format!("q{n:05}"), "x");
        }
    }
    c.call(1, qos(0));
    for path in [
        "/queues?page=1&page_size=100",
        "/queues?page=50&page_size=100",
        "/queues?page=1&page_size=100&sort=messages&sort_reverse=true",
        "/queues?page=1&page_size=100&sort=message_stats.publish_details.rate",
        "/queues?page=1&page_size=100&sort=idle_since",
        "/queues?page=1&page_size=100&name=9$&use_regex=true",
        "/queues?columns=name,messages",
        "/queues?disable_stats=true",
        "/queues",
    ] {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let begin = Instant::now();
            let answer = see(&mut broker, path);
            best = best.min(begin.elapsed());
            assert!(answer.is_object() || answer.as_array().unwrap().len() == QUEUES);
        }
        println!("{:8.1} ms  {path}", best.as_secs_f64() * 1000.0);
    }
}
