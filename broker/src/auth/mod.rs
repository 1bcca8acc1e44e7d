//! Who may do what: passwords, logins, vhost access and permissions on queues and exchanges.
//!
//! Users and permissions themselves live in the [catalog](crate::catalog); here they are checked.
//! Every refusal that clients see carries RabbitMQ's text.

mod bootstrap;
mod password;
mod permission;
mod rules;
mod throttle;
mod topic;
mod user;

pub use bootstrap::{BootstrapError, DefaultUser, bootstrap};
pub use password::{
    HashError, HashingAlgorithm, hash_password, hash_password_with, hash_sha256, verify,
};
pub(crate) use permission::compile;
pub(crate) use permission::matches_pattern;
pub use permission::{Access, Permission, PermissionCache, check_pattern};
pub use rules::{CredentialValidator, PasswordRefused, PasswordRules};
pub use throttle::{LoginThrottle, REFUSAL_DELAY};
pub use topic::TopicPermissions;
pub use user::{AuthenticatedUser, LoginRefused, LoopbackUsers, login, login_without_password};
