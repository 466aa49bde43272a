//! Unpredictable bytes: keys, tokens, nonces, credential ids.

use ring::rand::{SecureRandom, SystemRandom};

/// A source of unpredictable bytes. Shells pass [`OsSecrets`]; only a simulator replaces it.
pub trait Secrets: Send + Sync {
    /// Fills `out`, or ends the process: without randomness nothing safe can be made.
    fn fill(&self, out: &mut [u8]);

    /// `length` characters of `alphabet`, each equally likely.
    ///
    /// The alphabet has 1 to 256 characters; bytes that would favour some of
    /// them are thrown away.
    fn text(&self, length: usize, alphabet: &[u8]) -> String {
        let fair = 256 - 256 % alphabet.len();
        let mut out = String::with_capacity(length);
        let mut bytes = [0; 64];
        while out.len() < length {
            self.fill(&mut bytes);
            let picked = bytes.iter().filter(|b| usize::from(**b) < fair);
            out.extend(picked.take(length - out.len()).map(|b| char::from(alphabet[usize::from(*b) % alphabet.len()])));
        }
        out
    }
}

/// The operating system's generator.
#[derive(Clone, Debug, Default)]
pub struct OsSecrets;

impl Secrets for OsSecrets {
    #[expect(clippy::disallowed_methods, reason = "the one door through which chance enters")]
    fn fill(&self, out: &mut [u8]) {
        if SystemRandom::new().fill(out).is_err() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OsSecrets, Secrets};

    #[test]
    fn texts_keep_to_their_alphabet_and_length() {
        let text = OsSecrets.text(1000, b"ABC");
        assert_eq!(text.len(), 1000);
        assert!("ABC".chars().all(|c| text.contains(c)));
        assert!(text.chars().all(|c| "ABC".contains(c)));
    }
}
