//! Names that need to be unique, not secret: task ids, ARNs' last parts, request ids.

use ring::digest::{SHA256, digest};

/// A deterministic stream of names: the same seed gives the same names.
///
/// Only names: whatever grants access (keys, tokens, nonces) comes from
/// [`Secrets`](crate::Secrets).
#[derive(Clone, Debug)]
pub struct Names {
    seed: [u8; 16],
    drawn: u64,
}

impl Names {
    pub fn new(seed: [u8; 16]) -> Self {
        Self { seed, drawn: 0 }
    }

    fn draw(&mut self) -> [u8; 16] {
        let mut input = [0; 24];
        input[..16].copy_from_slice(&self.seed);
        input[16..].copy_from_slice(&self.drawn.to_be_bytes());
        self.drawn += 1;
        let mut out = [0; 16];
        out.copy_from_slice(&digest(&SHA256, &input).as_ref()[..16]);
        out
    }

    /// A stream of its own for one request: what it draws does not depend on its neighbours.
    pub fn fork(&mut self) -> Self {
        Self::new(self.draw())
    }

    /// 32 lower-case hexadecimal digits: the id of a task or container instance.
    pub fn hex32(&mut self) -> String {
        hex::encode(self.draw())
    }

    /// A version 4 UUID: request, attachment, container and event ids.
    pub fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.draw()).into_uuid().to_string()
    }

    /// `digits` decimal digits, the first not zero: deployment ids have 19.
    pub fn digits(&mut self, digits: usize) -> String {
        let bytes = self.draw();
        (0..digits)
            .map(|i| {
                char::from(b'0' + if i == 0 { 1 + bytes[0] % 9 } else { bytes[i % 16].rotate_left(i as u32 / 16) % 10 })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Names;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_names_and_no_name_twice() {
        let (mut a, mut b) = (Names::new([7; 16]), Names::new([7; 16]));
        let drawn: Vec<String> = (0..1000).map(|_| a.hex32()).collect();
        assert!(drawn.iter().all(|name| *name == b.hex32()));
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 1000);
        assert_eq!(a.digits(19).len(), 19);
        assert_eq!(a.uuid().len(), 36);
    }
}
