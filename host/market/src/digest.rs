//! SHA-256 digests as hexadecimal text, the form in which people compare them.

use sha2::{Digest as _, Sha256, digest::Output};

/// The digest of `bytes`, in hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// A digest in hexadecimal.
#[must_use]
pub fn hex(digest: &Output<Sha256>) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
