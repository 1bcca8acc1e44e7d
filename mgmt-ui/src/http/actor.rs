//! Who makes the request that is being handled: events name them.

use std::cell::RefCell;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

tokio::task_local! {
    static ACTOR: RefCell<Option<String>>;
}

/// Gives every request a place for its user.
pub(crate) async fn with_actor(request: Request, next: Next) -> Response {
    ACTOR.scope(RefCell::new(None), next.run(request)).await
}

/// The request comes from this user.
pub(crate) fn set(user: &str) {
    // Outside of requests there is nobody to remember.
    let _ = ACTOR.try_with(|actor| *actor.borrow_mut() = Some(user.to_owned()));
}

/// Does blocking work for the request of this user.
pub(crate) fn within<T>(actor: Option<String>, work: impl FnOnce() -> T) -> T {
    ACTOR.sync_scope(RefCell::new(actor), work)
}

/// The user whose request is being handled.
pub(crate) fn get() -> Option<String> {
    let known = ACTOR.try_with(|actor| actor.borrow().clone());
    known.ok().flatten()
}
