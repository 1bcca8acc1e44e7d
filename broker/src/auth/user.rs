//! Logging in.

use std::collections::BTreeSet;

use super::password::{HashingAlgorithm, verify};
use crate::catalog::Catalog;

/// Users who may only log in from the broker's own host (row C-26).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoopbackUsers(BTreeSet<String>);

impl LoopbackUsers {
    /// Everybody may log in from anywhere.
    pub fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// These users.
    pub fn only<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// Whether the user is one of them.
    pub fn contains(&self, user: &str) -> bool {
        self.0.contains(user)
    }
}

/// `guest`.
impl Default for LoopbackUsers {
    fn default() -> Self {
        Self::only(["guest"])
    }
}

/// Somebody who has proved who they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthenticatedUser {
    /// The user's name.
    pub name: String,
    /// The user's tags at the time of the login.
    pub tags: Vec<String>,
}

impl AuthenticatedUser {
    /// Whether the user has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// May do everything over HTTP.
    pub fn is_administrator(&self) -> bool {
        self.has_tag("administrator")
    }

    /// May publish with another `user_id` than their own.
    pub fn is_impersonator(&self) -> bool {
        self.has_tag("impersonator")
    }

    /// May see all vhosts and connections over HTTP.
    pub fn may_monitor(&self) -> bool {
        self.is_administrator() || self.has_tag("monitoring")
    }

    /// May change policies of their vhosts over HTTP.
    pub fn may_set_policies(&self) -> bool {
        self.is_administrator() || self.has_tag("policymaker")
    }

    /// May use the management API at all.
    pub fn may_manage(&self) -> bool {
        self.may_monitor() || self.may_set_policies() || self.has_tag("management")
    }
}

/// A login that failed. The reason is for the log only: the client learns no more than that.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LoginRefused {
    /// Why, naming the user.
    pub reason: String,
}

/// Something to compare with when there is no such user, so that the answer takes as long.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Checks name and password against the catalog (rows C-24, C-26, C-27).
pub fn login(
    catalog: &Catalog,
    user: &str,
    password: &str,
    peer_is_loopback: bool,
    loopback_users: &LoopbackUsers,
) -> Result<AuthenticatedUser, LoginRefused> {
    let found = catalog.read().user(user).cloned();
    let (stored, algorithm) = match &found {
        Some(found) => (found.password_hash.as_str(), found.hashing_algorithm),
        None => (NOBODY, HashingAlgorithm::Sha256),
    };
    let proved = verify(stored, algorithm, password);
    let Some(found) = found.filter(|_| proved) else {
        return Err(LoginRefused {
            reason: format!("user '{user}' - invalid credentials"),
        });
    };
    admitted(user, found.tags, peer_is_loopback, loopback_users)
}

/// The same for somebody who has proved who they are in another way, by a certificate (row C-22).
pub fn login_without_password(
    catalog: &Catalog,
    user: &str,
    peer_is_loopback: bool,
    loopback_users: &LoopbackUsers,
) -> Result<AuthenticatedUser, LoginRefused> {
    let tags = catalog.read().user(user).map(|found| found.tags.clone());
    let tags = tags.ok_or_else(|| LoginRefused {
        reason: format!("user '{user}' does not exist"),
    })?;
    admitted(user, tags, peer_is_loopback, loopback_users)
}

fn admitted(
    user: &str,
    tags: Vec<String>,
    peer_is_loopback: bool,
    loopback_users: &LoopbackUsers,
) -> Result<AuthenticatedUser, LoginRefused> {
    if !peer_is_loopback && loopback_users.contains(user) {
        return Err(LoginRefused {
            reason: format!("user '{user}' can only connect via localhost"),
        });
    }
    Ok(AuthenticatedUser {
        name: user.to_owned(),
        tags,
    })
}

#[cfg(test)]
mod tests {
    use warren_amqp::ReplyCode;

    use super::*;
    use crate::auth::{Permission, hash_sha256};
    use crate::catalog::Command;
    use crate::catalog::testing::catalog_with;

    fn user(name: &str, password: &str) -> Command {
        Command::PutUser {
            name: name.to_owned(),
            password_hash: hash_sha256(password, [1, 2, 3, 4]),
            hashing_algorithm: HashingAlgorithm::Sha256,
            tags: vec!["monitoring".to_owned()],
        }
    }

    fn vhost(name: &str) -> Command {
        Command::PutVhost {
            name: name.to_owned(),
            description: String::new(),
            tags: Vec::new(),
            default_queue_type: None,
        }
    }

    #[test]
    fn row_c_24_wrong_user_or_password() {
        let (catalog, _dir) = catalog_with(&[user("bob", "pw")]);
        let all = LoopbackUsers::none();
        let bob = login(&catalog, "bob", "pw", false, &all).unwrap();
        assert_eq!(bob.name, "bob");
        assert!(bob.may_manage() && bob.may_monitor());
        assert!(!bob.may_set_policies() && !bob.is_administrator() && !bob.is_impersonator());
        for (name, password) in [("bob", "no"), ("bob", ""), ("eve", "pw"), ("", "")] {
            let refused = login(&catalog, name, password, true, &all).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("user '{name}' - invalid credentials")
            );
        }
    }

    #[test]
    fn row_c_26_loopback_users() {
        let (catalog, _dir) = catalog_with(&[user("guest", "guest")]);
        let default = LoopbackUsers::default();
        assert!(login(&catalog, "guest", "guest", true, &default).is_ok());
        let refused = login(&catalog, "guest", "guest", false, &default).unwrap_err();
        assert_eq!(
            refused.reason,
            "user 'guest' can only connect via localhost"
        );
        assert!(login(&catalog, "guest", "guest", false, &LoopbackUsers::none()).is_ok());
        let refused = login(&catalog, "guest", "x", false, &default).unwrap_err();
        assert_eq!(refused.reason, "user 'guest' - invalid credentials");
    }

    #[test]
    fn opening_a_vhost_needs_a_permission_there() {
        let (catalog, _dir) = catalog_with(&[
            user("noperm", "pw"),
            vhost("v1"),
            vhost("v2"),
            Command::SetPermission {
                user: "noperm".to_owned(),
                vhost: "v2".to_owned(),
                configure: String::new(),
                write: String::new(),
                read: String::new(),
            },
        ]);
        let noperm = login(&catalog, "noperm", "pw", true, &LoopbackUsers::none()).unwrap();
        let open = |vhost| Permission::for_vhost(&catalog, &noperm, vhost);
        let error = open("nope").unwrap_err();
        assert_eq!(error.code, ReplyCode::NotAllowed);
        assert_eq!(error.explanation, "vhost nope not found");
        let error = open("v1").unwrap_err();
        assert_eq!(error.code, ReplyCode::NotAllowed);
        assert_eq!(
            error.explanation,
            "access to vhost 'v1' refused for user 'noperm'"
        );
        assert!(open("v2").is_ok());
    }
}
