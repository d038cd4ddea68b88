//! What the tests of plugins with a server behind them share: a binding, and what every store promises.

use std::collections::{BTreeMap, BTreeSet};

use sigbox::{
    sandbox::{Grant, PluginError, PluginStore, Secret},
    trading::store::{Address, Store, StoreError},
};
use sigbox_kit::{Case, CaseReport, Verdict};

use super::binding;

/// What a store is bound with.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound {
    pub(super) plugin: &'static str,
    pub(super) settings: BTreeMap<&'static str, String>,
    pub(super) secrets: BTreeMap<&'static str, String>,
    pub(super) network: Vec<String>,
}

impl Bound {
    pub(super) fn new(plugin: &'static str) -> Self {
        Self { plugin, ..Self::default() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "so that texts and numbers are given as they are")]
    pub(super) fn set(mut self, setting: &'static str, value: impl ToString) -> Self {
        self.settings.insert(setting, value.to_string());
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "so that texts and numbers are given as they are")]
    pub(super) fn secret(mut self, name: &'static str, text: impl ToString) -> Self {
        self.secrets.insert(name, text.to_string());
        self
    }

    pub(super) fn reach(mut self, host: &str, port: u16) -> Self {
        self.network.push(format!("{host}:{port}"));
        self
    }

    fn binding(&self) -> Grant {
        let texts = |texts: &BTreeMap<&'static str, String>| -> Vec<(String, String)> {
            texts.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect()
        };
        Grant {
            name: "rows".to_owned(),
            settings: texts(&self.settings).into_iter().collect(),
            secrets: texts(&self.secrets).into_iter().map(|(name, text)| (name, Secret::from(text))).collect(),
            network: self.network.iter().map(|endpoint| endpoint.parse().expect("it is HOST:PORT")).collect(),
            ..Grant::default()
        }
    }

    pub(super) async fn try_start(&self) -> Result<PluginStore, PluginError> {
        binding::start(self.plugin, self.binding()).await
    }

    pub(super) async fn start(&self) -> PluginStore {
        self.try_start().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The code and the message with which it does not start.
    pub(super) async fn refusal(&self) -> (String, String) {
        match self.try_start().await {
            Err(PluginError::Refused { code, message, .. }) => (code, message),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it starts"),
        }
    }
}

pub(super) fn at(id: &str) -> Address {
    binding::at("signal", "BTCUSDT_a", id)
}

pub(super) async fn read(store: &PluginStore, id: &str) -> Option<String> {
    let value = store.read_value(&at(id)).await.unwrap_or_else(|error| panic!("{error}"));
    value.map(|value| String::from_utf8(value).expect("it was written as text"))
}

pub(super) async fn write(store: &PluginStore, id: &str, value: &str) -> Result<(), StoreError> {
    store.write_value(&at(id), value.as_bytes(), 1).await
}

/// All that the kit asks of a backend. No case may be left out.
pub(super) async fn passes_the_kit(bound: &Bound) {
    passes_the_kit_but_for(&[], bound, sigbox_kit::cases()).await;
}

/// The same for some cases of the kit, of which exactly these do not pass.
pub(super) async fn passes_the_kit_but_for(
    excepted: &[&str],
    bound: &Bound,
    cases: impl IntoIterator<Item = &'static Case>,
) {
    // Below the limit of the kit's sandbox, as a binding should have it.
    let bound = bound.clone().set("timeout-ms", 5000);
    let report = binding::examined_by(cases, bound.plugin, bound.binding()).await;
    let others: Vec<&CaseReport> =
        report.cases.iter().filter(|case| !matches!(case.verdict, Verdict::Passed(_))).collect();
    let said: Vec<String> = others.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = others.iter().map(|case| case.case.name).collect();
    assert_eq!(names, excepted, "{}:\n{}", report.subject, said.join("\n"));
}

/// What `ok` of any backend promises, over everything an address and a document can be.
pub(super) async fn keeps_the_contract(bound: &Bound) {
    let (store, other) = (bound.start().await, bound.start().await);
    for store in [&store, &other] {
        store.wait_for_init("signal", "BTCUSDT_a", true).await.unwrap();
    }
    assert_eq!(store.read_value(&at("a")).await.unwrap(), None);
    assert!(!store.has_value(&at("a")).await.unwrap());
    assert!(!store.remove_value(&at("a")).await.unwrap());

    let large = vec![0xAB; 4 << 20];
    for value in [b"null".as_slice(), b"", b"{}", &[0, 255, 10, 13], &large] {
        store.write_value(&at("a"), value, 1).await.unwrap();
        assert!(store.read_value(&at("a")).await.unwrap().as_deref() == Some(value), "{} bytes", value.len());
        assert!(other.read_value(&at("a")).await.unwrap().as_deref() == Some(value), "another instance reads the same");
        assert!(other.has_value(&at("a")).await.unwrap());
    }
    assert!(other.remove_value(&at("a")).await.unwrap());
    assert!(!store.has_value(&at("a")).await.unwrap());

    let parts =
        ["", "a", "A", "a:b", "a/b", "../a", ".", "%61", "%", "a\0", "\0", "a b", "é", "e\u{301}", "🦀", "{a}", "*"];
    let mut addresses = BTreeSet::new();
    for part in parts {
        for domain in ["signal", "risk", "signal:a", part] {
            addresses.insert(binding::at(domain, part, "a"));
            addresses.insert(binding::at(domain, "a", part));
            addresses.insert(binding::at(domain, part, part));
        }
    }
    for at in &addresses {
        store.write_value(at, format!("{at:?}").as_bytes(), 1).await.unwrap_or_else(|error| panic!("{error}"));
    }
    for at in &addresses {
        let value = store.read_value(at).await.unwrap();
        assert_eq!(value.map(|value| String::from_utf8(value).unwrap()), Some(format!("{at:?}")));
    }
    for domain in ["signal", "risk", "signal:a", "%", "\0"] {
        let ids = addresses.iter().filter(|at| at.domain == domain && at.entity_name == "a");
        let ids: Vec<String> = ids.map(|at| at.entity_id.clone()).collect();
        assert!(!ids.is_empty());
        assert_eq!(store.keys(domain, "a").await.unwrap(), ids, "{domain:?}");
    }
    for store in [&store, &other] {
        store.close().await;
    }
}

/// Ten thousand ids, written in no order, are listed in theirs.
pub(super) async fn lists_ten_thousand_ids(bound: &Bound) {
    let store = bound.start().await;
    let mut ids: Vec<String> = (0..10_000).map(|number| format!("{:x}", number * 7919 % 10_007)).collect();
    for id in &ids {
        write(&store, id, id).await.unwrap();
    }
    ids.sort();
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ids);
    assert!(store.keys("signal", "BTCUSDT_b").await.unwrap().is_empty());
}

pub(super) fn assert_said((code, message): &(String, String), expected: &str, parts: &[&str]) {
    assert_eq!(code, expected, "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// What a call was refused with.
pub(super) fn said(error: StoreError) -> (String, String) {
    (error.code, error.message)
}
