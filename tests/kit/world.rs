//! The hostile backend as a subject of the kit, on each of its media.

use std::{collections::BTreeMap, path::Path, sync::LazyLock, time::Duration};

use sigbox::sandbox::{Grant, Limits, Live, Sandbox, Secret};
use sigbox_kit::{Case, ComponentSubject, Report};
use tempfile::TempDir;

use super::document_server::DocumentServer;
use crate::support::plugin;

/// Time of a call: enough for a document on a busy machine, and hangs are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The password the hostile backend is given.
pub(super) const PASSWORD: &str = "hunter2-hunter2";

/// Where the hostile backend has its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Memory,
    Folder,
    Server,
}

/// A subject, and what it needs for as long as it is used.
pub(super) struct World {
    pub(super) subject: ComponentSubject,
    pub(super) server: DocumentServer,
    _folder: TempDir,
}

impl World {
    /// The hostile backend, with `fault` if there is to be one.
    pub(super) async fn new(medium: Medium, fault: &str) -> Self {
        let (server, folder) = (DocumentServer::start().await, tempfile::tempdir().expect("there is room"));
        let mut binding = Grant { name: "tested".to_owned(), ..Grant::default() };
        let mut set = |name: &str, value: &str| binding.settings.insert(name.to_owned(), value.to_owned());
        set("fault", fault);
        match medium {
            Medium::Memory => {}
            Medium::Folder => {
                set("medium", "folder");
                binding.directories = BTreeMap::from([("/data".to_owned(), folder.path().to_owned())]);
            }
            Medium::Server => {
                set("medium", "server");
                set("server", server.address());
                binding.network = vec![server.address().parse().expect("it is an address")];
            }
        }
        binding.secrets.insert("password".to_owned(), Secret::from(PASSWORD.to_owned()));
        let subject = ComponentSubject::new(sandbox(), plugin("hostile/backend"), binding);
        Self { subject, server, _folder: folder }
    }

    /// Runs the cases of these names.
    pub(super) async fn run(&self, names: &[&str]) -> Report {
        let cases: Vec<&Case> = names.iter().map(|name| case(name)).collect();
        sigbox_kit::run_cases(&self.subject, cases, |_| ()).await
    }
}

pub(super) fn case(name: &str) -> &'static Case {
    sigbox_kit::cases().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case {name:?}"))
}

/// One for all, so that components are compiled once.
pub(super) fn sandbox() -> Sandbox<Live> {
    static SANDBOX: LazyLock<Sandbox<Live>> = LazyLock::new(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kit-cache");
        let limits = Limits { store_timeout: PATIENCE, ..Limits::default() };
        Sandbox::new(limits, Some(cache)).expect("this machine runs WebAssembly")
    });
    SANDBOX.clone()
}
