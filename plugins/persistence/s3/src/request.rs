//! Signed requests.

use std::{error::Error, time::SystemTime};

use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::settings::Settings;

/// What has to be encoded in a URL for the signature to be right: all but the unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATHS: AsciiSet = RESERVED.remove(b'/');

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `HEAD`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port; also the `host` header, which is signed.
    pub authority: String,
    /// Path and query, encoded.
    pub path_and_query: String,
    /// All headers but `host`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is asked of the server.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// `GET`, `HEAD`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The object's key; empty for the bucket.
    pub key: &'a str,
    /// Not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers beside those every request has.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Signs with a header, which covers the SHA-256 of the body: a server that checks the signature refuses a body that
/// changed on its way.
///
/// # Errors
/// When the parts do not make a request.
pub fn signed(settings: &Settings, now: SystemTime, ask: Ask<'_>) -> Result<Request, Box<dyn Error>> {
    let (scheme, authority) = (settings.scheme.as_str(), settings.host());
    let mut path_and_query = String::from("/");
    if settings.path_style {
        path_and_query.push_str(&settings.bucket);
        path_and_query.push('/');
    }
    path_and_query.extend(utf8_percent_encode(ask.key, &RESERVED_IN_PATHS));
    for (index, (name, value)) in ask.query.iter().enumerate() {
        path_and_query.push(if index == 0 { '?' } else { '&' });
        path_and_query.extend(utf8_percent_encode(name, &RESERVED));
        path_and_query.push('=');
        path_and_query.extend(utf8_percent_encode(value, &RESERVED));
    }

    let url = format!("{scheme}://{authority}{path_and_query}");
    let request = SignableRequest::new(ask.method, url, ask.headers.iter().copied(), SignableBody::Bytes(ask.body))?;
    let keys = &settings.credentials;
    let identity = aws_credential_types::Credentials::new(
        &keys.access_key_id,
        &keys.secret_access_key,
        keys.session_token.clone(),
        None,
        "sigbox",
    )
    .into();
    let mut how = SigningSettings::default();
    how.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    // S3 reads paths as they are.
    how.percent_encoding_mode = PercentEncodingMode::Single;
    how.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(&settings.region)
        .name("s3")
        .time(now)
        .settings(how)
        .build()?
        .into();
    let (instructions, _) = sign(request, &parameters)?.into_parts();

    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut headers: Vec<_> = ask.headers.iter().copied().chain(instructions.headers()).map(own).collect();
    // Zero too: without it an empty body is sent in chunks, and servers close the connection before the last one.
    headers.push(("content-length".to_owned(), ask.body.len().to_string()));
    Ok(Request {
        method: ask.method,
        scheme: scheme.to_owned(),
        authority,
        path_and_query,
        headers,
        body: ask.body.to_vec(),
    })
}
