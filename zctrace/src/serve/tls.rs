//! TLS for those who ask over a network: rustls does it, with the certificate and the key of two files.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    },
};

use crate::text::named_file;

/// Far longer than any chain of certificates.
const MOST_PEM: u64 = 1 << 20;

/// What is spoken within TLS; it spares a client the offer of HTTP/2.
const PROTOCOL: &[u8] = b"http/1.1";

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls(pub(super) TlsAcceptor);

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file of the certificate or of the key cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It has no certificate.
    #[error("there is no certificate in {0}")]
    NoCertificate(PathBuf),
    /// It has no private key.
    #[error("there is no private key without a passphrase in {0}")]
    NoKey(PathBuf),
    /// It is damaged.
    #[error("{path} is not PEM: {source}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// The one does not belong to the other, or neither is of a kind that TLS knows.
    #[error("the certificate and the key cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

impl Tls {
    /// Reads both files. They are not read again: whoever renews them restarts `serve`.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let damaged = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Damaged { path, source }
        };
        let text = read(certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(damaged(certificate))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(certificate.to_owned()));
        }
        let private = match PrivateKeyDer::from_pem_slice(read(key)?.as_bytes()) {
            Err(pem::Error::NoItemsFound) => return Err(TlsError::NoKey(key.to_owned())),
            private => private.map_err(damaged(key))?,
        };
        // Named, because another crate of the program could choose another one for all.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

fn read(path: &Path) -> Result<String, TlsError> {
    named_file::read_text(path, MOST_PEM).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpStream},
        time::Duration,
    };

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;
    use tokio_rustls::rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
        version::{TLS12, TLS13},
    };

    use super::*;
    use crate::serve::{Access, Address, Series, Server, Shared};

    /// How long a client waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(60);

    struct Files {
        directory: TempDir,
        made: CertifiedKey<rcgen::KeyPair>,
    }

    impl Files {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(directory.path().join("cert"), made.cert.pem()).unwrap();
            fs::write(
                directory.path().join("key"),
                made.signing_key.serialize_pem(),
            )
            .unwrap();
            Self { directory, made }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn serve(&self) -> SocketAddr {
            let tls = Tls::read(&self.path("cert"), &self.path("key")).unwrap();
            let access = Access {
                token: Some(b"secret".to_vec()),
                ..Access::default()
            };
            let shared = Shared::new(Series::new(10, false, Duration::from_secs(1)).into());
            let address = "127.0.0.1:0".parse().unwrap();
            let server = Server::listen(&address).unwrap().with_tls(tls);
            let Address::Tcp(address) = server.address().clone() else {
                panic!("not what was asked for");
            };
            assert_eq!(server.url(), format!("https://{address}/metrics"));
            server.start(shared, access).unwrap();
            address
        }

        /// What a client that trusts the certificate is answered.
        fn asked(
            &self,
            address: SocketAddr,
            version: &'static SupportedProtocolVersion,
            request: &str,
        ) -> String {
            let mut roots = RootCertStore::empty();
            roots.add(self.made.cert.der().clone()).unwrap();
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = "localhost".try_into().unwrap();
            let client = ClientConnection::new(Arc::new(config), name).unwrap();
            let mut stream = StreamOwned::new(client, connected(address));
            let text = format!("GET {request}\r\nHost: localhost\r\n\r\n");
            stream.write_all(text.as_bytes()).unwrap();
            let mut answer = String::new();
            // An end without TLS' own would be an error here.
            stream.read_to_string(&mut answer).unwrap();
            answer
        }
    }

    fn connected(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    #[test]
    fn a_client_that_trusts_the_certificate_is_answered() {
        let files = Files::new();
        let address = files.serve();
        for version in [&TLS12, &TLS13] {
            for (request, status) in [
                ("/ HTTP/1.1", "200"),
                ("/metrics HTTP/1.1", "401"),
                ("/metrics HTTP/1.1\r\nAuthorization: Bearer secret", "200"),
            ] {
                let answer = files.asked(address, version, request);
                let expected = format!("HTTP/1.1 {status} ");
                assert!(answer.starts_with(&expected), "{version:?}: {answer}");
            }
        }
    }

    #[test]
    fn nothing_is_said_without_tls() {
        let mut stream = connected(Files::new().serve());
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // At most an alert, which is seven bytes; the rest of the request may be answered by a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() <= 7, "{}", String::from_utf8_lossy(&answer));
    }

    /// Neither those who say nothing nor those who stop amid the handshake, and their time ends.
    #[test]
    fn half_a_handshake_keeps_nobody_out() {
        let files = Files::new();
        let address = files.serve();
        let mut silent: Vec<_> = (0..190).map(|_| connected(address)).collect();
        for stream in silent.iter_mut().skip(1).step_by(2) {
            // A record of a handshake, whose rest never comes.
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
        }
        let answer = files.asked(address, &TLS13, "/healthz HTTP/1.1");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        drop(silent);
        let mut alone = connected(address);
        alone.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
        let mut rest = Vec::new();
        alone.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }

    #[test]
    fn files_that_are_of_no_use_are_refused() {
        let (files, other) = (Files::new(), Files::new());
        let refused = |certificate: &Path, key: &Path| {
            let error = Tls::read(certificate, key).err().unwrap().to_string();
            let error = error.replace(&files.directory.path().display().to_string(), "DIR");
            error.split(": ").next().unwrap().to_owned()
        };
        let (certificate, key) = (files.path("cert"), files.path("key"));
        assert_eq!(
            refused(&certificate, &other.path("key")),
            "the certificate and the key cannot be used together"
        );
        assert_eq!(refused(&key, &key), "there is no certificate in DIR/key");
        assert_eq!(
            refused(&certificate, &certificate),
            "there is no private key without a passphrase in DIR/cert"
        );
        assert_eq!(refused(&files.path("none"), &key), "cannot read DIR/none");
        fs::write(files.path("half"), &files.made.cert.pem()[..200]).unwrap();
        assert_eq!(refused(&files.path("half"), &key), "DIR/half is not PEM");
    }
}
