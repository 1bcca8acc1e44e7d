//! The API as clients see it, over a socket: statuses, tags, bodies.

mod definitions;
mod fuzz;
mod messages;
mod statuses;
mod tags;
