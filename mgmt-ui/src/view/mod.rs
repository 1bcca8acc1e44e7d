//! How objects are shown: JSON that is cheap to build, numbers with their rates, lists in pages.
//!
//! * `json`: values that are written and thrown away;
//! * `details`: `x` and `x_details`, `message_stats`;
//! * `listing`: what a request wants of a list, and the list it gets;
//! * `words`: how people write filters;
//! * `bindings_key`: the name of a binding in URLs.

pub(crate) mod bindings_key;
pub(crate) mod details;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod words;

pub(crate) use details::message_stats;
pub(crate) use json::{Json, Object};
pub(crate) use listing::{Key, Listing, Row};
