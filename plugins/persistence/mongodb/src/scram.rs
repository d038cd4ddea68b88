//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the side of the client.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Fewer make the password easy to guess; RFC 7677 asks for these.
const ITERATIONS_MIN: u32 = 4096;

/// MongoDB's own number is 15,000. More than these would keep a processor busy for longer than a call may take.
const ITERATIONS_MAX: u32 = 600_000;

/// No channel binding, in base64: `n,,`.
const CHANNEL: &str = "biws";

type Bytes = [u8; 32];

/// The first message is said; the server's answer is waited for.
pub(crate) struct Begun {
    first_bare: String,
    nonce: String,
}

/// Our proof is given; the server's is waited for.
pub(crate) struct Proven {
    server_key: Bytes,
    authenticated: String,
}

impl Begun {
    /// `nonce`: random, printable, without commas.
    pub(crate) fn new(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { first_bare: format!("n={user},r={nonce}"), nonce }
    }

    /// What the client says first.
    pub(crate) fn message(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// What the client answers to the server's challenge.
    ///
    /// # Errors
    /// A text that says what is wrong with the challenge, or with the password.
    pub(crate) fn prove(self, password: &str, challenge: &[u8]) -> Result<(Proven, String), String> {
        let unreadable = || "the server's challenge is not one of SCRAM".to_owned();
        let challenge = str::from_utf8(challenge).map_err(|_| unreadable())?;
        let nonce = field(challenge, "r=").ok_or_else(unreadable)?;
        let salt = field(challenge, "s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or_else(unreadable)?;
        let iterations = field(challenge, "i=").and_then(|count| count.parse().ok()).ok_or_else(unreadable)?;
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err("the server's challenge is not for this login".to_owned());
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(format!(
                "the server asks for {iterations} iterations; from {ITERATIONS_MIN} to {ITERATIONS_MAX} are taken"
            ));
        }
        let password = stringprep::saslprep(password)
            .map_err(|_| "the secret password has characters that SCRAM does not allow".to_owned())?;
        let salted: Bytes = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let without_proof = format!("c={CHANNEL},r={nonce}");
        let authenticated = format!("{},{challenge},{without_proof}", self.first_bare);
        let signature = hmac(&Sha256::digest(client_key), authenticated.as_bytes());
        let mut proof = client_key;
        proof.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok((Proven { server_key: hmac(&salted, b"Server Key"), authenticated }, message))
    }
}

impl Proven {
    /// Whether `last`, the server's last message, shows that it knows the password.
    pub(crate) fn is_known_to(&self, last: &[u8]) -> bool {
        let signature = str::from_utf8(last).ok().and_then(|last| STANDARD.decode(field(last, "v=")?).ok());
        signature.is_some_and(|signature| {
            // Compares in constant time.
            keyed(&self.server_key).chain_update(&self.authenticated).verify_slice(&signature).is_ok()
        })
    }
}

fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|field| field.strip_prefix(name))
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn hmac(key: &[u8], text: &[u8]) -> Bytes {
    keyed(key).chain_update(text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn begun() -> Begun {
        Begun::new("user", NONCE.to_owned())
    }

    #[test]
    fn it_is_the_example_of_the_standard() {
        assert_eq!(begun().message(), format!("n,,n=user,r={NONCE}"));
        let (proven, message) = begun().prove("pencil", CHALLENGE.as_bytes()).unwrap();
        assert_eq!(message, PROOF);
        assert!(proven.is_known_to(LAST.as_bytes()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let (proven, _) = begun().prove("pencil", CHALLENGE.as_bytes()).unwrap();
        let other = LAST.replace("6rri", "7rri");
        for last in ["", "v=", "v=!", "e=other-error", "v=6rriTRBi23WpRR/wtup+mA==", &other] {
            assert!(!proven.is_known_to(last.as_bytes()), "{last}");
        }
        assert!(!proven.is_known_to(&[0xFF, 0xFE]));
    }

    #[test]
    fn challenges_that_are_none_are_refused() {
        let with_iterations = |count: &str| CHALLENGE.replace("i=4096", &format!("i={count}"));
        for (challenge, expected) in [
            (String::new(), "not one of SCRAM"),
            (CHALLENGE.replace("s=", "t="), "not one of SCRAM"),
            (CHALLENGE.replace("s=W", "s=!"), "not one of SCRAM"),
            (with_iterations("-1"), "not one of SCRAM"),
            (with_iterations("4294967296"), "not one of SCRAM"),
            (CHALLENGE.replace("r=rO", "r=xx"), "not for this login"),
            (CHALLENGE.replace("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""), "not for this login"),
            (with_iterations("4095"), "asks for 4095 iterations"),
            (with_iterations("600001"), "asks for 600001 iterations"),
        ] {
            let refusal = begun().prove("pencil", challenge.as_bytes()).err().expect("it is refused");
            assert!(refusal.contains(expected), "{challenge}: {refusal}");
        }
        assert!(begun().prove("pencil", &[0xFF]).is_err());
        assert!(begun().prove("a\u{7}b", CHALLENGE.as_bytes()).err().unwrap().contains("the secret password"));
    }

    #[test]
    fn a_user_may_have_any_name() {
        assert_eq!(Begun::new("a=b,c", "x".to_owned()).message(), "n,,n=a=3Db=2Cc,r=x");
    }
}
