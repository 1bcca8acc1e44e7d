//! The endpoints under `/api`, one module per area. Each exports `routes()`; paths are written
//! without the prefix `/api`.
//!
//! Parameters of paths are called the same everywhere, as the same path may have methods in two
//! areas: `{vhost}` for a vhost, `{name}` for the object in question.

mod connections;
mod definition;
mod definitions;
mod description;
mod identity;
mod limits;
mod messages;
mod node;
mod parameters;
mod permissions;
mod policies;
#[cfg(test)]
mod settings_tests;
mod topic_permissions;
mod topology;
mod users;
mod vhosts;

#[cfg(test)]
mod tests;

use crate::http::Routes;

pub(crate) use definition::refused;
pub(crate) use node::this_node;

/// All of them.
pub(crate) fn routes() -> Routes {
    Routes::new("API")
        .merge(crate::monitor::routes())
        .merge(crate::console::routes())
        .merge(policies::routes())
        .merge(parameters::routes())
        .merge(limits::routes())
        .merge(topic_permissions::routes())
        .merge(identity::routes())
        .merge(node::routes())
        .merge(vhosts::routes())
        .merge(users::routes())
        .merge(permissions::routes())
        .merge(topology::routes())
        .merge(messages::routes())
        .merge(connections::routes())
        .merge(definitions::routes())
        .merge(description::routes())
}
