//! The entrance for AMQP: the listeners and the tasks that accept on them. It can be shut while the
//! program runs, so that clients go to other nodes or come back later, and opened again; who is
//! connected stays.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::background;
use crate::config::{ListenAddress, TcpOptions};
use crate::net::listener::{self, Preface};
use crate::net::workers::Workers;
use crate::server::Context;

/// See the module documentation.
pub(crate) struct Entrance {
    serving: Serving,
    doors: Mutex<Vec<Door>>,
    /// A door is shut, or about to be.
    suspended: AtomicBool,
}

/// What it takes to serve a listener.
#[derive(Clone)]
struct Serving {
    context: Arc<Context>,
    workers: Arc<Workers>,
    tcp: TcpOptions,
}

/// One listener.
struct Door {
    address: SocketAddr,
    preface: Preface,
    /// None while it is shut.
    open: Option<Open>,
}

/// A listener that is served.
struct Open {
    stop: watch::Sender<bool>,
    /// Ends when the socket is closed.
    closed: mpsc::Receiver<Infallible>,
}

impl Entrance {
    /// Serves these listeners until the program stops.
    pub(crate) fn open(
        (context, workers): (&Arc<Context>, &Arc<Workers>),
        tcp: &TcpOptions,
        listeners: impl Iterator<Item = (StdListener, Preface)>,
    ) -> Self {
        let serving = Serving {
            context: Arc::clone(context),
            workers: Arc::clone(workers),
            tcp: tcp.clone(),
        };
        let doors = listeners.filter_map(|(listener, preface)| {
            Some(Door {
                address: listener.local_addr().ok()?,
                open: Some(serving.start(listener, preface.clone())),
                preface,
            })
        });
        Self {
            doors: Mutex::new(doors.collect()),
            suspended: AtomicBool::new(false),
            serving,
        }
    }

    /// Closes the listeners: who connects from now on is refused by the system. Returns when that
    /// is so.
    pub(crate) fn suspend(&self) {
        let mut doors = self.doors.lock();
        self.suspended.store(true, Ordering::Relaxed);
        tracing::info!(
            "Asked to suspend {} client connection listeners. No new client connections will be \
             accepted until these listeners are resumed!",
            doors.len()
        );
        for open in doors.iter_mut().filter_map(|door| door.open.take()) {
            let _ = open.stop.send(true);
            let _ = open.closed.recv();
        }
    }

    /// Opens those that are closed, where they were. The error names the first that cannot be: its
    /// port may have gone to somebody else meanwhile.
    pub(crate) fn resume(&self) -> Result<(), String> {
        let mut doors = self.doors.lock();
        tracing::info!(
            "Asked to resume {} client connection listeners. New client connections will be \
             accepted from now on",
            doors.len()
        );
        let mut outcome = Ok(());
        for door in doors.iter_mut().filter(|door| door.open.is_none()) {
            let at = ListenAddress::at(door.address);
            match listener::bind(&at, self.serving.tcp.backlog) {
                Ok(bound) => door.open = Some(self.serving.start(bound, door.preface.clone())),
                Err(error) => {
                    let error = format!("cannot serve AMQP on {}: {error}", door.address);
                    tracing::error!("{error}");
                    outcome = outcome.and(Err(error));
                }
            }
        }
        self.suspended.store(outcome.is_err(), Ordering::Relaxed);
        outcome
    }

    /// Whether clients are kept out.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }
}

impl Serving {
    fn start(&self, listener: StdListener, preface: Preface) -> Open {
        let (stop, stopped) = watch::channel(false);
        let (alive, closed) = mpsc::channel();
        let (serving, listener) = (self.clone(), Arc::new(listener));
        self.workers.spawn(async move {
            let accept = || {
                let listener = Arc::clone(&listener);
                serving
                    .clone()
                    .accept(listener, preface.clone(), stopped.clone())
            };
            background::keep("the accepting of AMQP connections", accept).await;
            // In this order: who waits for the end finds the port free.
            drop(listener);
            drop(alive);
        });
        Open { stop, closed }
    }

    /// Accepts until told to stop.
    async fn accept(
        self,
        listener: Arc<StdListener>,
        preface: Preface,
        mut stopped: watch::Receiver<bool>,
    ) {
        let Self {
            context,
            workers,
            tcp,
        } = self;
        let serve = async {
            let listener = listener.try_clone()?;
            listener::serve(context, workers, listener, tcp, preface).await
        };
        tokio::select! {
            served = serve => {
                if let Err(error) = served {
                    tracing::error!(%error, "AMQP is not served any more");
                }
            }
            // Where nobody can ask for it, as without the management API, nobody keeps the sender.
            Ok(_) = stopped.wait_for(|stop| *stop) => {}
        }
    }
}
