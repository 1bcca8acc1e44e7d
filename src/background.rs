//! Tasks that run beside the connections for as long as the program does. What they do is told
//! where they are started; here is what happens when one fails.
//!
//! A panic is a bug, but a broker that expires, watches or accepts nothing from then on is worse
//! than one that does so a second late: the task begins anew, after a pause that grows while it
//! keeps failing, and the log says so. That is safe for tasks that keep nothing but what they find
//! again. The thread of the commit log is not one of them: what it was about to write is gone with
//! it, so a log that has lost it confirms nothing any more (`storage/src/commit/threads.rs`).

use std::future::Future;
use std::time::{Duration, Instant};

/// The pause after the first failure; each further one doubles it.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. A task that has run for so long is not failing again and again.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Runs `task` on `with` until it ends by itself, which it does when the program stops.
pub(crate) fn start<S, T>(
    name: &'static str,
    with: S,
    task: impl Fn(S) -> T + Send + Sync + 'static,
) where
    S: Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move { keep(name, || task(with.clone())).await });
}

/// Runs what `task` makes on the runtime this is called in, until it ends by itself.
pub(crate) async fn keep<T>(name: &'static str, task: impl Fn() -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    keep_with(PAUSE, name, task).await;
}

async fn keep_with<T>(first_pause: Duration, name: &'static str, task: impl Fn() -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let mut last_pause = None;
    loop {
        let begun = Instant::now();
        // A task of its own: the runtime catches its panic and tells what it said.
        match tokio::spawn(task()).await {
            Ok(()) => return,
            // The runtime is going down.
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let pause = pause(first_pause, last_pause, begun.elapsed());
                tracing::error!(%error, "{name} has failed and begins anew in {pause:?}");
                tokio::time::sleep(pause).await;
                last_pause = Some(pause);
            }
        }
    }
}

/// How long to wait after a task that failed, having run for so long since the last pause.
fn pause(first: Duration, last: Option<Duration>, ran: Duration) -> Duration {
    match last {
        Some(last) if ran < PAUSE_MAX => (last * 2).min(PAUSE_MAX),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is logged on this thread while a task runs that panics so many times and then ends,
    /// and how often it began.
    async fn logged(panics: u32) -> (String, u32) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = Arc::new(std::fs::File::create(&path).unwrap());
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(file);
        let subscriber = tracing_subscriber::registry().with(layer);
        let here = tracing::subscriber::set_default(subscriber);
        let begun = Arc::new(AtomicU32::new(0));
        let times = Arc::clone(&begun);
        let task = move || {
            let before = times.fetch_add(1, Ordering::Relaxed);
            async move { assert!(before >= panics, "index out of bounds") }
        };
        keep_with(Duration::from_millis(1), "balancing", task).await;
        drop(here);
        let begun = begun.load(Ordering::Relaxed);
        (std::fs::read_to_string(&path).unwrap(), begun)
    }

    #[tokio::test]
    async fn a_task_that_panics_comes_back() {
        let (log, begun) = logged(2).await;
        assert_eq!(begun, 3);
        let first = "balancing has failed and begins anew in 1ms";
        assert!(log.contains(first), "{log}");
        assert!(log.contains("begins anew in 2ms"), "{log}");
        assert!(log.contains("index out of bounds"), "{log}");
    }

    #[tokio::test]
    async fn an_end_is_an_end() {
        assert_eq!(logged(0).await, (String::new(), 1));
    }

    #[test]
    fn pauses_grow_while_it_keeps_failing() {
        let mut last = None;
        let mut next = |ran_s| {
            let pause = pause(PAUSE, last, Duration::from_secs(ran_s));
            last = Some(pause);
            pause.as_secs()
        };
        let pauses: Vec<u64> = [100, 0, 5, 0, 0, 0, 0, 59, 60, 0].map(&mut next).into();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 1, 2]);
    }
}
