//! What the host lends, as functions and classes of JavaScript.

use std::{cell::RefCell, rc::Rc};

use rquickjs::{
    Array, Class, Ctx, Error, Exception, Function, JsLifetime, Object, Result, Symbol, Value,
    atom::PredefinedAtom,
    class::{JsClass, Readable, Trace, Tracer},
    function::{Constructor, Rest, This},
};

use crate::{Mismatch, Wit, convert};

/// A function of JavaScript: its context, `this` and its arguments.
pub type Native = for<'js> fn(&Ctx<'js>, &Value<'js>, &[Value<'js>]) -> Result<Value<'js>>;

/// Makes a class: of what `new` does, and the functions of the class itself.
pub type Make = for<'js> fn(&Ctx<'js>, Option<Native>, &[(&str, Native)]) -> Result<Value<'js>>;

/// An interface of the host, as a module.
#[derive(Clone, Copy)]
pub struct Import {
    /// What an import statement says: "sigbox:host/market@0.1.0".
    pub name: &'static str,
    /// What the module exports.
    pub items: &'static [Item],
}

/// What a module of the host exports.
#[derive(Clone, Copy)]
pub enum Item {
    /// A function.
    Function(&'static str, Native),
    /// A resource.
    Class {
        /// Its name in JavaScript.
        name: &'static str,
        /// Makes the class.
        make: Make,
        /// What `new` does.
        constructor: Option<Native>,
        /// Functions of the class itself.
        statics: &'static [(&'static str, Native)],
    },
}

impl Item {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Function(name, _) | Self::Class { name, .. } => name,
        }
    }

    pub(crate) fn value<'js>(&self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match *self {
            Self::Function(name, native) => Ok(function(ctx, name, native)?.into_value()),
            Self::Class { make, constructor, statics, .. } => make(ctx, constructor, statics),
        }
    }
}

fn function<'js>(ctx: &Ctx<'js>, name: &str, native: Native) -> Result<Function<'js>> {
    let call = move |ctx: Ctx<'js>, this: This<Value<'js>>, args: Rest<Value<'js>>| native(&ctx, &this, &args);
    Function::new(ctx.clone(), call)?.with_name(name)
}

// ---- Arguments and answers.

/// An argument of `function`.
///
/// # Errors
/// Throws a `TypeError` that names it, if it is of another type.
pub fn argument<'js, T: Wit>(ctx: &Ctx<'js>, function: &str, name: &str, value: Option<&Value<'js>>) -> Result<T> {
    let missing = Value::new_undefined(ctx.clone());
    T::from_js(value.unwrap_or(&missing)).map_err(|mismatch| refuse(ctx, function, name, &mismatch))
}

/// An argument that is lent to the host for the call.
///
/// # Errors
/// As [`argument`].
pub fn lent<'js, T: Resource>(ctx: &Ctx<'js>, function: &str, name: &str, value: Option<&Value<'js>>) -> Result<Rc<T>> {
    let missing = Value::new_undefined(ctx.clone());
    lend(value.unwrap_or(&missing)).map_err(|mismatch| refuse(ctx, function, name, &mismatch))
}

/// A list of arguments that are lent to the host for the call.
///
/// # Errors
/// As [`argument`].
pub fn lent_list<'js, T: Resource>(
    ctx: &Ctx<'js>,
    function: &str,
    name: &str,
    value: Option<&Value<'js>>,
) -> Result<Vec<Rc<T>>> {
    let missing = Value::new_undefined(ctx.clone());
    let value = value.unwrap_or(&missing);
    let array: &Array<'js> =
        value.as_array().ok_or_else(|| refuse(ctx, function, name, &Mismatch::new("an array", value)))?;
    array.iter::<Value<'js>>().map(|element| lent(ctx, function, name, Some(&element?))).collect()
}

/// The object whose method is called.
///
/// # Errors
/// Throws a `TypeError` if it is another one, or is gone.
pub fn this<'js, T: Resource>(ctx: &Ctx<'js>, function: &str, value: &Value<'js>) -> Result<Rc<T>> {
    lend(value).map_err(|mismatch| refuse(ctx, function, "this", &mismatch))
}

fn refuse(ctx: &Ctx<'_>, function: &str, name: &str, mismatch: &Mismatch) -> Error {
    Exception::throw_type(ctx, &format!("{function}(): {}", mismatch.sentence(name)))
}

/// What a function returns.
///
/// # Errors
/// When there is no memory.
pub fn answer<'js, T: Wit>(ctx: &Ctx<'js>, value: T) -> Result<Value<'js>> {
    value.to_js(ctx)
}

/// What a function returns that may fail.
///
/// # Errors
/// Throws an `Error` whose `payload` is the error of the result.
pub fn outcome<'js, T: Wit, E: Wit>(ctx: &Ctx<'js>, value: std::result::Result<T, E>) -> Result<Value<'js>> {
    let error = match value {
        Ok(value) => return value.to_js(ctx),
        Err(error) => error.to_js(ctx)?,
    };
    let message = match error.as_object() {
        Some(record) => record.get("message").ok().or_else(|| record.get("tag").ok()),
        None => convert::text(&error).ok(),
    };
    let exception = Exception::from_message(ctx.clone(), &message.unwrap_or_else(|| "the call failed".to_owned()))?;
    exception.as_object().set("payload", error)?;
    Err(exception.throw())
}

// ---- Resources.

/// A resource of the host.
pub trait Resource: Sized + 'static {
    /// Its name in JavaScript.
    const NAME: &'static str;
    /// Its methods.
    const METHODS: &'static [(&'static str, Native)];
}

/// An object of a resource. It is empty once it was given to the host or disposed of.
struct Handle<T>(RefCell<Option<Rc<T>>>);

impl<'js, T> Trace<'js> for Handle<T> {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

// SAFETY: it has nothing of JavaScript.
unsafe impl<T: 'static> JsLifetime<'_> for Handle<T> {
    type Changed<'to> = Self;
}

impl<'js, T: Resource> JsClass<'js> for Handle<T> {
    const NAME: &'static str = T::NAME;
    type Mutable = Readable;

    fn prototype(ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        let prototype = Object::new(ctx.clone())?;
        for (name, native) in T::METHODS {
            prototype.set(*name, function(ctx, name, *native)?)?;
        }
        let dispose: Symbol<'js> = ctx.globals().get::<_, Object<'js>>(PredefinedAtom::Symbol)?.get("dispose")?;
        prototype.set(dispose, function(ctx, "dispose", dispose_of::<T>)?)?;
        Ok(Some(prototype))
    }

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as every function of JavaScript")]
fn dispose_of<'js, T: Resource>(ctx: &Ctx<'js>, this: &Value<'js>, _: &[Value<'js>]) -> Result<Value<'js>> {
    if let Some(handle) = handle::<T>(this) {
        handle.borrow().0.take();
    }
    Ok(Value::new_undefined(ctx.clone()))
}

fn handle<'js, T: Resource>(value: &Value<'js>) -> Option<Class<'js, Handle<T>>> {
    Class::from_object(value.as_object()?)
}

fn lend<T: Resource>(value: &Value<'_>) -> std::result::Result<Rc<T>, Mismatch> {
    let handle = handle::<T>(value).ok_or_else(|| Mismatch::new(T::NAME, value))?;
    let lent = handle.borrow().0.borrow().clone();
    lent.ok_or_else(|| Mismatch::new(&format!("a {} that was not disposed of or given away", T::NAME), value))
}

/// Takes an object from JavaScript for good.
///
/// # Errors
/// When it is of another class, or is gone.
pub fn take<T: Resource>(value: &Value<'_>) -> std::result::Result<T, Mismatch> {
    let lent = lend::<T>(value)?;
    if let Some(handle) = handle::<T>(value) {
        handle.borrow().0.take();
    }
    Rc::try_unwrap(lent).map_err(|_| Mismatch::new(&format!("a {} that is not in use", T::NAME), value))
}

/// Makes an object of JavaScript.
///
/// # Errors
/// When there is no memory.
pub fn give<'js, T: Resource>(ctx: &Ctx<'js>, resource: T) -> Result<Value<'js>> {
    Ok(Class::instance(ctx.clone(), Handle(RefCell::new(Some(Rc::new(resource)))))?.into_value())
}

/// The class of a resource.
///
/// # Errors
/// When there is no memory.
pub fn class<'js, T: Resource>(
    ctx: &Ctx<'js>,
    constructor: Option<Native>,
    statics: &[(&str, Native)],
) -> Result<Value<'js>> {
    let make = move |ctx: Ctx<'js>, args: Rest<Value<'js>>| match constructor {
        Some(native) => native(&ctx, &Value::new_undefined(ctx.clone()), &args),
        None => Err(Exception::throw_type(&ctx, &format!("{} has no constructor", T::NAME))),
    };
    let class = Constructor::new_class::<Handle<T>, _, _>(ctx.clone(), make)?;
    for (name, native) in statics {
        class.set(*name, function(ctx, name, *native)?)?;
    }
    Ok(class.into_value())
}
