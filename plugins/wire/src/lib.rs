//! How a persistence backend reaches its server: its settings, one TCP connection that never waits longer than a call
//! may take, and TLS.
//!
//! Nothing here is of one protocol, and all of it also runs natively, where it is tested.

mod failure;
mod look_up;
mod server;
mod settings;
mod stream;
mod tls;

pub use self::{
    failure::{bad_setting, lost},
    server::Server,
    settings::Settings,
    stream::Stream,
    tls::{Tls, TlsSecrets},
};
