//! Texts that must not be seen.

use std::{collections::BTreeMap, fmt};

/// What stands for a secret in a text.
const HIDDEN: &str = "(secret)";

/// Shorter secrets are left where they are: they would be found in words that have nothing to do with them.
const FOUND_FROM_BYTES: usize = 4;

/// A password or a key. It shows itself only to the plugin it was granted to.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The secrets of one plugin, by name.
pub(crate) type Secrets = BTreeMap<String, Secret>;

/// `text` without those of `secrets` a plugin put into it, as a whole or one of their lines. A plugin should not; this
/// is for the one that quotes its connection string in an error.
pub(super) fn hide(text: String, secrets: &Secrets) -> String {
    let lines = secrets.values().flat_map(|secret| secret.reveal().lines());
    let mut found: Vec<&str> = lines.map(str::trim).filter(|line| line.len() >= FOUND_FROM_BYTES).collect();
    // So that of two secrets, one of which begins with the other, the longer goes as a whole.
    found.sort_by_key(|line| std::cmp::Reverse(line.len()));
    found.into_iter().fold(text, |text, line| if text.contains(line) { text.replace(line, HIDDEN) } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_what_a_plugin_says() {
        let secrets = [("a", "hunter2"), ("b", "hunter2-and-more"), ("c", "x"), ("d", "line one\nline two\n")];
        let secrets: Secrets =
            secrets.into_iter().map(|(name, text)| (name.to_owned(), Secret::from(text.to_owned()))).collect();
        let said = "redis://:hunter2-and-more@host, hunter2, x, line two".to_owned();
        assert_eq!(hide(said, &secrets), "redis://:(secret)@host, (secret), x, (secret)");
        assert_eq!(format!("{secrets:?}").matches("(secret)").count(), 4);
    }
}
