//! TLS, by rustls. The server's certificate is always verified; there is no switch for that.

use std::sync::Arc;

#[cfg(not(feature = "ring"))]
use rustls::{CipherSuite, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite, crypto::CipherSuiteCommon};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use sigbox_sdk::persistence::Failure;

use crate::{Server, bad_setting};

/// What TLS connections of a binding have in common.
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

/// What TLS takes from the binding's secrets, as PEM texts.
#[derive(Default)]
pub struct TlsSecrets {
    /// `ca`: who may have signed the server's certificate. None: the authorities that browsers trust.
    pub ca: Option<String>,
    /// `client-certificate`: who we are, for servers that ask.
    pub client_certificate: Option<String>,
    /// `client-key`.
    pub client_key: Option<String>,
}

impl Tls {
    /// The names of the secrets it uses, for `sigbox:host/secrets`, each asked for once.
    pub fn secrets(get: impl Fn(&str) -> Option<String>) -> TlsSecrets {
        TlsSecrets { ca: get("ca"), client_certificate: get("client-certificate"), client_key: get("client-key") }
    }

    /// `name`: whom the server's certificate is for, where that is not the host that is connected to.
    ///
    /// # Errors
    /// When a secret is not what it should be; says which, and nothing of what is in it.
    pub fn new(secrets: &TlsSecrets, name: Option<&str>) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        match &secrets.ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in certificates("ca", pem)? {
                    roots.add(certificate).map_err(|error| bad_setting(&format!("secret ca: {error}")))?;
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad_setting(&format!("TLS: {error}")))?
            .with_root_certificates(roots);
        let config = match (&secrets.client_certificate, &secrets.client_key) {
            (None, None) => config.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|_| bad_setting("secret client-key is not a private key in PEM"))?;
                config
                    .with_client_auth_cert(certificates("client-certificate", certificate)?, key)
                    .map_err(|error| bad_setting(&format!("secrets client-certificate and client-key: {error}")))?
            }
            _ => return Err(bad_setting("secrets client-certificate and client-key go together; one is missing")),
        };
        Ok(Self { config: Arc::new(config), name: name.map(str::to_owned) })
    }

    pub(crate) fn client(&self, server: &Server) -> Result<ClientConnection, Failure> {
        let name = self.name.as_deref().unwrap_or(server.host());
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| bad_setting(&format!("a certificate cannot be for {name:?}: it is no host name")))?;
        ClientConnection::new(Arc::clone(&self.config), name).map_err(|error| bad_setting(&format!("TLS: {error}")))
    }
}

fn certificates(secret: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(bad_setting(&format!("secret {secret} has no certificate in PEM"))),
    }
}

#[cfg(feature = "ring")]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// The provider of the RustCrypto project, with what it leaves out: how many records a key may encrypt.
#[cfg(not(feature = "ring"))]
fn provider() -> CryptoProvider {
    let mut provider = rustls_rustcrypto::provider();
    // Stable, so TLS 1.3 stays before 1.2. ChaCha20-Poly1305 first: without AES instructions it is the fast one.
    provider.cipher_suites.sort_by_key(|suite| !is_chacha(suite.suite()));
    provider.cipher_suites = provider.cipher_suites.into_iter().map(limited).collect();
    provider
}

/// RFC 8446, 5.5: some 2^24.5 full records with AES-GCM. rustls' own providers say 2^24, too.
#[cfg(not(feature = "ring"))]
const AES_GCM_RECORDS: u64 = 1 << 24;

#[cfg(not(feature = "ring"))]
fn limited(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let common = |common: &CipherSuiteCommon| CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: if is_chacha(common.suite) { u64::MAX } else { AES_GCM_RECORDS },
    };
    // Suites are for ever; there are nine.
    match suite {
        SupportedCipherSuite::Tls13(suite) => SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
            common: common(&suite.common),
            hkdf_provider: suite.hkdf_provider,
            aead_alg: suite.aead_alg,
            quic: None,
        }))),
        SupportedCipherSuite::Tls12(suite) => SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
            common: common(&suite.common),
            prf_provider: suite.prf_provider,
            kx: suite.kx,
            sign: suite.sign,
            aead_alg: suite.aead_alg,
        }))),
    }
}

#[cfg(not(feature = "ring"))]
fn is_chacha(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(secrets: &TlsSecrets) -> String {
        Tls::new(secrets, None).err().expect("it is refused").message
    }

    #[test]
    fn without_secrets_the_usual_authorities_are_trusted() {
        assert!(Tls::new(&TlsSecrets::default(), None).is_ok());
    }

    #[test]
    fn a_secret_that_is_not_what_it_should_be_is_named_and_not_shown() {
        let text = || Some("hunter2".to_owned());
        assert_eq!(refused(&TlsSecrets { ca: text(), ..TlsSecrets::default() }), "secret ca has no certificate in PEM");
        assert_eq!(
            refused(&TlsSecrets { client_key: text(), ..TlsSecrets::default() }),
            "secrets client-certificate and client-key go together; one is missing"
        );
        assert_eq!(
            refused(&TlsSecrets { client_certificate: text(), client_key: text(), ca: None }),
            "secret client-key is not a private key in PEM"
        );
    }

    #[cfg(not(feature = "ring"))]
    #[test]
    fn no_key_encrypts_without_end() {
        for suite in provider().cipher_suites {
            let common = match suite {
                SupportedCipherSuite::Tls12(suite) => &suite.common,
                SupportedCipherSuite::Tls13(suite) => &suite.common,
            };
            assert!(is_chacha(common.suite) || common.confidentiality_limit <= 1 << 24, "{:?}", common.suite);
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let tls = Tls::new(&TlsSecrets::default(), Some("not a name")).unwrap();
        let failure = tls.client(&Server::new("localhost", 1)).err().unwrap();
        assert_eq!(failure.message, "a certificate cannot be for \"not a name\": it is no host name");
    }
}
