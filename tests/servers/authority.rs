//! A certificate authority that nobody trusts unless told to.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority and its certificate.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = named("an authority of tests", Vec::new());
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is randomness");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("the parameters are good"))
    }

    /// Its own certificate, in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("there is randomness");
        let parameters = named(name, vec![name.to_owned()]);
        let certificate = parameters.signed_by(&key, &self.0).expect("the parameters are good");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes `ca.pem`, and `server.pem` and `server.key` for `name`, into a folder.
    pub(super) fn equip(&self, folder: &Path, name: &str) {
        let Identity { certificate, key } = self.identity(name);
        for (file, text) in [("ca.pem", self.certificate()), ("server.pem", certificate), ("server.key", key)] {
            fs::write(folder.join(file), text).expect("a file can be written");
        }
    }
}

/// Whose subject is its own: with the same one as its authority, a certificate would be taken for self-signed.
fn named(subject: &str, names: Vec<String>) -> CertificateParams {
    let mut parameters = CertificateParams::new(names).expect("the names are good");
    parameters.distinguished_name.push(DnType::CommonName, subject);
    parameters
}
