//! Writing event lines as JSON. Events are almost all that a backtest writes, and most of one is as in the one before. So
//! what repeats is kept as text and copied, which takes a fifth of the time of making it again.

use crate::{Number, event::Terms};

/// How many texts of numbers are kept: the numbers of a few events.
const NUMBERS: usize = 128;

/// How many texts of terms are kept: those of a few positions at the same time.
const TERMS: usize = 16;

/// Bytes of the longest text of a number: `-2.2250738585072014e-308`.
const LONGEST: usize = 24;

/// JSON that grows at its end.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) text: Vec<u8>,
    /// `None`: nothing is kept, because there is only one event.
    kept: Option<Box<Kept>>,
}

/// Texts that may come again. Each is at the place that follows from what it is a text of, where it takes the place of
/// another.
#[derive(Debug)]
struct Kept {
    numbers: [KeptNumber; NUMBERS],
    terms: [Option<KeptTerms>; TERMS],
}

#[derive(Debug)]
struct KeptTerms {
    id: String,
    note: String,
    terms: Terms,
    text: Vec<u8>,
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
    /// For one event.
    pub(crate) const fn of_one() -> Self {
        Self { text: Vec::new(), kept: None }
    }

    /// For the events of a run.
    pub(crate) fn of_many() -> Self {
        // Zero is written as this too.
        let zero = KeptNumber { bits: 0, length: 1, text: [b'0'; LONGEST] };
        let kept = Kept { numbers: [zero; NUMBERS], terms: [const { None }; TERMS] };
        Self { text: Vec::new(), kept: Some(Box::new(kept)) }
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

    /// The fields that begin the row of a position or an order.
    #[inline]
    pub(crate) fn terms(&mut self, id: &str, note: &str, terms: &Terms) {
        let Some(kept) = &self.kept else { return terms.write(id, note, self) };
        let place = usize::from(id.bytes().fold(0, u8::wrapping_add)) % TERMS;
        if let Some(known) = &kept.terms[place]
            && (known.id.as_str(), known.note.as_str(), &known.terms) == (id, note, terms)
        {
            self.text.extend_from_slice(&known.text);
            return;
        }
        let began = self.text.len();
        terms.write(id, note, self);
        if let Some(kept) = &mut self.kept {
            let (id, note, text) = (id.to_owned(), note.to_owned(), self.text[began..].to_vec());
            kept.terms[place] = Some(KeptTerms { id, note, terms: *terms, text });
        }
    }

    fn of_serde(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.text, value).expect("texts and numbers can be written as JSON");
    }
}

impl Value for Number {
    #[inline]
    fn write(self, json: &mut Json) {
        let Some(kept) = &json.kept else { return json.of_serde(&self) };
        let bits = self.0.to_bits();
        // The low bits of a price differ most.
        #[expect(clippy::cast_possible_truncation, reason = "any part of the bits chooses a place")]
        let place = (bits ^ (bits >> 45)) as usize % NUMBERS;
        let number = &kept.numbers[place];
        if number.bits == bits {
            json.text.extend_from_slice(&number.text[..usize::from(number.length)]);
            return;
        }
        let began = json.text.len();
        json.of_serde(&self);
        let text = &json.text[began..];
        if let Some(kept) = &mut json.kept
            && let number = &mut kept.numbers[place]
            && let (Some(place), Ok(length)) = (number.text.get_mut(..text.len()), u8::try_from(text.len()))
        {
            place.copy_from_slice(text);
            (number.bits, number.length) = (bits, length);
        }
    }
}

impl Value for &str {
    #[inline]
    fn write(self, json: &mut Json) {
        // Without an early end, eight or more bytes are looked at together.
        let escapes = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        if self.bytes().fold(0, |any, byte| any | u8::from(escapes(byte))) == 0 {
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
        let mut json = Json::of_many();
        value.write(&mut json);
        String::from_utf8(json.text).unwrap()
    }

    #[test]
    fn an_object_has_the_fields_that_have_a_value() {
        let mut json = Json::of_one();
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
        let mut json = Json::of_many();
        for window in numbers.windows(5) {
            for number in [window[0], window[2], window[0], window[4], window[2]] {
                json.text.clear();
                Number(number).write(&mut json);
                let expected = serde_json::to_string(&Number(number)).unwrap();
                assert_eq!(str::from_utf8(&json.text).unwrap(), expected, "{number:e}");
            }
        }
    }

    /// Positions that share a place, and one whose terms or note change under the same id.
    #[test]
    fn terms_that_were_kept_are_written_as_for_the_first_time() {
        let terms = |entry: f64| Terms {
            position: "long",
            price_open: Number(entry),
            price_take_profit: Number(2.0),
            price_stop_loss: Number(0.5),
            original_price_open: Number(1.0),
            original_price_take_profit: Number(2.0),
            original_price_stop_loss: Number(0.5),
            minute_estimated_time: Number(f64::INFINITY),
            cost: Number(100.0),
            multiplier: Number(1.0),
            isolated: true,
            scheduled_at: 1,
            pending_at: 2,
            timestamp: 1,
            is_scheduled: false,
        };
        let of = |json: &mut Json, (id, note, entry): (&str, &str, f64)| {
            json.text.clear();
            json.object(|json| json.terms(id, note, &terms(entry)));
            String::from_utf8(json.text.clone()).unwrap()
        };
        let mut json = Json::of_many();
        for row in [
            ("ab", "a \"note\"", 1.0),
            ("ab", "a \"note\"", 1.0),
            ("ba", "", 1.0),
            ("ab", "", 1.5),
            ("ab", "other", 1.5),
            ("ab", "other", 1.0),
            ("ba", "other", 1.0),
            ("ba", "other", 1.0),
        ] {
            assert_eq!(of(&mut json, row), of(&mut Json::of_one(), row), "{row:?}");
        }
    }
}
