//! The endpoints under `/api`, one module per area. Each exports `routes()`; paths are written
//! without the prefix `/api`.
//!
//! Parameters of paths are called the same everywhere, as the same path may have methods in two
//! areas: `{vhost}` for a vhost, `{name}` for the object in question.

mod policies;
mod settings;

use crate::http::Routes;

/// All of them.
pub(crate) fn routes() -> Routes {
    Routes::new("API")
        .merge(crate::monitor::routes())
        .merge(crate::console::routes())
        .merge(policies::routes())
        .merge(settings::routes())
}
