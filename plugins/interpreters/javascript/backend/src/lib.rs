//! The interpreter of backends in JavaScript and TypeScript.

use std::cell::OnceCell;

use engine::{Ctx, Files, Guest, JsResult, Thrown, Value, Wit};

#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../../wit/0.1", "../wit"],
        world: "sigbox:interpreter/backend",
        generate_all,
    });
}

#[allow(clippy::all, clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
mod glue {
    include!(concat!(env!("OUT_DIR"), "/glue.rs"));
}

use bindings::{
    exports::sigbox::persistence::store::{Address, Descriptor, Failure, Guest as Exports, Page},
    sigbox::host::source,
};

std::thread_local! {
    static GUEST: OnceCell<Result<Guest, String>> = const { OnceCell::new() };
}

/// Calls a function of the SDK. The plugin is read before the first call.
fn call<T: Wit>(
    name: &str,
    arguments: impl for<'js> FnOnce(&Ctx<'js>) -> JsResult<Vec<Value<'js>>>,
) -> Result<T, Failure> {
    GUEST.with(|guest| {
        let load = || {
            let main = source::main();
            let mut files = Files { main: main.path.clone(), ..Files::default() };
            files.texts.extend(source::modules().into_iter().chain([main]).map(|file| (file.path, file.text)));
            Guest::load("sigbox/guest/backend", glue::IMPORTS, files)
        };
        let guest = guest.get_or_init(load).as_ref().map_err(|message| failure(message.clone()))?;
        guest.call(name, arguments).map_err(|thrown| match thrown {
            Thrown::Failure(failure) => failure,
            Thrown::Other(message) => failure(message),
        })
    })
}

fn failure(message: String) -> Failure {
    Failure { code: "other".to_owned(), message, retryable: false, retry_after_ms: None, extra: None }
}

struct Component;

impl Exports for Component {
    fn describe() -> Descriptor {
        // The SDK describes also what is broken. Without it there is nothing but a name, and `start` says why.
        call("describe", |_| Ok(Vec::new())).unwrap_or_else(|_| Descriptor {
            name: "javascript".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "a backend in JavaScript".to_owned(),
            features: Vec::new(),
            max_value_bytes: 0,
            extra: None,
        })
    }

    fn start() -> Result<(), Failure> {
        call("start", |_| Ok(Vec::new()))
    }

    fn wait_for_init(domain: String, entity_name: String, initial: bool) -> Result<(), Failure> {
        call("waitForInit", |ctx| Ok(vec![domain.to_js(ctx)?, entity_name.to_js(ctx)?, initial.to_js(ctx)?]))
    }

    fn read_value(at: Address) -> Result<Option<Vec<u8>>, Failure> {
        call("readValue", |ctx| Ok(vec![at.to_js(ctx)?]))
    }

    fn has_value(at: Address) -> Result<bool, Failure> {
        call("hasValue", |ctx| Ok(vec![at.to_js(ctx)?]))
    }

    fn write_value(at: Address, value: Vec<u8>, when_ms: u64) -> Result<(), Failure> {
        call("writeValue", |ctx| Ok(vec![at.to_js(ctx)?, value.to_js(ctx)?, when_ms.to_js(ctx)?]))
    }

    fn remove_value(at: Address) -> Result<bool, Failure> {
        call("removeValue", |ctx| Ok(vec![at.to_js(ctx)?]))
    }

    fn keys(domain: String, entity_name: String, cursor: Option<String>, limit: u32) -> Result<Page, Failure> {
        call("keys", |ctx| Ok(vec![domain.to_js(ctx)?, entity_name.to_js(ctx)?, cursor.to_js(ctx)?, limit.to_js(ctx)?]))
    }

    fn close() -> Result<(), Failure> {
        call("close", |_| Ok(Vec::new()))
    }
}

#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
mod export {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}
