//! Configurations without secrets, for reports, which are shown to others.

use std::ops::Range;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The text in place of a value that is left out.
const LEFT_OUT: &str = "(left out)";

/// A setting is a secret if its name contains one of these.
const SECRET_NAMES: [&str; 10] =
    ["secret", "password", "passwd", "pwd", "passphrase", "token", "credential", "signature", "apikey", "privatekey"];

/// The text of a configuration file with `"(left out)"` for every value whose name, or whose table's name, looks like
/// that of a secret, and for every text that has a password in it, as addresses and connection strings do. Everything
/// else is as it was written, comments included. A text that is not TOML becomes empty.
#[must_use]
pub fn text_without_secrets(text: &str) -> String {
    let Ok(root) = DeTable::parse(text) else { return String::new() };
    let mut spans = Vec::new();
    find_in_table(root.get_ref(), false, &mut spans);
    spans.sort_by_key(|span| span.start);
    let (mut shown, mut end) = (String::with_capacity(text.len()), 0);
    for span in spans {
        shown.push_str(&text[end..span.start]);
        shown.push_str(&Value::from(LEFT_OUT).to_string());
        end = span.end;
    }
    shown.push_str(&text[end..]);
    shown
}

/// The settings of a strategy, a JSON object, with the same values left out. A text that is not JSON becomes empty.
#[must_use]
pub fn settings_without_secrets(settings: &str) -> String {
    let Ok(mut value) = serde_json::from_str(settings) else { return String::new() };
    leave_out(&mut value, false);
    value.to_string()
}

fn find_in_table(table: &DeTable<'_>, secret: bool, spans: &mut Vec<Range<usize>>) {
    for (name, value) in table {
        find(value, secret || is_secret_name(name.get_ref()), spans);
    }
}

fn find(value: &Spanned<DeValue<'_>>, secret: bool, spans: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => find_in_table(table, secret, spans),
        DeValue::Array(items) => items.iter().for_each(|item| find(item, secret, spans)),
        DeValue::String(text) if !secret && !has_secret(text) => {}
        DeValue::String(_) => spans.push(value.span()),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) if secret => {
            spans.push(value.span());
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn leave_out(value: &mut Value, secret: bool) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                leave_out(value, secret || is_secret_name(name));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out(item, secret)),
        Value::String(text) if !secret && !has_secret(text) => {}
        Value::Null | Value::Bool(_) | Value::Number(_) if !secret => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = LEFT_OUT.into(),
    }
}

fn is_secret_name(name: &str) -> bool {
    let letters: String = name.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
    SECRET_NAMES.iter().any(|secret| letters.contains(secret))
}

/// Whether `text` has a secret in it: an address with a password, or a parameter whose name looks like that of a secret.
fn has_secret(text: &str) -> bool {
    has_password(text) || has_secret_parameter(text)
}

/// Whether `text` is an address with a password, such as `redis://user:password@host`. A password may also have a slash,
/// where it should be written `%2F`. Then the address seems to end before it, with a port that is no number.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((who, _)) => who.contains(':'),
        None => authority.rsplit_once(':').is_some_and(|(host, port)| {
            let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || host.starts_with('[');
            !is_port && path.contains('@')
        }),
    }
}

/// Whether `text` has a parameter such as the one of `postgres://host/name?password=word`, `host=h password=word` or
/// `Server=h;Pwd=word`.
fn has_secret_parameter(text: &str) -> bool {
    let parameters =
        text.split(|character: char| matches!(character, '?' | '&' | ';' | '#' | ',') || character.is_whitespace());
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .any(|(name, value)| is_secret_name(name) && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_all_else_is_as_it_was() {
        let text = "\
# a comment
[[strategies]]
settings = { fast = 20, api-key = \"k\", deep = { Pass = 1, PASSWORD = '''a
b''', list = [1, { token = 2 }] } }
[stores.redis.settings] # secret
url = \"redis://user:pw@host/0\"
other = 'https://host/a:b@c'
[secrets]
a = 1
[secrets.b]
c = [2024-01-01, true]
";
        let shown = "\
# a comment
[[strategies]]
settings = { fast = 20, api-key = \"(left out)\", deep = { Pass = 1, PASSWORD = \"(left out)\", list = [1, { token = \"(left out)\" }] } }
[stores.redis.settings] # secret
url = \"(left out)\"
other = 'https://host/a:b@c'
[secrets]
a = \"(left out)\"
[secrets.b]
c = [\"(left out)\", \"(left out)\"]
";
        assert_eq!(text_without_secrets(text), shown);
        assert!(DeTable::parse(shown).is_ok());
        assert_eq!(text_without_secrets("password = "), "");
    }

    #[test]
    fn a_text_with_a_password_in_it_is_left_out() {
        let secret = [
            "redis://:word@host:6379/0",
            "redis://user:wo/rd@host",
            "redis://host:6379/0?password=word",
            "postgres://user@host/name?sslmode=require&Password=word",
            "https://host/path?X-Amz-Signature=word",
            "https://host/#access_token=word",
            "host=h user=u password=word",
            "Server=h;Uid=u;Pwd=word;",
        ];
        for text in secret {
            let toml = format!("url = \"{text}\"\n");
            assert_eq!(text_without_secrets(&toml), "url = \"(left out)\"\n", "{text}");
            let json = serde_json::json!({ "url": text }).to_string();
            assert_eq!(settings_without_secrets(&json), r#"{"url":"(left out)"}"#, "{text}");
        }
        let harmless = [
            "redis://host:6379/0",
            "redis://[::1]:6379/a@b",
            "postgres://user@host:5432/name?sslmode=require",
            "https://host/a:b@c",
            "https://host:80/a@b",
            "a=1, b=2",
            "password=",
            "the token is in a file",
        ];
        for text in harmless {
            let toml = format!("url = \"{text}\"\n");
            assert_eq!(text_without_secrets(&toml), toml, "{text}");
        }
    }

    #[test]
    fn the_same_holds_of_settings() {
        let settings = r#"{"a":[{"myToken":null}],"fast":20,"secrets":{"b":true},"url":"x://u:p@h"}"#;
        let shown = r#"{"a":[{"myToken":"(left out)"}],"fast":20,"secrets":{"b":"(left out)"},"url":"(left out)"}"#;
        assert_eq!(settings_without_secrets(settings), shown);
        assert_eq!(settings_without_secrets("{"), "");
    }
}
