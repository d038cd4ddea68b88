//! Proving who we are, and having the server prove that it knows it.

use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::bad_setting;

use crate::connection::{Connection, Trouble};

/// Does what the server asks for: nothing (`trust`, `peer`, certificates), SCRAM-SHA-256, or within TLS the password
/// itself. Whoever asks for less than SCRAM outside TLS could be anyone.
pub(crate) fn authenticate(connection: &mut Connection, password: Option<&str>) -> Result<(), Trouble> {
    match connection.message()? {
        Message::AuthenticationOk => return Ok(()),
        Message::AuthenticationSasl(offer) => scram(connection, &offer, known(password)?)?,
        Message::AuthenticationCleartextPassword if connection.is_secured() => {
            let password = known(password)?;
            connection.put(|buffer| frontend::password_message(password.as_bytes(), buffer))?;
        }
        Message::AuthenticationCleartextPassword => {
            return Err(denied("the server asks for the password itself, which is sent within TLS only"));
        }
        Message::AuthenticationMd5Password(_) => {
            return Err(denied(
                "the server asks for MD5, which is broken; set password_encryption = scram-sha-256 there, and the \
                 password anew",
            ));
        }
        _ => return Err(denied("the server asks for a proof that this plugin cannot give; SCRAM-SHA-256 it can")),
    }
    match connection.message()? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(denied("the server did not say whether it takes the password")),
    }
}

fn scram(connection: &mut Connection, offer: &AuthenticationSaslBody, password: &str) -> Result<(), Trouble> {
    use fallible_iterator::FallibleIterator as _;
    if !offer.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
        return Err(denied("the server offers no SCRAM-SHA-256"));
    }
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    connection.put(|buffer| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer))?;
    match connection.message()? {
        Message::AuthenticationSaslContinue(challenge) => scram.update(challenge.data())?,
        _ => return Err(denied("the server left SCRAM in the middle")),
    }
    connection.put(|buffer| frontend::sasl_response(scram.message(), buffer))?;
    match connection.message()? {
        // Whoever does not know the password fails here, before it learns any document.
        Message::AuthenticationSaslFinal(proof) => {
            scram.finish(proof.data()).map_err(|_| denied("the server does not know the password"))
        }
        _ => Err(denied("the server left SCRAM in the middle")),
    }
}

fn known(password: Option<&str>) -> Result<&str, Trouble> {
    password.ok_or_else(|| Trouble::Refused(bad_setting("the server asks for a password; secret password is missing")))
}

fn denied(message: &str) -> Trouble {
    Trouble::Refused(Failure::give_up("denied", message))
}
