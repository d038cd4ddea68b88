//! Proving who we are, and having the server prove that it knows it.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bson::{RawDocument, RawDocumentBuf, cstr, raw::RawBinaryRef, rawdoc, spec::BinarySubtype};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::bad_setting;

use crate::{
    connection::{Connection, Trouble, number},
    scram::Begun,
    settings::User,
};

const NONCE_BYTES: usize = 24;

/// Logs in by SCRAM-SHA-256. Whoever does not know the password fails here, before it learns any document.
pub(crate) fn authenticate(connection: &mut Connection, user: &User) -> Result<(), Trouble> {
    let Some(password) = &user.password else {
        return Err(Trouble::Refused(bad_setting("the url has a user; secret password is missing")));
    };
    let begun = Begun::new(&user.name, nonce()?);
    let mut start = rawdoc! { "saslStart": 1, "mechanism": "SCRAM-SHA-256", "options": { "skipEmptyExchange": true } };
    append(&mut start, begun.message().as_bytes());
    let answer = connection.ask(&user.database, start)?;
    let conversation = number(&answer, "conversationId").unwrap_or_default();
    let (proven, message) = begun.prove(password, payload(&answer)?).map_err(|why| denied(&why))?;

    let answer = go_on(connection, user, conversation, message.as_bytes())?;
    if !proven.is_known_to(payload(&answer)?) {
        return Err(denied("the server does not know the password"));
    }
    // Servers before 4.4 want to hear an empty message.
    if !is_done(&answer) && !is_done(&go_on(connection, user, conversation, b"")?) {
        return Err(denied("the server did not say whether it takes the password"));
    }
    Ok(())
}

fn go_on(
    connection: &mut Connection,
    user: &User,
    conversation: i64,
    message: &[u8],
) -> Result<RawDocumentBuf, Trouble> {
    let mut command = rawdoc! { "saslContinue": 1 };
    // As the server gave it: it is an `int`.
    match i32::try_from(conversation) {
        Ok(conversation) => command.append(cstr!("conversationId"), conversation),
        Err(_) => command.append(cstr!("conversationId"), conversation),
    }
    append(&mut command, message);
    connection.ask(&user.database, command)
}

fn append(command: &mut RawDocumentBuf, payload: &[u8]) {
    command.append(cstr!("payload"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: payload });
}

fn payload(answer: &RawDocument) -> Result<&[u8], Trouble> {
    answer.get_binary("payload").map(|payload| payload.bytes).map_err(|_| denied("the server left SCRAM in the middle"))
}

fn is_done(answer: &RawDocument) -> bool {
    answer.get_bool("done").unwrap_or(false)
}

fn nonce() -> Result<String, Trouble> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Trouble::Refused(Failure::give_up("other", format!("there is no randomness: {error}"))))?;
    Ok(STANDARD_NO_PAD.encode(bytes))
}

fn denied(message: &str) -> Trouble {
    Trouble::Refused(Failure::give_up("denied", message))
}
