//! Tasks that run beside the connections for as long as the program does. What they do is told
//! where they are started; here is what happens when one fails.

use std::future::Future;

/// Starts `task`. Should it end by a panic, that is a bug which nobody may notice for days, of a
/// broker that expires or watches nothing any more: it is said in the log, which the console shows.
pub(crate) fn start(name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(watched(name, task));
}

async fn watched(name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = tokio::spawn(task).await {
        tracing::error!(%error, "{name} has failed and stands still until the node is restarted");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is logged on this thread while the task runs.
    async fn logged(task: impl Future<Output = ()> + Send + 'static) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = Arc::new(std::fs::File::create(&path).unwrap());
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(file);
        let subscriber = tracing_subscriber::registry().with(layer);
        let here = tracing::subscriber::set_default(subscriber);
        watched("balancing", task).await;
        drop(here);
        std::fs::read_to_string(&path).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_logged() {
        let log = logged(async { panic!("index out of bounds") }).await;
        assert!(
            log.contains("balancing has failed and stands still"),
            "{log}"
        );
        assert!(log.contains("index out of bounds"), "{log}");
    }

    #[tokio::test]
    async fn an_end_is_not() {
        assert_eq!(logged(async {}).await, "");
    }
}
