//! Writing event lines as JSON. Events are almost all that a backtest writes, and the numbers of one are mostly those of
//! the one before. So a number's text is kept and copied, which takes a fifth of the time of making it again.

use crate::Number;

/// How many texts of numbers are kept: the numbers of a few events.
const KEPT: usize = 128;

/// Bytes of the longest text of a number: `-2.2250738585072014e-308`.
const LONGEST: usize = 24;

/// JSON that grows at its end.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) text: Vec<u8>,
    /// Each number at the place that follows from its bits, where it takes the place of another.
    numbers: Box<[KeptNumber; KEPT]>,
}

#[derive(Clone, Copy, Debug)]
struct KeptNumber {
    bits: u64,
    length: u8,
    text: [u8; LONGEST],
}

/// The name of a field as it is written, with what separates it from the field before. It must need no escapes.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(crate) use name;

/// What can be the value of a field.
pub(crate) trait Value {
    fn write(self, json: &mut Json);
}

impl Json {
    pub(crate) fn new() -> Self {
        // Zero is written as this too.
        let zero = KeptNumber { bits: 0, length: 1, text: [b'0'; LONGEST] };
        Self { text: Vec::new(), numbers: Box::new([zero; KEPT]) }
    }

    /// An object with the fields that `write` writes: at least one.
    #[inline]
    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        let began = self.text.len();
        write(self);
        // Where the first field has the comma that separates the others.
        self.text[began] = b'{';
        self.text.push(b'}');
    }

    /// A field of an object, with a name from [`name!`].
    #[inline]
    pub(crate) fn field(&mut self, name: &'static str, value: impl Value) {
        self.text.extend_from_slice(name.as_bytes());
        value.write(self);
    }

    /// A field that is left out where there is no value.
    #[inline]
    pub(crate) fn optional(&mut self, name: &'static str, value: Option<impl Value>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn of_serde(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.text, value).expect("texts and numbers can be written as JSON");
    }
}

impl Value for Number {
    #[inline]
    fn write(self, json: &mut Json) {
        let bits = self.0.to_bits();
        // The low bits of a price differ most.
        #[expect(clippy::cast_possible_truncation, reason = "any part of the bits chooses a place")]
        let place = (bits ^ (bits >> 45)) as usize % KEPT;
        let kept = &json.numbers[place];
        if kept.bits == bits {
            json.text.extend_from_slice(&kept.text[..usize::from(kept.length)]);
            return;
        }
        let began = json.text.len();
        json.of_serde(&self);
        let text = &json.text[began..];
        let kept = &mut json.numbers[place];
        if let (Some(place), Ok(length)) = (kept.text.get_mut(..text.len()), u8::try_from(text.len())) {
            place.copy_from_slice(text);
            (kept.bits, kept.length) = (bits, length);
        }
    }
}

impl Value for &str {
    #[inline]
    fn write(self, json: &mut Json) {
        // Without an early end, eight or more bytes are looked at together.
        if self.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\')) {
            json.text.push(b'"');
            json.text.extend_from_slice(self.as_bytes());
            json.text.push(b'"');
        } else {
            json.of_serde(self);
        }
    }
}

impl Value for &[String] {
    fn write(self, json: &mut Json) {
        json.of_serde(self);
    }
}

impl Value for i64 {
    #[inline]
    fn write(self, json: &mut Json) {
        json.of_serde(&self);
    }
}

impl Value for usize {
    fn write(self, json: &mut Json) {
        json.of_serde(&self);
    }
}

impl Value for u8 {
    fn write(self, json: &mut Json) {
        json.of_serde(&self);
    }
}

impl Value for bool {
    #[inline]
    fn write(self, json: &mut Json) {
        json.text.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Value) -> String {
        let mut json = Json::new();
        value.write(&mut json);
        String::from_utf8(json.text).unwrap()
    }

    #[test]
    fn an_object_has_the_fields_that_have_a_value() {
        let mut json = Json::new();
        json.object(|json| {
            json.optional(name!("none"), None::<bool>);
            json.field(name!("text"), "a");
            json.optional(name!("number"), Some(Number(0.5)));
            json.field(name!("flag"), false);
        });
        assert_eq!(String::from_utf8(json.text).unwrap(), r#"{"text":"a","number":0.5,"flag":false}"#);
    }

    #[test]
    fn texts_are_escaped_as_serde_does() {
        for text in
            ["", "plain, with ümlaut 𝄞", "a \"quote\"", "back\\slash", "line\nbreak", "\u{0}", "\u{1f}", "\u{7f}"]
        {
            assert_eq!(written(text), serde_json::to_string(text).unwrap());
        }
    }

    /// Many numbers share each place, and most are asked for several times.
    #[test]
    fn a_number_that_was_kept_is_written_as_for_the_first_time() {
        let mut random = 1_u64;
        let mut numbers = vec![0.0, -0.0, 1.0, -1.0, 1e300, f64::MIN_POSITIVE, -f64::MAX, f64::INFINITY, f64::NAN];
        numbers.extend((0..2000).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(random)
        }));
        let mut json = Json::new();
        for window in numbers.windows(5) {
            for number in [window[0], window[2], window[0], window[4], window[2]] {
                json.text.clear();
                Number(number).write(&mut json);
                let expected = serde_json::to_string(&Number(number)).unwrap();
                assert_eq!(str::from_utf8(&json.text).unwrap(), expected, "{number:e}");
            }
        }
    }
}
