//! The conformance kit.

mod command;
mod document_server;
mod documentation;
mod faults;
mod fence;
mod world;
