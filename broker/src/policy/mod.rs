//! Policies: settings for queues and exchanges by name pattern (section 6 of the specification).
//!
//! ```text
//!   PolicyDef --parse, validate--> catalog          keys.rs, validate.rs, mirroring.rs
//!   catalog --compile--> PolicySet --match--> AppliedPolicy (policy + operator policy, merged)
//!   AppliedPolicy + arguments --> QueueArguments    effective.rs
//! ```
//!
//! All of it is pure. Applying the result to what runs is the [vhost](crate::Vhost)'s.

mod effective;
mod keys;
mod matching;
mod merge;
mod mirroring;
mod term;
mod validate;

pub use effective::effective_settings;
pub use matching::{AppliedPolicy, PolicySet, Subject};
pub use merge::merge_definitions;
pub use validate::{parse_policy, validation_failed};

use serde_json::{Map, Value};

/// The settings of a policy by key.
pub type Definition = Map<String, Value>;
