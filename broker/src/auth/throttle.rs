//! Slowing down those who guess passwords. A refused login always costs its client three seconds
//! (row C-25), but a guesser need not wait for the end, nor use one connection at a time. So an
//! address with too many failures is not listened to until some of them are forgotten: it gets
//! five guesses a second, however many connections it makes.
//!
//! The numbers are such that clients with an old password, which try again every few seconds, do
//! not lock out others behind the same address: it takes some fifteen of them at once.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// What every refused login costs.
pub const REFUSAL_DELAY: Duration = Duration::from_secs(3);

/// Failures an address may have that are not forgotten.
const BURST: u64 = 100;

/// Time in which one failure is forgotten.
const FORGET_MS: u64 = 200;

/// Addresses remembered. Further ones are not limited until others are forgotten.
const ADDRESSES_MAX: usize = 20_000;

/// Recent failures by address.
#[derive(Default)]
pub struct LoginThrottle {
    failures: Mutex<FxHashMap<IpAddr, Failures>>,
}

/// A count that runs down by itself.
#[derive(Clone, Copy)]
struct Failures {
    count: u64,
    /// Up to when it has run down.
    at_ms: u64,
}

impl Failures {
    fn run_down(&mut self, now_ms: u64) {
        let forgotten = now_ms.saturating_sub(self.at_ms) / FORGET_MS;
        self.count = self.count.saturating_sub(forgotten);
        self.at_ms += forgotten * FORGET_MS;
    }
}

impl LoginThrottle {
    /// Whether a login from `address` is to be looked at.
    pub fn admits(&self, address: IpAddr, now_ms: u64) -> bool {
        let mut failures = self.failures.lock();
        // Nobody has failed lately: the usual case.
        if failures.is_empty() {
            return true;
        }
        let Some(known) = failures.get_mut(&network(address)) else {
            return true;
        };
        known.run_down(now_ms);
        known.count < BURST
    }

    /// Notes that a login from `address` failed. This machine is trusted not to guess.
    pub fn failed(&self, address: IpAddr, now_ms: u64) {
        let address = network(address);
        if address.is_loopback() {
            return;
        }
        let mut failures = self.failures.lock();
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address) {
            failures.retain(|_, known| {
                known.run_down(now_ms);
                known.count > 0
            });
            if failures.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let known = failures.entry(address).or_insert(Failures {
            count: 0,
            at_ms: now_ms,
        });
        known.run_down(now_ms);
        if known.count == 0 {
            known.at_ms = now_ms;
        }
        known.count += 1;
    }
}

/// Who is counted together: an IPv4 address, or the 64 bits of IPv6 that one customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let bits = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::from(std::net::Ipv6Addr::from(bits))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn row_c_25_guessers_get_a_few_guesses_a_second() {
        let throttle = LoginThrottle::default();
        let guesser = address("198.51.100.1");
        let mut guesses = 0;
        // A thousand tries a second, for a minute.
        for now_ms in 1_000..61_000 {
            if throttle.admits(guesser, now_ms) {
                throttle.failed(guesser, now_ms);
                guesses += 1;
            }
        }
        assert_eq!(guesses, BURST + 60_000 / FORGET_MS - 1);
        assert!(throttle.admits(address("198.51.100.2"), 61_000));
        assert!(throttle.admits(guesser, 61_000 + FORGET_MS));
    }

    #[test]
    fn clients_with_an_old_password_do_not_lock_out_others() {
        let throttle = LoginThrottle::default();
        for now_ms in (0..3_600_000).step_by(3_000) {
            for _ in 0..14 {
                assert!(throttle.admits(address("2001:db8::1"), now_ms));
                throttle.failed(address("2001:db8::1"), now_ms);
            }
        }
    }

    #[test]
    fn neighbours_in_ipv6_count_together_and_this_machine_not_at_all() {
        let throttle = LoginThrottle::default();
        for n in 0..BURST {
            throttle.failed(address(&format!("2001:db8::{n}")), 0);
        }
        assert!(!throttle.admits(address("2001:db8::ffff"), 0));
        assert!(throttle.admits(address("2001:db8:1::1"), 0));
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..2 * BURST {
                throttle.failed(address(loopback), 0);
            }
            assert!(throttle.admits(address(loopback), 0));
        }
    }

    #[test]
    fn the_memory_of_it_is_bounded() {
        let throttle = LoginThrottle::default();
        for n in 0..ADDRESSES_MAX as u32 + 100 {
            throttle.failed(IpAddr::from(std::net::Ipv4Addr::from(n)), 0);
        }
        assert_eq!(throttle.failures.lock().len(), ADDRESSES_MAX);
        throttle.failed(address("198.51.100.1"), FORGET_MS);
        assert_eq!(throttle.failures.lock().len(), 1);
    }
}
