//! What the operator set, and nothing that he misspelt.

use std::{collections::BTreeMap, ops::RangeInclusive};

use sigbox_sdk::persistence::Failure;

use crate::bad_setting;

/// The settings of one binding, all of which the backend knows.
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// # Errors
    /// When there is a setting that is not among the `known` ones: it would do nothing, and nobody would notice.
    pub fn new(all: impl IntoIterator<Item = (String, String)>, known: &[&str]) -> Result<Self, Failure> {
        let settings: BTreeMap<_, _> = all.into_iter().collect();
        match settings.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => {
                Err(bad_setting(&format!("there is no setting {unknown:?}; there are: {}", known.join(", "))))
            }
            None => Ok(Self(settings)),
        }
    }

    /// The setting, if it was set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// # Errors
    /// When it was not set.
    pub fn required(&self, name: &str, example: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| bad_setting(&format!("setting {name} is missing; for example {example:?}")))
    }

    /// # Errors
    /// When it is not a whole number within `range`.
    pub fn number(&self, name: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, Failure> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = range.into_inner();
            bad_setting(&format!("setting {name} is {text:?}; it must be a whole number from {least} to {most}"))
        })
    }

    /// The meaning of one of a few words.
    ///
    /// # Errors
    /// When it is another word.
    pub fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T, Failure> {
        let Some(text) = self.get(name) else { return Ok(default) };
        choices.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            bad_setting(&format!("setting {name} is {text:?}; it must be one of {}", words.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(all: &[(&str, &str)]) -> Result<Settings, Failure> {
        let all = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::new(all, &["url", "timeout-ms"])
    }

    #[test]
    fn a_misspelt_setting_is_refused_with_those_there_are() {
        let failure = settings(&[("url", ""), ("timeout", "1")]).err().unwrap();
        assert_eq!(failure.message, r#"there is no setting "timeout"; there are: url, timeout-ms"#);
        assert!(!failure.retryable);
    }

    #[test]
    fn a_setting_that_must_be_there_names_itself() {
        let failure = settings(&[]).unwrap().required("url", "redis://localhost").unwrap_err();
        assert_eq!(failure.message, r#"setting url is missing; for example "redis://localhost""#);
    }

    #[test]
    fn numbers_are_within_their_range() {
        let number = |text| settings(&[("timeout-ms", text)]).unwrap().number("timeout-ms", 7, 1..=10);
        assert_eq!(number("10").unwrap(), 10);
        for bad in ["0", "11", "-1", "1.5", "", "ten"] {
            let expected = format!("setting timeout-ms is {bad:?}; it must be a whole number from 1 to 10");
            assert_eq!(number(bad).unwrap_err().message, expected);
        }
        assert_eq!(settings(&[]).unwrap().number("timeout-ms", 7, 1..=10).unwrap(), 7);
    }

    #[test]
    fn words_mean_what_they_are_said_to() {
        let choice = |text| settings(&[("url", text)]).unwrap().choice("url", 0, &[("one", 1), ("two", 2)]);
        assert_eq!(choice("two").unwrap(), 2);
        assert_eq!(choice("2").unwrap_err().message, r#"setting url is "2"; it must be one of "one", "two""#);
    }
}
