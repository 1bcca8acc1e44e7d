//! What every endpoint of the API relies on and none of it is about an endpoint:
//!
//! * `routes`: how endpoints are declared, so that OPTIONS, 405 and the API's description follow;
//! * `auth`, `vhost`: who may ask for what, as arguments of handlers;
//! * `path`, `body`: names, parameters and JSON bodies, read liberally;
//! * `reply`: how answers and errors look on the wire;
//! * `actor`: whose request it is, for those who cannot see the request;
//! * `front`: what happens to a request before and after all that (prefix, slashes, CORS);
//! * `server`: from a listening socket to a router.

pub(crate) mod actor;
pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod front;
pub(crate) mod path;
pub(crate) mod reply;
pub(crate) mod routes;
pub(crate) mod server;
pub(crate) mod vhost;

#[cfg(test)]
mod tests;

pub(crate) use auth::{Administrator, Manager, Monitor};
pub(crate) use body::{Body, Fields};
pub(crate) use path::{Path, Query};
pub(crate) use reply::{ApiError, blocking};
pub(crate) use routes::Routes;
pub(crate) use vhost::{MemberVhost, PolicyVhost, VhostScope};
