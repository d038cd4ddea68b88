//! The conformance kit.

mod document_server;
mod faults;
mod world;
