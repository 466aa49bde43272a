//! AWS Signature Version 4, as computation: canonical requests, keys, signatures.
//!
//! Clients use [`sign`] and [`presign`]. Servers use [`parse_auth`], then
//! [`expected_signature`] or, with a cached [`SigningKey`], [`SigningKey::verify`]. Whether a key
//! exists, a time is near enough or a scope is right is not known here.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical;
mod parse;
mod sign;

pub use canonical::{canonical_request, string_to_sign};
pub use parse::{AuthError, AuthParts, parse_auth, scope_service};
pub use sign::{Credentials, Scope, SignError, presign, sign};

use http::request::Parts;
use ring::{digest, hmac};
use std::fmt;

/// The one algorithm spoken here.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What every credential scope ends with.
pub const TERMINATOR: &str = "aws4_request";
/// Longest life of a presigned request, in seconds: seven days.
pub const EXPIRES_MAX_SECS: u32 = 604_800;

/// The lower-case hexadecimal SHA-256 of a body.
pub fn body_hash(body: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, body))
}

/// A key for one day, region and service; deriving it takes five HMACs, so it is worth caching.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(«sensitive»)")
    }
}

impl SigningKey {
    /// `date` is `YYYYMMDD`.
    pub fn derive(secret: &str, date: &str, region: &str, service: &str) -> Self {
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        Self(
            [date, region, service, TERMINATOR]
                .iter()
                .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())),
        )
    }

    /// The hexadecimal signature of a string to sign.
    pub fn signature(&self, string_to_sign: &str) -> String {
        hex::encode(hmac::sign(&self.0, string_to_sign.as_bytes()))
    }

    /// Whether `signature` is this string's, in constant time.
    pub fn verify(&self, string_to_sign: &str, signature: &str) -> bool {
        // Clients write lower case; another spelling is not what they signed and sent.
        let lower = !signature.bytes().any(|byte| byte.is_ascii_uppercase());
        let Some(given) = hex::decode(signature).ok().filter(|_| lower) else { return false };
        hmac::verify(&self.0, string_to_sign.as_bytes(), &given).is_ok()
    }
}

/// The key that a request's scope asks for.
pub fn signing_key(secret: &str, auth: &AuthParts) -> SigningKey {
    SigningKey::derive(secret, &auth.date, &auth.region, &auth.service)
}

/// The signature that a request must carry; compare it with [`SigningKey::verify`], not with `==`.
pub fn expected_signature(secret: &str, head: &Parts, auth: &AuthParts, body_sha256: &str) -> String {
    let canonical = canonical_request(head, auth, body_sha256);
    signing_key(secret, auth).signature(&string_to_sign(auth, &canonical))
}

#[cfg(test)]
mod tests;
