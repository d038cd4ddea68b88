//! Secrets: texts that no message and no log line may show.

use std::{collections::BTreeMap, fmt};

/// The text that replaces a secret.
const HIDDEN: &str = "(secret)";

/// Bytes of the shortest secret that is hidden. Shorter secrets also stand in words that have nothing to do with them.
const FOUND_FROM_BYTES: usize = 4;

/// A password or a key. Its debug form hides it; only the plugin it was granted to gets the text.
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

/// `text`, in which [`HIDDEN`] replaces every secret, and every line of a secret. A plugin should not put a secret into
/// a text; this is for the plugin that quotes its connection string in an error.
pub(super) fn hide(text: String, secrets: &Secrets) -> String {
    let lines = secrets.values().flat_map(|secret| secret.reveal().lines());
    let mut found: Vec<&str> = lines.map(str::trim).filter(|line| line.len() >= FOUND_FROM_BYTES).collect();
    // Longer ones come first. If a shorter secret that begins a longer one came first, the rest of the longer one would
    // stay in the text.
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
