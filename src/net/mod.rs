//! Sockets: listeners, the task of each connection, and what is waiting to be written.

pub(crate) mod bell;
pub(crate) mod driver;
pub(crate) mod listener;
pub(crate) mod outbox;
mod pace;
mod proxy;
mod socket;
mod transport;
pub(crate) mod workers;
pub(crate) mod write_buf;
