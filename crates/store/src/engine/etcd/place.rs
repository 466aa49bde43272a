//! Where in an etcd the rows are.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::EngineError;

/// Under which rows stand unless told otherwise.
const PREFIX: &str = "longshore";

/// Bytes of a prefix. Ours: it is sent with every row of a batch.
const PREFIX_BYTES_MAX: usize = 128;

/// `etcd://HOST:PORT[/PREFIX]`: an etcd member and the keys below a prefix that are ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdPlace {
    /// `HOST:PORT`
    host: String,
    prefix: String,
}

impl EtcdPlace {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Who leads: the address of that server, under its lease.
    pub(super) fn leader(&self) -> Vec<u8> {
        self.key(b"/leader")
    }

    pub(super) fn format(&self) -> Vec<u8> {
        self.key(b"/format")
    }

    /// Of the last batch, written with it.
    pub(super) fn version(&self) -> Vec<u8> {
        self.key(b"/version")
    }

    pub(super) fn row(&self, kind: u16, key: &[u8]) -> Vec<u8> {
        [self.prefix.as_bytes(), ROW, &kind.to_be_bytes(), key].concat()
    }

    /// First key and the one after the last, of rows only.
    pub(super) fn rows(&self) -> (Vec<u8>, Vec<u8>) {
        let (start, mut end) = (self.key(ROW), self.key(ROW));
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (start, end)
    }

    /// First key and the one after the last, of rows and marks.
    pub(super) fn all(&self) -> (Vec<u8>, Vec<u8>) {
        (self.key(b"/"), self.key(b"0"))
    }

    /// Kind and key of the row that stands under `stored`, if it is one.
    pub(super) fn parse_row<'a>(&self, stored: &'a [u8]) -> Option<(u16, &'a [u8])> {
        let rest = stored.strip_prefix(self.prefix.as_bytes())?.strip_prefix(ROW)?;
        let (kind, key) = rest.split_first_chunk()?;
        Some((u16::from_be_bytes(*kind), key))
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        [self.prefix.as_bytes(), name].concat()
    }
}

const ROW: &[u8] = b"/row/";

impl fmt::Display for EtcdPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd://{}/{}", self.host, self.prefix)
    }
}

impl FromStr for EtcdPlace {
    type Err = EngineError;

    /// Only an etcd on a loopback address: what is said there is not encrypted, and whoever reaches
    /// it can change every row.
    fn from_str(text: &str) -> Result<Self, EngineError> {
        let wrong = |why: &str| EngineError::Place { place: text.to_owned(), why: why.to_owned() };
        let rest = text
            .strip_prefix("etcd://")
            .ok_or_else(|| wrong("write it as etcd://HOST:PORT or etcd://HOST:PORT/PREFIX"))?;
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let (name, port) = host.rsplit_once(':').ok_or_else(|| wrong("it names no port, etcd's is 2379"))?;
        if port.parse::<u16>().is_err() {
            return Err(wrong("its port is no number up to 65535"));
        }
        if !is_loopback(name) {
            return Err(wrong(
                "etcd is spoken to without TLS, on a loopback address only: \
                 run a member, or `etcd grpc-proxy`, beside this server",
            ));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(plain) {
            return Err(wrong("a prefix has 1 to 128 letters, digits, hyphens, underscores, dots and slashes"));
        }
        Ok(Self { host: host.to_owned(), prefix: prefix.to_owned() })
    }
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::EtcdPlace;

    #[test]
    fn a_place_is_loopback_port_and_prefix() {
        let check = |text: &str, expect: &str| {
            let place = text.parse::<EtcdPlace>();
            let said = place.map_or_else(|error| error.to_string(), |place| place.to_string());
            assert!(said.contains(expect), "{text}: {said}");
        };
        check("etcd://127.0.0.1:2379", "etcd://127.0.0.1:2379/longshore");
        check("etcd://localhost:2379/a/b/", "etcd://localhost:2379/a/b");
        check("etcd://[::1]:2379/x", "etcd://[::1]:2379/x");
        check("127.0.0.1:2379", "write it as etcd://HOST:PORT");
        check("etcd://127.0.0.1", "it names no port");
        check("etcd://127.0.0.1:x", "its port is no number");
        check("etcd://10.0.0.1:2379", "without TLS");
        check("etcd://etcd.example:2379", "without TLS");
        check("etcd://127.0.0.1:2379/", "a prefix has 1 to 128");
        check("etcd://127.0.0.1:2379/a b", "a prefix has 1 to 128");
    }

    #[test]
    fn rows_are_found_again_and_marks_are_none() {
        let place: EtcdPlace = "etcd://127.0.0.1:2379/p".parse().expect("a place");
        assert_eq!(place.parse_row(&place.row(0x0102, b"/key")), Some((0x0102, &b"/key"[..])));
        assert_eq!(place.parse_row(&place.leader()), None);
        let ((first, end), (all_first, all_end)) = (place.rows(), place.all());
        let row = place.row(0xFFFF, &[0xFF; 9]);
        assert!(first < row && row < end, "{row:?}");
        for key in [row, place.leader(), place.format(), place.version()] {
            assert!(all_first < key && key < all_end, "{key:?}");
        }
    }
}
