//! The keys in the addresses that Voicenter pushes to. Only their hashes are configured.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Bytes of chance in a key.
const KEY_BYTES: usize = 32;
/// What a hash begins with in the configuration.
const PREFIX: &str = "sha256:";

/// A new key, as it stands in an address.
///
/// # Errors
/// If the system has no random numbers.
pub(crate) fn new_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash of a key, written `sha256:HEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

/// A text is not the hash of a key; it may be a key, so it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the hash of a key: sha256: and 64 hexadecimal digits")]
pub struct NotAKeyHash;

impl KeyHash {
    /// The hash of `key`.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Returns `true` if `key` has one of these hashes. How long that takes does not depend on which.
    pub fn any_is_of(hashes: &[Self], key: &str) -> bool {
        let sent = Self::of(key);
        let found = hashes.iter().fold(Choice::from(0), |found, hash| found | hash.0.ct_eq(&sent.0));
        found.into()
    }
}

impl FromStr for KeyHash {
    type Err = NotAKeyHash;

    fn from_str(text: &str) -> Result<Self, NotAKeyHash> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(NotAKeyHash)?;
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotAKeyHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotAKeyHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAKeyHash)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_as_it_is_written_and_anything_else_is_refused_without_it() {
        let hash = KeyHash::of("a key");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.to_string().to_uppercase().replace("SHA256", "sha256").parse(), Ok(hash));
        let digits = "0".repeat(64);
        for wrong in ["", "a key", &digits, "sha256:", "sha256:00", &format!("sha256:{digits}0"), "sha256:é"]
        {
            assert_eq!(wrong.parse::<KeyHash>(), Err(NotAKeyHash), "{wrong}");
        }
    }

    #[test]
    fn each_of_several_keys_is_valid_and_no_other() {
        let hashes = [KeyHash::of("old"), KeyHash::of("new")];
        assert!(KeyHash::any_is_of(&hashes, "old") && KeyHash::any_is_of(&hashes, "new"));
        assert!(!KeyHash::any_is_of(&hashes, "other") && !KeyHash::any_is_of(&[], ""));
    }
}
