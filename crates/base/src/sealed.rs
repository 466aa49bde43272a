//! Secrets at rest: sealed under a master key that is kept outside the data.

use crate::Secrets;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a master key.
pub const MASTER_KEY_LEN: usize = 32;

/// The installation's key of keys: AES-256-GCM, a random nonce for each sealing.
pub struct MasterKey(LessSafeKey);

/// A secret as rows keep it: nonce and ciphertext. Debug shows neither.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed value does not open: the master key is not the one of this data, or the value was altered; restore the key file that belongs to this data folder"
)]
pub struct SealError;

impl MasterKey {
    pub fn new(key: &[u8; MASTER_KEY_LEN]) -> Result<Self, SealError> {
        UnboundKey::new(&AES_256_GCM, key).map(|key| Self(LessSafeKey::new(key))).map_err(|_| SealError)
    }

    /// Seals `plain` for `context`: only the same context (the row's identity) opens it again.
    pub fn seal(&self, secrets: &dyn Secrets, context: &str, plain: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        secrets.fill(&mut nonce);
        let mut text = plain.to_vec();
        let aad = Aad::from(context.as_bytes());
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).map_err(|_| SealError)?;
        Ok(Sealed([nonce.as_slice(), &text].concat()))
    }

    pub fn open(&self, context: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, text) = sealed.0.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length =
            self.0.open_in_place(nonce, Aad::from(context.as_bytes()), &mut text).map_err(|_| SealError)?.len();
        text.truncate(length);
        Ok(text)
    }
}

impl Sealed {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

#[cfg(test)]
mod tests {
    use super::{MasterKey, Sealed};
    use crate::OsSecrets;

    #[test]
    fn opens_with_its_key_and_context_only() {
        let key = MasterKey::new(&[1; 32]).expect("a key");
        let sealed = key.seal(&OsSecrets, "access-key/AKIA1", b"hunter2").expect("sealed");
        assert_eq!(key.open("access-key/AKIA1", &sealed).expect("opens").as_slice(), b"hunter2");
        assert!(key.open("access-key/AKIA2", &sealed).is_err());
        assert!(MasterKey::new(&[2; 32]).expect("a key").open("access-key/AKIA1", &sealed).is_err());
        assert_eq!(format!("{sealed:?}"), "Sealed");
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let key = MasterKey::new(&[1; 32]).expect("a key");
        let sealed = key.seal(&OsSecrets, "c", b"secret").expect("sealed");
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(key.open("c", &Sealed::from_bytes(bytes)).is_err());
        }
        assert!(key.open("c", &Sealed::from_bytes(vec![1; 4])).is_err());
    }
}
