//! Random sequences of calls, to a file store and to a map: both must give the same answers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::FileStore;
use crate::store::{Address, Store};

#[derive(Clone, Debug)]
enum Call {
    Init(Address),
    Write(Address, Vec<u8>),
    Remove(Address),
    Read(Address),
    Has(Address),
    Keys(Address),
    Reopen,
}

/// Few addresses, so that many calls use the same one. Each of them is easily taken for another.
fn address() -> impl Strategy<Value = Address> {
    let domain = prop::sample::select(vec!["signal", "schedule", "..", ""]);
    let entity_name = prop::sample::select(vec!["a_b", "a/b", "a%2Fb", ".quarantine"]);
    let entity_id = prop::sample::select(vec!["c", "c.json", "../a_b/c", "\0", "%", "", ".tmp-0123456789ab-c", "ü"]);
    (domain, entity_name, entity_id).prop_map(|(domain, entity_name, entity_id)| Address {
        domain: domain.to_owned(),
        entity_name: entity_name.to_owned(),
        entity_id: entity_id.to_owned(),
    })
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => address().prop_map(Call::Init),
        6 => (address(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(at, value)| Call::Write(at, value)),
        2 => address().prop_map(Call::Remove),
        2 => address().prop_map(Call::Read),
        1 => address().prop_map(Call::Has),
        2 => address().prop_map(Call::Keys),
        1 => Just(Call::Reopen),
    ]
}

async fn check(calls: Vec<Call>) {
    let root = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(root.path()).unwrap();
    let mut model = BTreeMap::<Address, Vec<u8>>::new();
    for call in calls {
        match call {
            Call::Init(at) => store.wait_for_init(&at.domain, &at.entity_name, false).await.unwrap(),
            Call::Write(at, value) => {
                store.write_value(&at, &value, 0).await.unwrap();
                model.insert(at, value);
            }
            Call::Remove(at) => {
                assert_eq!(store.remove_value(&at).await.unwrap(), model.remove(&at).is_some(), "{at:?}");
            }
            Call::Read(at) => assert_eq!(store.read_value(&at).await.unwrap().as_ref(), model.get(&at), "{at:?}"),
            Call::Has(at) => assert_eq!(store.has_value(&at).await.unwrap(), model.contains_key(&at), "{at:?}"),
            Call::Keys(at) => {
                let of_the_entity =
                    model.keys().filter(|key| (&key.domain, &key.entity_name) == (&at.domain, &at.entity_name));
                let expected: Vec<_> = of_the_entity.map(|key| key.entity_id.clone()).collect();
                assert_eq!(store.keys(&at.domain, &at.entity_name).await.unwrap(), expected, "{at:?}");
            }
            Call::Reopen => {
                store.close().await;
                store = FileStore::open(root.path()).unwrap();
            }
        }
    }
    for (at, value) in &model {
        assert_eq!(store.read_value(at).await.unwrap().as_ref(), Some(value), "{at:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_behave_like_a_map(calls in prop::collection::vec(call(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check(calls));
    }
}
