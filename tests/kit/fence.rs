//! What the host makes of a fence, on a backend that does as it is told.

use sigbox::{
    sandbox::{Grant, PluginStore},
    trading::store::{Address, Apart, FENCED, Holder, Store},
};

use super::{document_server::DocumentServer, world::sandbox};
use crate::support::plugin;

fn at(entity_id: &str) -> Address {
    let [domain, entity_name, entity_id] = ["signal", "BTCUSDT_a", entity_id].map(str::to_owned);
    Address { domain, entity_name, entity_id }
}

async fn started(server: &DocumentServer) -> PluginStore {
    let mut grant = Grant { name: "kept".to_owned(), ..Grant::default() };
    grant.settings = [("medium", "server"), ("server", server.address())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    grant.network = vec![server.address().parse().unwrap()];
    PluginStore::start(&sandbox(), &plugin("hostile/backend"), grant).await.unwrap()
}

async fn claim(store: &PluginStore, epoch: u64, owner: &str) {
    let Apart::Fence(fence) = store.apart() else { panic!("it has a fence") };
    fence.claim("test", &Holder { epoch, owner: owner.to_owned(), since_ms: 1 }).await.unwrap();
}

#[tokio::test]
async fn an_instance_that_takes_the_place_of_another_goes_on_with_its_epoch() {
    let server = DocumentServer::start().await;
    let (store, other) = (started(&server).await, started(&server).await);
    claim(&store, 1, "one").await;
    store.write_value(&at("a"), b"1", 1).await.unwrap();
    store.read_value(&at("trap")).await.unwrap_err();
    store.write_value(&at("a"), b"2", 1).await.unwrap();
    claim(&other, 2, "other").await;
    store.read_value(&at("trap")).await.unwrap_err();
    let refused = store.write_value(&at("a"), b"3", 1).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retryable), (FENCED, false), "{refused}");
    assert_eq!(other.read_value(&at("a")).await.unwrap().as_deref(), Some(b"2".as_slice()));
}

#[tokio::test]
async fn a_fenced_write_is_not_repeated_and_does_not_open_the_circuit() {
    let server = DocumentServer::start().await;
    let (store, other) = (started(&server).await, started(&server).await);
    claim(&store, 1, "one").await;
    claim(&other, 2, "other").await;
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        let refused = store.write_value(&at("a"), b"1", 1).await.unwrap_err();
        assert_eq!(refused.code, FENCED, "{refused}");
        assert!(store.remove_value(&at("a")).await.unwrap_err().message.contains("other holds it with epoch 2"));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "a repetition waits 50 ms and longer each time");
    assert_eq!(store.read_value(&at("a")).await.unwrap(), None, "it is still asked");
    assert!(store.incidents().is_empty());
}

#[tokio::test]
async fn closing_releases_what_was_claimed_and_nothing_else() {
    let server = DocumentServer::start().await;
    let (store, other) = (started(&server).await, started(&server).await);
    let holder = async |store: &PluginStore| {
        let Apart::Fence(fence) = store.apart() else { panic!("it has a fence") };
        fence.holder("test").await.unwrap()
    };
    other.close().await;
    assert_eq!(holder(&store).await, None, "nothing was claimed");
    claim(&store, 1, "one").await;
    let other = started(&server).await;
    claim(&other, 5, "other").await;
    store.close().await;
    assert_eq!(holder(&other).await.unwrap().owner, "other", "another one's claim is not released");
    other.close().await;
    let looking = started(&server).await;
    let released = holder(&looking).await.unwrap();
    assert_eq!((released.epoch, released.owner.as_str()), (6, ""));
}
