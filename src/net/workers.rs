//! The threads that carry the connections, and which connection sits on which.
//!
//! Each worker is a thread with a scheduler and a poller of its own. All connections begin on the
//! first; when that has no time left, some of them move to one that has (see [`plan`]). A scheduler
//! whose threads take work from each other is dearer: a publisher and its consumer hand over to each
//! other thousands of times a second, which is free on one thread and wakes another one otherwise.
//! What a connection does is `driver`'s.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use super::bell::Bell;

/// How often loads are compared.
const TICK: Duration = Duration::from_millis(100);

/// A worker that is busy for more than this part of the time has too much.
const CROWDED: f64 = 0.85;

/// How much busier than another it must be for anything to move.
const GAP: f64 = 0.3;

/// The part of a worker's work that two connections at most may leave to the others, for anything
/// to move.
const OTHERS: f64 = 0.1;

/// Ticks without a move after one: what it has changed must show first.
const SETTLING_TICKS: u32 = 3;

/// See the module documentation.
pub(crate) struct Workers {
    all: Vec<Worker>,
    seats: Mutex<Vec<Weak<Seat>>>,
}

struct Worker {
    handle: Handle,
    /// How busy it was in the last tick, in thousandths.
    busy: AtomicU32,
}

/// A connection's place.
pub(crate) struct Seat {
    workers: Arc<Workers>,
    worker: AtomicUsize,
    wanted: AtomicUsize,
    /// Nanoseconds of work since the last look.
    work_ns: AtomicU64,
    /// Whose messages it handles: the number of a queue, 0 for none.
    company: AtomicU64,
    /// It stays on the last worker.
    aside: AtomicBool,
}

/// What one look finds about a connection.
#[derive(Clone, Copy, Debug)]
struct Load {
    worker: usize,
    work_ns: u64,
    company: u64,
}

impl Workers {
    /// Starts `n` threads, at least one. They run as long as the program.
    pub(crate) fn start(n: usize) -> io::Result<Arc<Self>> {
        let all = (0..n.max(1)).map(|number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || run(runtime))?;
            let busy = AtomicU32::new(0);
            Ok(Worker { handle, busy })
        });
        Ok(Arc::new(Self {
            all: all.collect::<io::Result<_>>()?,
            seats: Mutex::new(Vec::new()),
        }))
    }

    /// Runs something on the first worker.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.all[0].handle.spawn(task);
    }

    /// A place for a connection where it is accepted, on the first worker.
    pub(crate) fn seat(self: &Arc<Self>) -> Arc<Seat> {
        self.seat_on(0)
    }

    /// A place on the worker that has most time. For what is work before it is a connection.
    pub(crate) fn free_seat(self: &Arc<Self>) -> Arc<Seat> {
        let busy = |(_, worker): &(usize, &Worker)| worker.busy.load(Ordering::Relaxed);
        let freest = self.all.iter().enumerate().min_by_key(busy);
        self.seat_on(freest.map_or(0, |(number, _)| number))
    }

    fn seat_on(self: &Arc<Self>, worker: usize) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            workers: Arc::clone(self),
            worker: AtomicUsize::new(worker),
            wanted: AtomicUsize::new(worker),
            work_ns: AtomicU64::new(0),
            company: AtomicU64::new(0),
            aside: AtomicBool::new(false),
        });
        if self.all.len() > 1 {
            self.seats.lock().push(Arc::downgrade(&seat));
        }
        seat
    }

    /// Compares loads and moves connections until the program stops.
    pub(crate) async fn balance(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        if self.all.len() == 1 {
            return;
        }
        let mut last = (Instant::now(), self.busy_times());
        let mut settling = SETTLING_TICKS;
        let mut looked = false;
        let mut known = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            let now = (Instant::now(), self.busy_times());
            let elapsed = (now.0 - last.0).as_secs_f64();
            let times = now.1.iter().zip(&last.1);
            let busy: Vec<f64> = times
                .map(|(now, before)| (*now - *before).as_secs_f64() / elapsed)
                .collect();
            last = now;
            for (worker, busy) in self.all.iter().zip(&busy) {
                worker.busy.store((busy * 1000.0) as u32, Ordering::Relaxed);
            }
            settling = settling.saturating_sub(1);
            let crowded = busy.iter().any(|busy| *busy > CROWDED);
            // With nothing to do it costs nothing but forgetting who is gone, now and then.
            if !crowded && self.seats.lock().len() < 2 * known + 64 {
                looked = false;
                continue;
            }
            let (seats, loads) = self.loads();
            known = seats.len();
            // The first look after a quiet time finds what was done in all of it.
            if !std::mem::replace(&mut looked, true) || settling > 0 {
                continue;
            }
            if let Some((moving, to)) = plan(&busy, &loads) {
                for index in moving {
                    seats[index].wanted.store(to, Ordering::Relaxed);
                }
                settling = SETTLING_TICKS;
            }
        }
    }

    fn busy_times(&self) -> Vec<Duration> {
        let workers = self.all.iter();
        workers
            .map(|worker| worker.handle.metrics().worker_total_busy_duration(0))
            .collect()
    }

    /// Who is there and has done how much since the last call.
    fn loads(&self) -> (Vec<Arc<Seat>>, Vec<Load>) {
        let mut seats = Vec::new();
        self.seats.lock().retain(|seat| {
            let seat = seat.upgrade();
            let balanced = |seat: &&Arc<Seat>| !seat.aside.load(Ordering::Relaxed);
            seats.extend(seat.iter().filter(balanced).cloned());
            seat.is_some()
        });
        let loads = seats.iter().map(|seat| Load {
            worker: seat.worker.load(Ordering::Relaxed),
            work_ns: seat.work_ns.swap(0, Ordering::Relaxed),
            company: seat.company.load(Ordering::Relaxed),
        });
        let loads = loads.collect();
        (seats, loads)
    }
}

/// Setting a timer that is earlier than all others has tokio wake the very thread that sets it,
/// through the system, as each new connection would. With one that is always due this soon it need
/// not: the timers of connections are later.
const DUE_SOON: Duration = Duration::from_secs(1);

fn run(runtime: Runtime) {
    runtime.spawn(async {
        loop {
            tokio::time::sleep(DUE_SOON).await;
        }
    });
    runtime.block_on(Arc::new(Bell::default()).answer());
}

impl Seat {
    /// Whether the connection should be elsewhere: it stops, leaves its poller, and has
    /// [`Seat::follow`] go on with it.
    pub(crate) fn wants_to_move(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != self.worker.load(Ordering::Relaxed)
    }

    /// The connection does things of which a single one may take long: it goes to the last worker
    /// and stays there, for connections begin on the first and would wait for it.
    pub(crate) fn step_aside(&self) {
        if !self.aside.swap(true, Ordering::Relaxed) {
            let last = self.workers.all.len() - 1;
            self.wanted.store(last, Ordering::Relaxed);
        }
    }

    /// Goes on with the connection where it should be.
    pub(crate) fn follow(&self, task: impl Future<Output = ()> + Send + 'static) {
        let wanted = self.wanted.load(Ordering::Relaxed);
        self.worker.store(wanted, Ordering::Relaxed);
        self.workers.all[wanted].handle.spawn(task);
    }

    /// The connection has worked for so long, on messages of the queue of this number.
    pub(crate) fn worked(&self, time: Duration, company: u64) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.work_ns.fetch_add(ns, Ordering::Relaxed);
        self.company.store(company, Ordering::Relaxed);
    }
}

/// Which of the connections should move, and to which worker. `busy` is each worker's part of the
/// time.
///
/// The busiest gives half of what it has more than the least busy. Connections on one queue stay
/// together as long as others can go, and two that have a worker to themselves are left alone:
/// each on its own they would do little more, at a higher price.
fn plan(busy: &[f64], loads: &[Load]) -> Option<(Vec<usize>, usize)> {
    let by_load = |a: &usize, b: &usize| busy[*a].total_cmp(&busy[*b]);
    let from = (0..busy.len()).max_by(by_load)?;
    let to = (0..busy.len()).min_by(by_load)?;
    let gap = busy[from] - busy[to];
    if busy[from] < CROWDED || gap < GAP {
        return None;
    }
    let here = || (0..loads.len()).filter(|index| loads[*index].worker == from);
    let total: u64 = here().map(|index| loads[index].work_ns).sum();
    let mut active: Vec<usize> = here().filter(|index| loads[*index].work_ns > 0).collect();
    active.sort_by_key(|index| std::cmp::Reverse(loads[*index].work_ns));
    let others: u64 = active
        .iter()
        .skip(2)
        .map(|index| loads[*index].work_ns)
        .sum();
    if (others as f64) < total as f64 * OTHERS {
        return None;
    }
    let wanted = (total as f64 * gap / busy[from] / 2.0) as u64;
    let mut companies: Vec<(u64, Vec<usize>)> = Vec::new();
    for index in active {
        let company = loads[index].company;
        match companies.iter_mut().find(|known| known.0 == company) {
            // Who handles no queue's messages has no company.
            Some((_, members)) if company != 0 => members.push(index),
            _ => companies.push((company, vec![index])),
        }
    }
    let work = |members: &[usize]| {
        members
            .iter()
            .map(|index| loads[*index].work_ns)
            .sum::<u64>()
    };
    companies.sort_by_key(|(_, members)| std::cmp::Reverse(work(members)));
    let mut moving = Vec::new();
    let mut moved = 0;
    // A little more than wanted is better than nothing.
    let most = wanted + wanted / 5;
    for (_, members) in &companies {
        if moved + work(members) <= most {
            moved += work(members);
            moving.extend(members);
        }
    }
    if moving.is_empty() {
        // One company is all there is: every other of its members goes.
        let every_other = companies.first()?.1.iter().step_by(2);
        for index in every_other {
            if moved + loads[*index].work_ns <= most {
                moved += loads[*index].work_ns;
                moving.push(*index);
            }
        }
    }
    (!moving.is_empty()).then_some((moving, to))
}

#[cfg(test)]
impl Workers {
    /// Has every connection move on to the next worker; says where they were.
    pub(crate) fn rotate(&self) -> Vec<usize> {
        let seats = self.seats.lock();
        let live = seats.iter().filter_map(Weak::upgrade);
        let places = live.map(|seat| {
            let worker = seat.worker.load(Ordering::Relaxed);
            let next = (worker + 1) % self.all.len();
            seat.wanted.store(next, Ordering::Relaxed);
            worker
        });
        places.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Connections on the first worker: work and company of each.
    fn loads(of: &[(u64, u64)]) -> Vec<Load> {
        let load = |&(work_ns, company)| Load {
            worker: 0,
            work_ns,
            company,
        };
        of.iter().map(load).collect()
    }

    #[test]
    fn who_steps_aside_stays_there() {
        let workers = Workers::start(3).unwrap();
        let (quick, slow) = (workers.seat(), workers.seat());
        slow.step_aside();
        assert!(slow.wants_to_move() && !quick.wants_to_move());
        slow.follow(async {});
        assert_eq!(slow.worker.load(Ordering::Relaxed), 2);
        assert_eq!(workers.loads().0.len(), 1);
    }

    #[test]
    fn nothing_moves_while_there_is_time_left() {
        let loads = loads(&[(50, 1), (50, 2), (50, 3), (50, 4)]);
        assert_eq!(plan(&[0.8, 0.0], &loads), None);
        assert_eq!(plan(&[0.95, 0.9], &loads), None);
        assert_eq!(plan(&[0.95], &loads), None);
        assert_eq!(plan(&[], &loads), None);
    }

    #[test]
    fn a_publisher_and_its_consumer_stay_together() {
        let pair = [(600, 7), (400, 7)];
        assert_eq!(plan(&[1.0, 0.0], &loads(&pair)), None);
        // Whoever does next to nothing does not count.
        let with_idlers = [(600, 7), (400, 7), (0, 0), (30, 0), (9, 8)];
        assert_eq!(plan(&[1.0, 0.0], &loads(&with_idlers)), None);
        let two_pairs = [(600, 7), (500, 8), (400, 7), (500, 8)];
        let (mut moving, to) = plan(&[1.0, 0.0], &loads(&two_pairs)).unwrap();
        moving.sort_unstable();
        assert!(moving == [0, 2] || moving == [1, 3], "{moving:?}");
        assert_eq!(to, 1);
    }

    #[test]
    fn one_crowd_is_divided() {
        let crowd = vec![(100, 7); 20];
        let (moving, to) = plan(&[0.2, 1.0, 0.5], &{
            let mut loads = loads(&crowd);
            loads.iter_mut().for_each(|load| load.worker = 1);
            loads
        })
        .unwrap();
        // Of 2,000 it has 0.8 / 1.0 more than the first worker: half of that goes.
        assert!((7..=10).contains(&moving.len()), "{moving:?}");
        assert_eq!(to, 0);
    }

    #[test]
    fn as_much_moves_as_evens_the_loads() {
        let unequal = [(700, 1), (200, 2), (150, 3), (50, 4)];
        let (mut moving, _) = plan(&[1.0, 0.0], &loads(&unequal)).unwrap();
        moving.sort_unstable();
        // The giant stays, it would only change places; the others go.
        assert_eq!(moving, [1, 2, 3]);
    }

    /// As when all those who kept a worker busy are gone again.
    #[test]
    fn of_nobody_nobody_moves() {
        assert_eq!(plan(&[1.0, 0.0], &[]), None);
        assert_eq!(plan(&[1.0, 0.0], &loads(&[(0, 0), (0, 7)])), None);
    }

    proptest! {
        #[test]
        fn those_who_move_leave_the_busiest_for_the_idlest(
            busy in vec(0.0..1.0_f64, 0..5),
            loads in vec((0..5_usize, 0..1000_u64, 0..4_u64), 0..30),
        ) {
            let loads: Vec<Load> = loads
                .into_iter()
                .map(|(worker, work_ns, company)| Load { worker, work_ns, company })
                .collect();
            if let Some((moving, to)) = plan(&busy, &loads) {
                let from = loads[moving[0]].worker;
                prop_assert!(busy.iter().all(|other| busy[to] <= *other && *other <= busy[from]));
                for (at, index) in moving.iter().enumerate() {
                    prop_assert!(loads[*index].worker == from && loads[*index].work_ns > 0);
                    prop_assert!(!moving[..at].contains(index), "{moving:?}");
                }
            }
        }
    }

    #[test]
    fn those_on_other_workers_are_not_touched() {
        let mut loads = loads(&[(500, 1), (500, 2), (500, 3), (500, 4)]);
        loads[0].worker = 1;
        let (moving, to) = plan(&[1.0, 0.3], &loads).unwrap();
        assert!(!moving.contains(&0), "{moving:?}");
        assert_eq!((moving.len(), to), (1, 1));
    }
}
