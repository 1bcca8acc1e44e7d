//! What new passwords must be like, and how they are stored (row U-4): `credential_validator` and
//! `password_hashing_module`. Stored hashes that come with definitions are not looked at.

use fancy_regex::Regex;

use super::password::{HashError, HashingAlgorithm, hash_password_with};

/// Rules for new passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordRules {
    /// The digest they are stored with.
    pub hashing: HashingAlgorithm,
    /// What they must be like.
    pub validator: CredentialValidator,
}

/// `credential_validator.validation_backend` with its setting.
#[derive(Clone, Debug, Default)]
pub enum CredentialValidator {
    /// Anything but an empty one.
    #[default]
    AcceptEverything,
    /// At least so many characters.
    MinLength(usize),
    /// Matching somewhere.
    Matching(Box<Regex>),
}

/// Why a password cannot be given to a user. The texts of the first two are RabbitMQ's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasswordRefused {
    /// It is too short.
    #[error("minimum required password length: {0}")]
    TooShort(usize),
    /// It does not match.
    #[error("provided password does not match the validator regular expression")]
    NoMatch,
    /// It cannot be stored.
    #[error(transparent)]
    Unusable(#[from] HashError),
}

/// Patterns are compared as they are written.
impl PartialEq for CredentialValidator {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AcceptEverything, Self::AcceptEverything) => true,
            (Self::MinLength(one), Self::MinLength(two)) => one == two,
            (Self::Matching(one), Self::Matching(two)) => one.as_str() == two.as_str(),
            _ => false,
        }
    }
}

impl Eq for CredentialValidator {}

impl CredentialValidator {
    /// One that asks for a match of this pattern. The error says what is wrong with the pattern.
    pub fn matching(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        Ok(Self::Matching(Box::new(regex)))
    }

    /// Whether a user may have this password.
    pub fn check(&self, password: &str) -> Result<(), PasswordRefused> {
        match self {
            Self::AcceptEverything => Ok(()),
            Self::MinLength(length) if password.chars().count() < *length => {
                Err(PasswordRefused::TooShort(*length))
            }
            Self::MinLength(_) => Ok(()),
            // A pattern that takes too long on this password does not match it.
            Self::Matching(regex) if regex.is_match(password).unwrap_or(false) => Ok(()),
            Self::Matching(_) => Err(PasswordRefused::NoMatch),
        }
    }
}

impl PasswordRules {
    /// The stored form of a new password and the digest it has, if it may be one.
    pub fn store(&self, password: &str) -> Result<(String, HashingAlgorithm), PasswordRefused> {
        self.validator.check(password)?;
        Ok((hash_password_with(self.hashing, password)?, self.hashing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::verify;

    #[test]
    fn row_u_4_length_and_pattern() {
        let long = CredentialValidator::MinLength(6);
        assert_eq!(long.check("påsswd"), Ok(()));
        let refused = long.check("short").unwrap_err();
        assert_eq!(refused.to_string(), "minimum required password length: 6");
        let digit = CredentialValidator::matching("[0-9]").unwrap();
        assert_eq!(digit.check("abc1"), Ok(()));
        assert_eq!(digit.check("abc"), Err(PasswordRefused::NoMatch));
        assert!(CredentialValidator::matching("(").is_err());
        assert_eq!(CredentialValidator::default().check(""), Ok(()));
    }

    #[test]
    fn passwords_are_stored_as_told() {
        for hashing in [HashingAlgorithm::Sha512, HashingAlgorithm::Sha256] {
            let rules = PasswordRules {
                hashing,
                ..PasswordRules::default()
            };
            let (stored, algorithm) = rules.store("pw").unwrap();
            assert_eq!(algorithm, hashing);
            assert!(verify(&stored, hashing, "pw"));
        }
        let empty = PasswordRules::default().store("");
        assert_eq!(empty, Err(PasswordRefused::Unusable(HashError::Empty)));
    }
}
