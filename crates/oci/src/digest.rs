//! Content digests, `algorithm:hex`, as the OCI image specification (Digests) defines them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A registered digest algorithm. Only SHA-256 is computed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the encoded part, in hexadecimal digits.
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A digest in its text form, always of a known algorithm and in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Box<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("'{0}' is not a digest: expected sha256: and 64 lower-case hexadecimal digits")]
    Malformed(String),
    #[error("digest algorithm '{0}' is not supported: use sha256")]
    UnsupportedAlgorithm(String),
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha256:") { Algorithm::Sha256 } else { Algorithm::Sha512 }
    }

    /// The encoded part: 64 or 128 lower-case hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.0[self.algorithm().name().len() + 1..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(text.to_owned());
        let (name, hex) = text.split_once(':').ok_or_else(malformed)?;
        if name.is_empty() {
            return Err(malformed());
        }
        let algorithm = Algorithm::named(name).ok_or_else(|| DigestError::UnsupportedAlgorithm(name.to_owned()))?;
        let lower_hex = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != algorithm.hex_len() || !lower_hex {
            return Err(malformed());
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.into()
    }
}

/// A running SHA-256 over bytes as they pass.
#[derive(Clone)]
pub struct Hasher {
    context: ring::digest::Context,
    len: u64,
}

impl Hasher {
    pub fn new() -> Self {
        Self { context: ring::digest::Context::new(&ring::digest::SHA256), len: 0 }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// Bytes hashed so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn finish(self) -> Digest {
        Digest(format!("sha256:{}", hex::encode(self.context.finish())).into())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Digest, DigestError, Hasher};
    use proptest::prelude::*;

    /// SHA-256 of no bytes at all, as FIPS 180-4's examples give it.
    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn known_bytes_have_known_digests() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert_eq!(Digest::of(b"abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn both_algorithms_are_recognised() {
        let sha512 = format!("sha512:{}", "0a".repeat(64)).parse::<Digest>().expect("sha512");
        assert_eq!((sha512.algorithm(), sha512.hex().len()), (Algorithm::Sha512, 128));
        assert_eq!(EMPTY.parse::<Digest>().expect("sha256").algorithm(), Algorithm::Sha256);
    }

    #[test]
    fn what_is_not_a_digest_says_why() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for text in ["", "sha256", "sha256:", ":abc", &EMPTY[..70], upper.as_str(), &format!("{EMPTY}0")] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError::Malformed(text.to_owned())), "{text}");
        }
        assert_eq!("md5:00".parse::<Digest>(), Err(DigestError::UnsupportedAlgorithm("md5".to_owned())));
    }

    #[test]
    fn json_is_the_text_and_is_checked() {
        let digest = Digest::of(b"");
        assert_eq!(serde_json::to_string(&digest).expect("json"), format!("\"{EMPTY}\""));
        assert!(serde_json::from_str::<Digest>("\"sha256:1\"").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn pieces_hash_like_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut hasher = Hasher::new();
            hasher.update(head);
            hasher.update(tail);
            prop_assert_eq!(hasher.len(), bytes.len() as u64);
            prop_assert_eq!(hasher.finish(), Digest::of(&bytes));
        }
    }
}
