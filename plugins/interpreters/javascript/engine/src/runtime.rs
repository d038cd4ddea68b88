//! A plugin that runs: its context, and the functions of the SDK that answer for it.

use std::{cell::Cell, rc::Rc};

use rquickjs::{
    CatchResultExt as _, CaughtError, Context, Ctx, Exception, Function, Module, Object, Persistent, Result, Runtime,
    Value,
};

use crate::{Files, Import, Wit, modules::Modules};

/// Bytes of stack for JavaScript. Beyond it, a call throws a `RangeError`. The stack of WebAssembly itself, which is the
/// host's, must last longer, because its end is a trap.
const STACK_BYTES: usize = 128 << 10;

/// A plugin whose text was read.
pub struct Guest {
    // Dropped in this order: what a context made must go before it.
    functions: Persistent<Object<'static>>,
    ask: Option<Persistent<Function<'static>>>,
    /// Whether a promise was rejected that nobody may look at.
    has_rejected: Rc<Cell<bool>>,
    context: Context,
    runtime: Runtime,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It keeps functions of the context, which must go first.
        self.runtime.set_host_promise_rejection_tracker(None);
    }
}

/// What a call threw.
pub enum Thrown<E> {
    /// What the SDK throws: the error of the function's result.
    Failure(E),
    /// Anything else, in words. The SDK lets nothing else through but what leaves it no room, such as memory that is
    /// used up.
    Other(String),
}

impl Guest {
    /// Reads the files of a plugin, as far as they can be read: a plugin that is broken says so when it is started.
    ///
    /// `sdk` is the module of the SDK that answers for this kind of plugin: "sigbox/guest/strategy".
    ///
    /// # Errors
    /// When there is no memory for an engine, or the SDK is broken.
    pub fn load(sdk: &str, imports: &'static [Import], files: Files) -> std::result::Result<Self, String> {
        let files = Rc::new(files);
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        runtime.set_max_stack_size(STACK_BYTES);
        let (resolver, loader) = Modules::new(Rc::clone(&files), imports);
        runtime.set_loader(resolver, loader);
        let context = Context::full(&runtime).map_err(|error| error.to_string())?;
        let (functions, ask) =
            context.with(|ctx| load(&ctx, sdk, &files).catch(&ctx).map_err(|error| error.to_string()))?;
        let has_rejected = Rc::new(Cell::new(false));
        let (tracked, flag) = (functions.clone(), Rc::clone(&has_rejected));
        runtime.set_host_promise_rejection_tracker(Some(Box::new(move |ctx, promise, reason, is_handled| {
            flag.set(true);
            // What cannot be tracked for want of memory is not told.
            let _ = tracked.clone().restore(&ctx).and_then(|functions: Object<'_>| {
                functions.get::<_, Function<'_>>("track")?.call::<_, ()>((promise, reason, is_handled))
            });
        })));
        Ok(Self { functions, ask, has_rejected, context, runtime })
    }

    /// Calls a function of the SDK.
    ///
    /// # Errors
    /// What it threw.
    pub fn call<T: Wit, E: Wit>(
        &self,
        name: &str,
        arguments: impl for<'js> FnOnce(&Ctx<'js>) -> Result<Vec<Value<'js>>>,
    ) -> std::result::Result<T, Thrown<E>> {
        let result = self.context.with(|ctx| {
            let called = (|| {
                let function: Function<'_> = self.functions.clone().restore(&ctx)?.get(name)?;
                let arguments = arguments(&ctx)?;
                function.call::<_, Value<'_>>((rquickjs::function::Rest(arguments),))
            })();
            match called.catch(&ctx) {
                Ok(value) => T::from_js(&value)
                    .map_err(|mismatch| Thrown::Other(mismatch.sentence(&format!("what {name}() returned")))),
                Err(CaughtError::Value(value)) => match E::from_js(&value) {
                    Ok(failure) => Err(Thrown::Failure(failure)),
                    Err(mismatch) => Err(Thrown::Other(mismatch.sentence(&format!("what {name}() threw")))),
                },
                Err(error) => Err(Thrown::Other(error.to_string())),
            }
        });
        self.finish_jobs();
        result
    }

    /// Asks a strategy.
    ///
    /// # Errors
    /// What it threw, in words: as [`Thrown::Other`].
    pub fn ask(&self, when_ms: f64, price: f64, candle: [f64; 5]) -> std::result::Result<(), String> {
        let Some(ask) = &self.ask else { return Err("the SDK has no getSignal".to_owned()) };
        let [open, high, low, close, volume] = candle;
        let result = self.context.with(|ctx| {
            ask.clone()
                .restore(&ctx)
                .and_then(|ask| ask.call::<_, ()>((when_ms, price, open, high, low, close, volume)))
                .catch(&ctx)
                .map_err(|error| error.to_string())
        });
        if self.runtime.is_job_pending() || self.has_rejected.get() {
            self.finish_jobs();
        }
        result
    }

    /// Runs what promises wait for. Nothing else can settle one, because a call of the host answers at once.
    fn finish_jobs(&self) {
        // A job that throws rejects the promise that it is for.
        while self.runtime.is_job_pending() {
            let _ = self.runtime.execute_pending_job();
        }
        if self.has_rejected.replace(false) {
            self.context.with(|ctx| {
                let functions: Result<Object<'_>> = self.functions.clone().restore(&ctx);
                let _ = functions.and_then(|functions| functions.get::<_, Function<'_>>("report")?.call::<_, ()>(()));
            });
        }
    }
}

type Functions = (Persistent<Object<'static>>, Option<Persistent<Function<'static>>>);

fn load(ctx: &Ctx<'_>, sdk: &str, files: &Files) -> Result<Functions> {
    let sdk: Object<'_> = Module::import(ctx, sdk)?.finish()?;
    let texts = crate::object(ctx)?;
    for (path, text) in &files.texts {
        texts.set(path.as_str(), text.as_str())?;
    }
    let author = Module::import(ctx, files.main.as_str()).and_then(|promise| promise.finish::<Object<'_>>());
    let functions: Object<'_> = match author.catch(ctx) {
        Ok(author) => sdk.get::<_, Function<'_>>("guest")?.call((author, files.main.as_str(), texts))?,
        Err(error) => {
            let error = match error {
                CaughtError::Exception(exception) => exception.into_value(),
                CaughtError::Value(value) => value,
                // A promise that nothing settles.
                CaughtError::Error(_) => {
                    let message = format!("{} waits for a promise that nothing settles", files.main);
                    Exception::from_message(ctx.clone(), &message)?.into_value()
                }
            };
            sdk.get::<_, Function<'_>>("broken")?.call((error, files.main.as_str(), texts))?
        }
    };
    let ask: Option<Function<'_>> = functions.get("getSignal")?;
    Ok((Persistent::save(ctx, functions), ask.map(|ask| Persistent::save(ctx, ask))))
}
