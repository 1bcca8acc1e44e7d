//! The first user and vhost of a new node (row U-1).

use super::rules::{PasswordRefused, PasswordRules};
use crate::catalog::{Catalog, CatalogError, Command};

/// What a new node starts with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefaultUser {
    /// The user's name.
    pub name: String,
    /// The user's password.
    pub password: String,
    /// The user's tags.
    pub tags: Vec<String>,
    /// The vhost.
    pub vhost: String,
    /// What the user may configure there.
    pub configure: String,
    /// What the user may write to there.
    pub write: String,
    /// What the user may read from there.
    pub read: String,
}

/// `guest` with password `guest`, an administrator who may do everything in `/`.
impl Default for DefaultUser {
    fn default() -> Self {
        Self {
            name: "guest".to_owned(),
            password: "guest".to_owned(),
            tags: vec!["administrator".to_owned()],
            vhost: "/".to_owned(),
            configure: ".*".to_owned(),
            write: ".*".to_owned(),
            read: ".*".to_owned(),
        }
    }
}

/// Why the first user could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The password cannot be used.
    #[error("the default user cannot be created: {0}")]
    Password(#[from] PasswordRefused),
    /// The definitions could not be stored.
    #[error("the default user cannot be stored: {0}")]
    Catalog(#[from] CatalogError),
}

/// Creates the user, the vhost and the permission in one step, and waits until they are on disk.
/// Does nothing when there already is a user: whether a node is new is not asked by its vhosts.
/// Not to be called when a definitions file provides the users. Returns whether anything was
/// created.
pub fn bootstrap(
    catalog: &Catalog,
    default: &DefaultUser,
    rules: &PasswordRules,
) -> Result<bool, BootstrapError> {
    if catalog.read().users().next().is_some() {
        return Ok(false);
    }
    let (password_hash, hashing_algorithm) = rules.store(&default.password)?;
    let created = catalog.propose(Command::CreateFirstUser {
        password_hash,
        hashing_algorithm,
        user: default.name.clone(),
        tags: default.tags.clone(),
        vhost: default.vhost.clone(),
        configure: default.configure.clone(),
        write: default.write.clone(),
        read: default.read.clone(),
    })?;
    catalog.wait_durable(created.index)?;
    Ok(!created.events.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{CredentialValidator, HashError, HashingAlgorithm, LoopbackUsers, login};
    use crate::catalog::testing::catalog_with;

    #[test]
    fn row_u_1_a_new_node_has_guest() {
        let (catalog, _dir) = catalog_with(&[]);
        assert!(bootstrap(&catalog, &DefaultUser::default(), &PasswordRules::default()).unwrap());
        let guest = login(&catalog, "guest", "guest", true, &LoopbackUsers::default()).unwrap();
        assert!(guest.is_administrator());
        assert_eq!(
            catalog.read().permission("guest", "/").unwrap().configure,
            ".*"
        );
        assert_eq!(catalog.durable_index(), catalog.last_index());
        assert!(!bootstrap(&catalog, &DefaultUser::default(), &PasswordRules::default()).unwrap());
    }

    #[test]
    fn row_u_1_only_when_there_is_no_user() {
        let (catalog, _dir) = catalog_with(&[Command::PutUser {
            name: "admin".to_owned(),
            password_hash: String::new(),
            hashing_algorithm: HashingAlgorithm::Sha256,
            tags: Vec::new(),
        }]);
        assert!(!bootstrap(&catalog, &DefaultUser::default(), &PasswordRules::default()).unwrap());
        assert!(catalog.read().user("guest").is_none());
    }

    #[test]
    fn an_empty_default_password_creates_nothing() {
        let (catalog, _dir) = catalog_with(&[]);
        let default = DefaultUser {
            password: String::new(),
            ..DefaultUser::default()
        };
        assert!(matches!(
            bootstrap(&catalog, &default, &PasswordRules::default()),
            Err(BootstrapError::Password(PasswordRefused::Unusable(
                HashError::Empty
            )))
        ));
        assert_eq!(catalog.last_index(), 0);
    }

    #[test]
    fn row_u_4_the_default_password_keeps_to_the_rules() {
        let (catalog, _dir) = catalog_with(&[]);
        let rules = PasswordRules {
            hashing: HashingAlgorithm::Sha512,
            validator: CredentialValidator::MinLength(6),
        };
        assert!(bootstrap(&catalog, &DefaultUser::default(), &rules).is_err());
        let default = DefaultUser {
            password: "secret".to_owned(),
            ..DefaultUser::default()
        };
        assert!(bootstrap(&catalog, &default, &rules).unwrap());
        let stored = catalog.read().user("guest").unwrap().hashing_algorithm;
        assert_eq!(stored, HashingAlgorithm::Sha512);
        assert!(login(&catalog, "guest", "secret", true, &LoopbackUsers::default()).is_ok());
    }
}
