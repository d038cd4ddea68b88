//! The interpreter of strategies in JavaScript and TypeScript.

use std::cell::OnceCell;

use engine::{Files, Guest, Thrown};

#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../../wit/0.1", world: "strategy", generate_all });
}

#[allow(clippy::all, clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
mod glue {
    include!(concat!(env!("OUT_DIR"), "/glue.rs"));
}

use bindings::{
    exports::sigbox::strategy::strategy::{Descriptor, Failure, Guest as Exports},
    sigbox::{host::source, strategy::answer},
};

std::thread_local! {
    static GUEST: OnceCell<Result<Guest, String>> = const { OnceCell::new() };
}

/// Calls with the plugin, which is read before the first call.
fn with<T>(call: impl FnOnce(&Guest) -> T) -> Result<T, String> {
    GUEST.with(|guest| {
        let load = || {
            let main = source::main();
            let mut files = Files { main: main.path.clone(), ..Files::default() };
            files.texts.extend(source::modules().into_iter().chain([main]).map(|file| (file.path, file.text)));
            Guest::load("sigbox/guest/strategy", glue::IMPORTS, files)
        };
        guest.get_or_init(load).as_ref().map(call).map_err(Clone::clone)
    })
}

fn failure(message: String) -> Failure {
    Failure { code: "exception".to_owned(), message, retryable: false, extra: None }
}

struct Component;

impl Exports for Component {
    fn describe() -> Descriptor {
        let described = with(|guest| guest.call::<Descriptor, ()>("describe", |_| Ok(Vec::new())));
        // The SDK describes also what is broken. Without it there is nothing but a name, and `start` says why.
        described.ok().and_then(Result::ok).unwrap_or_else(|| Descriptor {
            name: "javascript".to_owned(),
            version: "0.0.0".to_owned(),
            interval: "1m".to_owned(),
            settings_schema: None,
            features: Vec::new(),
            extra: None,
        })
    }

    fn start() -> Result<(), Failure> {
        with(|guest| guest.call("start", |_| Ok(Vec::new()))).map_err(failure)?.map_err(|thrown| match thrown {
            Thrown::Failure(failure) => failure,
            Thrown::Other(message) => failure(message),
        })
    }

    fn get_signal(when_ms: u64, price: f64, open: f64, high: f64, low: f64, close: f64, volume: f64) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of the next hundred thousand years are exact")]
        let when_ms = when_ms as f64;
        let asked = with(|guest| guest.ask(when_ms, price, [open, high, low, close, volume]));
        if let Err(message) = asked.and_then(|asked| asked) {
            answer::fail("exception", &message, true);
        }
    }
}

#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
mod export {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}
