//! Values of the component model as values of JavaScript: numbers are numbers, none is null, names are in camel case.

use std::fmt;

use rquickjs::{Array, BigInt, Ctx, Function, Object, Result, TypedArray, Value, function::This};

/// A type of the component model.
pub trait Wit: Sized {
    /// Reads a value of JavaScript.
    ///
    /// # Errors
    /// When it is of another type.
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch>;

    /// Makes a value of JavaScript.
    ///
    /// # Errors
    /// When there is no memory.
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>>;
}

/// A value that is not what it should be.
#[derive(Debug, PartialEq)]
pub struct Mismatch {
    /// Where it is, from the outermost value: ".address.port".
    path: String,
    wanted: String,
    found: String,
}

impl Mismatch {
    /// `wanted` is what it should be: "a number".
    #[must_use]
    pub fn new(wanted: &str, found: &Value<'_>) -> Self {
        Self { path: String::new(), wanted: wanted.to_owned(), found: show(found) }
    }

    fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}{}", self.path), ..self }
    }

    /// The whole sentence; `name` is what the outermost value is called.
    #[must_use]
    pub fn sentence(&self, name: &str) -> String {
        format!("{name}{self}")
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} must be {}; found {}", self.path, self.wanted, self.found)
    }
}

/// A value as a message shows it, short.
fn show(value: &Value<'_>) -> String {
    if value.is_undefined() {
        return "nothing".to_owned();
    }
    if let Some(object) = value.as_object()
        && (object.is_function() || object.is_error() || object.is_promise())
    {
        return value.type_name().to_owned();
    }
    let text = value.ctx().json_stringify(value.clone()).ok().flatten().and_then(|text| text.to_string().ok());
    if text.is_none() {
        // What cannot be written, such as a circle, leaves an exception behind.
        value.ctx().catch();
    }
    let text = text.unwrap_or_else(|| value.type_name().to_owned());
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The field `name` of an object.
///
/// # Errors
/// When `value` is no object, or the field is of another type.
pub fn field<T: Wit>(value: &Value<'_>, name: &str) -> std::result::Result<T, Mismatch> {
    T::from_js(&get(value, name)?).map_err(|mismatch| mismatch.within(&format!(".{name}")))
}

/// Whether the flag `name` of an object is set. One that is missing is not.
///
/// # Errors
/// As [`field`].
pub fn flag(value: &Value<'_>, name: &str) -> std::result::Result<bool, Mismatch> {
    let flag = get(value, name)?;
    if flag.is_undefined() {
        Ok(false)
    } else {
        bool::from_js(&flag).map_err(|mismatch| mismatch.within(&format!(".{name}")))
    }
}

fn get<'js>(value: &Value<'js>, name: &str) -> std::result::Result<Value<'js>, Mismatch> {
    let object = value.as_object().ok_or_else(|| Mismatch::new("an object", value))?;
    object.get(name).map_err(|_| {
        value.ctx().catch();
        Mismatch::new(&format!("an object with a readable {name}"), value)
    })
}

/// The text of a string.
///
/// # Errors
/// When it is no string.
pub fn text(value: &Value<'_>) -> std::result::Result<String, Mismatch> {
    let mismatch = || Mismatch::new("a string", value);
    let string = value.as_string().ok_or_else(mismatch)?;
    // A lone half of a surrogate pair becomes the sign for what is no character.
    string.to_string().or_else(|_| {
        value.ctx().catch();
        well_formed(value).map_err(|_| {
            value.ctx().catch();
            mismatch()
        })
    })
}

fn well_formed(value: &Value<'_>) -> Result<String> {
    let string: Object<'_> = value.ctx().globals().get("String")?;
    let prototype: Object<'_> = string.get("prototype")?;
    prototype.get::<_, Function<'_>>("toWellFormed")?.call((This(value.clone()),))
}

/// A new object.
///
/// # Errors
/// When there is no memory.
pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    Object::new(ctx.clone())
}

/// A new string.
///
/// # Errors
/// When there is no memory.
pub fn string<'js>(ctx: &Ctx<'js>, text: &str) -> Result<Value<'js>> {
    Ok(rquickjs::String::from_str(ctx.clone(), text)?.into_value())
}

/// A case of a variant.
///
/// # Errors
/// When there is no memory.
pub fn tagged<'js>(ctx: &Ctx<'js>, tag: &str, val: Option<Value<'js>>) -> Result<Value<'js>> {
    let object = object(ctx)?;
    object.set("tag", tag)?;
    if let Some(val) = val {
        object.set("val", val)?;
    }
    Ok(object.into_value())
}

impl Wit for bool {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        value.as_bool().ok_or_else(|| Mismatch::new("true or false", value))
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(Value::new_bool(ctx.clone(), self))
    }
}

impl Wit for f64 {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        value.as_number().ok_or_else(|| Mismatch::new("a number", value))
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(Value::new_number(ctx.clone(), self))
    }
}

impl Wit for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the nearest one")]
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        f64::from_js(value).map(|number| number as Self)
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        f64::from(self).to_js(ctx)
    }
}

macro_rules! whole_numbers {
    ($($rust:ty),*) => {$(
        impl Wit for $rust {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                clippy::cast_lossless, clippy::float_cmp, reason = "compared with what it was, and not of every type")]
            fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
                let number = match value.as_number() {
                    Some(number) => number,
                    None => big(value).ok_or_else(|| Mismatch::new("a whole number", value))? as f64,
                };
                let whole = number as Self;
                if whole as f64 == number {
                    Ok(whole)
                } else {
                    let wanted = format!("a whole number from {} to {}", Self::MIN, Self::MAX);
                    Err(Mismatch::new(&wanted, value))
                }
            }
            #[allow(clippy::cast_precision_loss, clippy::cast_lossless, reason = "numbers of JavaScript have 53 bits")]
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                Ok(Value::new_number(ctx.clone(), self as f64))
            }
        }
    )*};
}
whole_numbers!(u16, u32, u64, i8, i16, i32, i64);

/// The number of a `BigInt`.
fn big(value: &Value<'_>) -> Option<i64> {
    value.clone().into_big_int().and_then(|big: BigInt<'_>| big.to_i64().ok())
}

/// Lists of bytes have a type of their own in JavaScript, and there is no list type but [`Vec`], so `u8` says how a list
/// of it is made.
impl Wit for u8 {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        let wide = u16::from_js(value)?;
        wide.try_into().map_err(|_| Mismatch::new("a whole number from 0 to 255", value))
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        u16::from(self).to_js(ctx)
    }
}

impl Wit for char {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        let text = text(value)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Ok(character),
            _ => Err(Mismatch::new("one character", value)),
        }
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        string(ctx, self.encode_utf8(&mut [0; 4]))
    }
}

impl Wit for String {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        text(value)
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        string(ctx, &self)
    }
}

impl Wit for () {
    fn from_js(_: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        Ok(())
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(Value::new_undefined(ctx.clone()))
    }
}

impl<T: Wit> Wit for Option<T> {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        if value.is_null() || value.is_undefined() { Ok(None) } else { T::from_js(value).map(Some) }
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            None => Ok(Value::new_null(ctx.clone())),
            Some(some) => some.to_js(ctx),
        }
    }
}

/// A result inside of another value. That of a function is thrown or returned.
impl<T: Wit, E: Wit> Wit for std::result::Result<T, E> {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        match field::<String>(value, "tag")?.as_str() {
            "ok" => field(value, "val").map(Ok),
            "err" => field(value, "val").map(Err),
            _ => Err(Mismatch::new("with a tag of \"ok\", \"err\"", value)),
        }
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Ok(ok) => tagged(ctx, "ok", Some(ok.to_js(ctx)?)),
            Err(error) => tagged(ctx, "err", Some(error.to_js(ctx)?)),
        }
    }
}

impl<T: Wit + 'static> Wit for Vec<T> {
    fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
        let is_bytes = std::any::TypeId::of::<T>() == std::any::TypeId::of::<u8>();
        if is_bytes && let Ok(bytes) = TypedArray::<u8>::from_value(value.clone()) {
            // SAFETY: nothing of JavaScript runs while the bytes are copied.
            let bytes =
                unsafe { bytes.as_bytes() }.ok_or_else(|| Mismatch::new("an array that was not given away", value))?;
            let bytes: Box<dyn std::any::Any> = Box::new(bytes.to_vec());
            return Ok(*bytes.downcast::<Self>().expect("of bytes"));
        }
        let mismatch = || Mismatch::new(if is_bytes { "a Uint8Array" } else { "an array" }, value);
        let array: &Array<'_> = value.as_array().ok_or_else(mismatch)?;
        let mut list = Self::with_capacity(array.len());
        for index in 0..array.len() {
            let element: Value<'_> = array.get(index).map_err(|_| {
                value.ctx().catch();
                mismatch()
            })?;
            list.push(T::from_js(&element).map_err(|mismatch| mismatch.within(&format!("[{index}]")))?);
        }
        Ok(list)
    }
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let list: Box<dyn std::any::Any> = Box::new(self);
        let list = match list.downcast::<Vec<u8>>() {
            Ok(bytes) => return Ok(TypedArray::new(ctx.clone(), *bytes)?.into_value()),
            Err(list) => *list.downcast::<Self>().expect("what it was"),
        };
        let array = Array::new(ctx.clone())?;
        for (index, element) in list.into_iter().enumerate() {
            array.set(index, element.to_js(ctx)?)?;
        }
        Ok(array.into_value())
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*)),*) => {$(
        impl<$($name: Wit),*> Wit for ($($name,)*) {
            fn from_js(value: &Value<'_>) -> std::result::Result<Self, Mismatch> {
                let length = [$($index),*].len();
                let mismatch = || Mismatch::new(&format!("an array of {length}"), value);
                let array = value.as_array().filter(|array| array.len() == length).ok_or_else(mismatch)?;
                Ok(($({
                    let element: Value<'_> = array.get($index).map_err(|_| mismatch())?;
                    $name::from_js(&element).map_err(|mismatch| mismatch.within(concat!("[", $index, "]")))?
                },)*))
            }
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                let array = Array::new(ctx.clone())?;
                $(array.set($index, self.$index.to_js(ctx)?)?;)*
                Ok(array.into_value())
            }
        }
    )*};
}
tuples!(
    (A 0),
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
);
