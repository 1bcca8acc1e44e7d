//! Password hashes in RabbitMQ's form (row C-31), so that definitions travel both ways:
//! base64 of a salt of 4 bytes followed by the digest of salt and password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Bytes of salt in front of every digest.
const SALT_BYTES: usize = 4;

/// The digest of a stored password, by RabbitMQ's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum HashingAlgorithm {
    /// The default.
    #[default]
    #[serde(rename = "rabbit_password_hashing_sha256")]
    Sha256,
    /// Accepted from imports.
    #[serde(rename = "rabbit_password_hashing_sha512")]
    Sha512,
    /// Accepted from imports; that of RabbitMQ before 3.6.
    #[serde(rename = "rabbit_password_hashing_md5")]
    Md5,
}

impl HashingAlgorithm {
    /// As definitions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512, Self::Md5]
            .into_iter()
            .find(|known| known.as_str() == name)
    }

    fn digest(self, salt: &[u8], password: &str) -> Vec<u8> {
        fn digest<D: Digest>(salt: &[u8], password: &str) -> Vec<u8> {
            D::new()
                .chain_update(salt)
                .chain_update(password)
                .finalize()
                .to_vec()
        }
        match self {
            Self::Sha256 => digest::<Sha256>(salt, password),
            Self::Sha512 => digest::<Sha512>(salt, password),
            Self::Md5 => digest::<Md5>(salt, password),
        }
    }
}

/// Why a password was not hashed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HashError {
    /// Nobody could log in with it (row C-27).
    #[error("the password is empty")]
    Empty,
    /// The system gave no random salt.
    #[error("no randomness for the salt: {0}")]
    NoRandomness(String),
}

/// The stored form of `password` with this salt.
pub fn hash_sha256(password: &str, salt: [u8; SALT_BYTES]) -> String {
    hash(HashingAlgorithm::Sha256, password, salt)
}

fn hash(algorithm: HashingAlgorithm, password: &str, salt: [u8; SALT_BYTES]) -> String {
    let mut stored = salt.to_vec();
    stored.extend(algorithm.digest(&salt, password));
    STANDARD.encode(stored)
}

/// The stored form of `password` with the default digest and a random salt. Errors: see
/// [`HashError`].
pub fn hash_password(password: &str) -> Result<String, HashError> {
    hash_password_with(HashingAlgorithm::default(), password)
}

/// The same with another digest.
pub fn hash_password_with(
    algorithm: HashingAlgorithm,
    password: &str,
) -> Result<String, HashError> {
    if password.is_empty() {
        return Err(HashError::Empty);
    }
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| HashError::NoRandomness(error.to_string()))?;
    Ok(hash(algorithm, password, salt))
}

/// Whether `password` is the one stored. An empty password never is (row C-27), nor is any when
/// the stored form is not well formed: that is how users without a password are stored. The
/// digests are compared in constant time.
pub fn verify(stored: &str, algorithm: HashingAlgorithm, password: &str) -> bool {
    if password.is_empty() {
        return false;
    }
    let Ok(stored) = STANDARD.decode(stored) else {
        return false;
    };
    let Some((salt, expected)) = stored.split_at_checked(SALT_BYTES) else {
        return false;
    };
    algorithm.digest(salt, password).ct_eq(expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_c_31_sha256() {
        // From RabbitMQ's own documentation of the layout: salt 908DC60A, password test12.
        let stored = hash_sha256("test12", [0x90, 0x8d, 0xc6, 0x0a]);
        assert_eq!(stored, "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");
        assert!(verify(&stored, HashingAlgorithm::Sha256, "test12"));
        assert!(!verify(&stored, HashingAlgorithm::Sha256, "test13"));
        assert!(!verify(&stored, HashingAlgorithm::Sha512, "test12"));
    }

    #[test]
    fn row_c_31_a_hash_made_by_rabbitmq() {
        let stored = "VQ56+d05iq7sRblD7lzYSS+Qu4PyFTS6ht8IsupydD6xyFwM";
        assert!(verify(stored, HashingAlgorithm::Sha256, "alice-pw"));
    }

    #[test]
    fn row_c_31_older_and_longer_digests() {
        for algorithm in [HashingAlgorithm::Sha512, HashingAlgorithm::Md5] {
            let mut stored = vec![1, 2, 3, 4];
            stored.extend(algorithm.digest(&[1, 2, 3, 4], "pw"));
            let stored = STANDARD.encode(stored);
            assert!(verify(&stored, algorithm, "pw"));
            assert!(!verify(&stored, algorithm, "PW"));
        }
        for algorithm in [
            HashingAlgorithm::Sha256,
            HashingAlgorithm::Sha512,
            HashingAlgorithm::Md5,
        ] {
            assert_eq!(
                HashingAlgorithm::from_name(algorithm.as_str()),
                Some(algorithm)
            );
        }
    }

    #[test]
    fn row_c_27_empty_passwords_are_refused() {
        assert_eq!(hash_password(""), Err(HashError::Empty));
        let stored = hash_sha256("", [0; 4]);
        assert!(!verify(&stored, HashingAlgorithm::Sha256, ""));
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        for stored in ["", "!", "AAAA", "AAAAAA==", "AAAAAAA="] {
            assert!(!verify(stored, HashingAlgorithm::Sha256, "pw"), "{stored}");
        }
    }

    #[test]
    fn salts_differ() {
        let one = hash_password("pw").unwrap();
        assert_ne!(one, hash_password("pw").unwrap());
        assert!(verify(&one, HashingAlgorithm::Sha256, "pw"));
    }
}
