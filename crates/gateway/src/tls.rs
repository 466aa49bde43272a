//! The server's certificate and key, from PEM files; errors name the file and what it lacks.

use oci::Digest;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificate chain, the server's own first, and key: PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {why}", path.display())]
    Read { path: PathBuf, why: String },
    #[error("{} holds no certificate: give --tls-cert a PEM file with a CERTIFICATE section", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key without a password: give --tls-key a PEM file with a PRIVATE KEY section", .0.display())]
    NoKey(PathBuf),
    #[error("{} holds a certificate that is not valid: {why}", path.display())]
    Certificate { path: PathBuf, why: String },
    #[error("{} holds a private key that is damaged, or neither RSA, ECDSA nor Ed25519", .0.display())]
    Key(PathBuf),
    #[error("the private key in {} is not that of the first certificate in {}: give the two files that belong together", .0.key.display(), .0.certificate.display())]
    Mismatch(Tls),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What callers may want to know of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCertificate {
    /// Of its DER form.
    pub digest: Digest,
    /// No authority vouches for it: a client knows it itself, or not at all.
    pub is_self_signed: bool,
    /// Names and addresses that it is made out to (subjectAltName: RFC 5280, 4.2.1.6).
    pub dns: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

impl Tls {
    /// Reads both files.
    pub(crate) fn load(&self) -> Result<(TlsAcceptor, ServedCertificate), TlsError> {
        let chain = self.chain()?;
        let first = chain.first().ok_or_else(|| TlsError::NoCertificate(self.certificate.clone()))?;
        let parsed = EndEntityCert::try_from(first)
            .map_err(|error| TlsError::Certificate { path: self.certificate.clone(), why: error.to_string() })?;
        let is_self_signed = parsed.issuer() == parsed.subject();
        let (dns, addresses) = names(first);
        let served = ServedCertificate { digest: Digest::of(first), is_self_signed, dns, addresses };
        let key = self.key()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Asked apart from the whole, to tell a bad key from one that belongs elsewhere.
        provider.key_provider.load_private_key(key.clone_key()).map_err(|_| TlsError::Key(self.key.clone()))?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch(self.clone()),
            error => TlsError::Setup(error),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((TlsAcceptor::from(Arc::new(config)), served))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable(&self.certificate, &error))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_file(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey(self.key.clone()),
            error => unreadable(&self.key, &error),
        })
    }
}

/// None of a certificate whose names make no sense: no client takes it for anybody then.
fn names(certificate: &CertificateDer) -> (Vec<String>, Vec<IpAddr>) {
    let (mut dns, mut addresses) = (Vec::new(), Vec::new());
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return (dns, addresses) };
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    (dns, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into());
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()))
}

fn unreadable(path: &Path, error: &pem::Error) -> TlsError {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::MissingSectionEnd { .. } => "a section of it has no END line".to_owned(),
        error => format!("it is not PEM: {error}"),
    };
    TlsError::Read { path: path.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::Tls;
    use std::fs;
    use std::path::Path;

    /// What comes of these files, with the folder's name left out.
    fn check(dir: &Path, certificate: &str, key: &str, expect: &str) {
        let tls = Tls { certificate: dir.join(certificate), key: dir.join(key) };
        let said = match tls.load() {
            Ok((_, served)) => format!("self-signed: {}", served.is_self_signed),
            Err(error) => error.to_string().replace(&format!("{}/", dir.display()), ""),
        };
        assert_eq!(said, expect, "{certificate} {key}");
    }

    #[test]
    fn a_certificate_tells_whom_it_is_made_out_to() {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["long.example", "*.wild.example", "10.0.0.1", "2001:db8::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let tls = Tls { certificate: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        fs::write(&tls.certificate, made.cert.pem()).expect("written");
        fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
        let (_, served) = tls.load().expect("loaded");
        assert_eq!(served.dns, ["long.example", "*.wild.example"]);
        assert_eq!(served.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "2001:db8::1"]);
    }

    #[test]
    fn what_a_file_lacks_is_said_with_its_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        write("cert.pem", &own.cert.pem());
        write("key.pem", &own.signing_key.serialize_pem());
        write("both.pem", &format!("{}{}", own.signing_key.serialize_pem(), own.cert.pem()));
        write("other-key.pem", &other.signing_key.serialize_pem());
        write("empty.pem", "");
        write("odd-cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        write("odd-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        let check = |certificate: &str, key: &str, expect: &str| check(dir.path(), certificate, key, expect);
        check("cert.pem", "key.pem", "self-signed: true");
        check("both.pem", "both.pem", "self-signed: true");
        let no_certificate = "holds no certificate: give --tls-cert a PEM file with a CERTIFICATE section";
        check("empty.pem", "key.pem", &format!("empty.pem {no_certificate}"));
        check("key.pem", "cert.pem", &format!("key.pem {no_certificate}"));
        let no_key = "holds no private key without a password: give --tls-key a PEM file with a PRIVATE KEY section";
        check("cert.pem", "empty.pem", &format!("empty.pem {no_key}"));
        check("cert.pem", "cert.pem", &format!("cert.pem {no_key}"));
        check(
            "cert.pem",
            "other-key.pem",
            "the private key in other-key.pem is not that of the first certificate in cert.pem: give the two files that belong together",
        );
        check(
            "odd-cert.pem",
            "key.pem",
            "odd-cert.pem holds a certificate that is not valid: TrailingData(SignedData)",
        );
        check(
            "cert.pem",
            "odd-key.pem",
            "odd-key.pem holds a private key that is damaged, or neither RSA, ECDSA nor Ed25519",
        );
        check("cut.pem", "key.pem", "cut.pem cannot be read: a section of it has no END line");
        check("none.pem", "key.pem", "none.pem cannot be read: No such file or directory (os error 2)");
    }
}
