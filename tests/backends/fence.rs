//! Two hosts with one place: the storage keeps them apart, whatever one of them believes.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use sigbox::{
    sandbox::{Grant, Secret},
    trading::store::{Apart, FENCED, Fence, Holder, Store},
};

use super::{
    binding::{bitcoin, over, start},
    served::Bound,
};
use crate::{
    crash::chaos::dice,
    servers::{MongoJavaServer, Postgres, PostgresSetup, Redis, RedisSetup, S3, resume, suspend},
    support::{Configuration, Workplace, plugin, slow_tests},
};

const SCOPE: &str = "test";

/// What the other host is told, as JSON: see [`Orders`].
const ORDERS: &str = "SIGBOX_TEST_HOST";

/// The plugin, its settings, its secrets, its network, the epoch to claim or 0, and the file that says that its time is
/// over.
type Orders = (String, BTreeMap<String, String>, BTreeMap<String, String>, Vec<String>, u64, String);

fn fence(store: &dyn Store) -> &dyn Fence {
    match store.apart() {
        Apart::Fence(fence) => fence,
        Apart::No | Apart::Lock => panic!("{} has no fence", store.describe()),
    }
}

fn holder(epoch: u64, owner: &str) -> Holder {
    Holder { epoch, owner: owner.to_owned(), since_ms: 1_769_860_800_000 }
}

/// A host that writes as fast as it can, in a process of its own.
struct Host {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn start(bound: &Bound, epoch: u64, over: &Path) -> Self {
        let texts = |texts: &BTreeMap<&'static str, String>| -> BTreeMap<String, String> {
            texts.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect()
        };
        let orders: Orders = (
            bound.plugin.to_owned(),
            texts(&bound.settings),
            texts(&bound.secrets),
            bound.network.clone(),
            epoch,
            over.display().to_string(),
        );
        let mut process = Command::new(env::current_exe().expect("the path of the tests is known"))
            .args(["--exact", "backends::fence::the_host_that_writes", "--ignored", "--nocapture"])
            .env(ORDERS, serde_json::to_string(&orders).expect("it is plain"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the tests run");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self { process, lines }
    }

    /// Waits until it says something that begins like this, and returns the rest.
    fn hear(&mut self, beginning: &str) -> String {
        for line in self.lines.by_ref().map_while(Result::ok) {
            // The first one is behind what the test runner says.
            if let Some((_, rest)) = line.split_once(beginning) {
                return rest.to_owned();
            }
        }
        panic!("it ended before it said {beginning:?}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// It heeds the file that says that its time is over, as a host heeds the end of its lease. Then it writes once more,
/// if it was fenced, to see that this is refused.
#[test]
#[ignore = "the other tests run it, as a process of its own"]
#[expect(clippy::print_stdout, reason = "the other process listens")]
fn the_host_that_writes() {
    let orders = env::var(ORDERS).expect("this is not for running by itself");
    let (plugin, settings, secrets, network, epoch, over): Orders = serde_json::from_str(&orders).expect("it is JSON");
    let grant = Grant {
        name: "rows".to_owned(),
        settings,
        secrets: secrets.into_iter().map(|(name, text)| (name, Secret::from(text))).collect(),
        network: network.iter().map(|endpoint| endpoint.parse().expect("it is HOST:PORT")).collect(),
        ..Grant::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let store = start(&plugin, grant).await.unwrap();
        store.wait_for_init("signal", "BTCUSDT_a", false).await.unwrap();
        if epoch > 0 {
            fence(&store).claim(SCOPE, &holder(epoch, "the old host")).await.unwrap();
        }
        println!("ready");
        let mut refusal = None;
        for number in 0_u64.. {
            if fs::exists(&over).unwrap() {
                break;
            }
            match store.write_value(&bitcoin(), format!("\"old {number}\"").as_bytes(), 1).await {
                Ok(()) if number == 3 => println!("writing"),
                Ok(()) => {}
                Err(error) => {
                    refusal = Some(error);
                    break;
                }
            }
        }
        if epoch > 0 {
            let again = store.write_value(&bitcoin(), b"\"stale\"", 1).await.unwrap_err();
            let said = refusal.as_ref().unwrap_or(&again);
            assert_eq!([&said.code, &again.code], [FENCED; 2], "{said}; {again}");
            assert!(!said.retryable && said.message.contains("the new host holds it"), "{said}");
        }
        println!("ended {}", if refusal.is_some() { "in a write" } else { "between writes" });
    });
}

/// What became of some rounds.
#[derive(Debug, Default)]
struct Rounds {
    count: usize,
    /// Rounds in which something of the old host was there after the new one had written.
    stale: usize,
    /// Rounds in which the old host was refused in the middle of a write.
    in_a_write: usize,
}

/// Rounds in which a host is stopped in the middle of its writes, another one takes over and writes, and the first one
/// goes on. `is_enough`: whether these rounds will do.
async fn take_over(bound: &Bound, is_fenced: bool, is_enough: impl Fn(&Rounds) -> bool) -> Rounds {
    let (new, folder) = (bound.start().await, tempfile::tempdir().unwrap());
    new.wait_for_init("signal", "BTCUSDT_a", false).await.unwrap();
    let mut dice = dice();
    let mut done = Rounds::default();
    while !is_enough(&done) {
        let over = folder.path().join(done.count.to_string());
        let epoch =
            if is_fenced { fence(&new).holder(SCOPE).await.unwrap().map_or(1, |holder| holder.epoch + 1) } else { 0 };
        let mut old = Host::start(bound, epoch, &over);
        old.hear("writing");
        thread::sleep(Duration::from_micros(dice.u64(0..5_000)));
        suspend(&old.process);
        if is_fenced {
            fence(&new).claim(SCOPE, &holder(epoch + 1, "the new host")).await.unwrap();
        } else {
            // What the server had of the old host by then is done.
            thread::sleep(Duration::from_millis(50));
        }
        new.read_value(&bitcoin()).await.unwrap();
        let ours = format!("\"new {}\"", done.count);
        new.write_value(&bitcoin(), ours.as_bytes(), 1).await.unwrap();
        fs::write(&over, "").unwrap();
        resume(&old.process);
        done.in_a_write += usize::from(old.hear("ended ") == "in a write");
        let found = new.read_value(&bitcoin()).await.unwrap();
        done.stale += usize::from(found.as_deref() != Some(ours.as_bytes()));
        done.count += 1;
    }
    new.close().await;
    done
}

/// With the fence no round leaves anything of the old host, and without it some do.
#[expect(clippy::print_stderr, reason = "the counts are what is measured")]
async fn keeps_two_hosts_apart(bound: &Bound, unfenced: &Bound) {
    let rounds = if slow_tests() { 200 } else { 8 };
    let fenced = take_over(bound, true, |done| done.count == rounds).await;
    assert_eq!(fenced.stale, 0, "{fenced:?}");
    // In few rounds there may be none. In so many there is one, or this test cannot fail.
    let without = take_over(unfenced, false, |done| done.count == 400 || done.stale > 0).await;
    eprintln!("{}: with the fence {fenced:?}; without {without:?}", bound.plugin);
    assert!(without.stale > 0, "{without:?}");
}

/// These tests stop hosts, never the server: it need not wait for its disk.
const FAST_REDIS: RedisSetup<'_> = RedisSetup { password: None, tls_name: None, lines: &[("appendfsync", "no")] };

#[tokio::test]
async fn a_stopped_host_writes_nothing_to_redis_once_another_has_taken_over() {
    let Some(redis) = Redis::start(FAST_REDIS) else { return };
    keeps_two_hosts_apart(&super::redis::bound(&redis), &super::redis::bound(&redis).set("prefix", "unfenced")).await;
}

#[tokio::test]
async fn a_stopped_host_writes_nothing_to_postgresql_once_another_has_taken_over() {
    let setup = PostgresSetup { lines: &[("fsync", "off")], ..PostgresSetup::default() };
    let Some(postgres) = Postgres::start(setup) else { return };
    let bound = super::postgres::bound(&postgres);
    keeps_two_hosts_apart(&bound, &bound.clone().set("table", "unfenced")).await;
}

/// Without conditions too: with them, and without a fence, a write of the old host can be refused by accident.
#[tokio::test]
async fn a_stopped_host_writes_nothing_to_s3_once_another_has_taken_over() {
    let Some(server) = S3::start() else { return };
    let bound = super::s3::bound(&server);
    let unfenced = bound.clone().set("prefix", "unfenced").set("conditional-writes", "false");
    keeps_two_hosts_apart(&bound, &unfenced).await;
}

/// This server forgets what it acknowledged when it is killed. Here only hosts are stopped.
#[tokio::test]
async fn a_stopped_host_writes_nothing_to_mongodb_once_another_has_taken_over() {
    let Some(server) = MongoJavaServer::start() else { return };
    let bound = super::mongodb::bound_fenced(&server);
    keeps_two_hosts_apart(&bound, &bound.clone().set("collection", "unfenced")).await;
}

/// A second instance of the wrapper's store claims it, as another host does.
#[tokio::test]
async fn what_a_wrapper_writes_is_fenced_by_the_store_under_it() {
    let Some(redis) = Redis::start(FAST_REDIS) else { return };
    let bound = super::redis::bound(&redis);
    let inner: Arc<dyn Store> = Arc::new(bound.start().await);
    let keys = BTreeMap::from([(
        "keys".to_owned(),
        Secret::from("one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned()),
    )]);
    let sealed = start("encrypt", Grant { secrets: keys, ..over(&inner) }).await.unwrap();
    fence(&sealed).claim(SCOPE, &holder(1, "the old host")).await.unwrap();
    sealed.write_value(&bitcoin(), b"1", 1).await.unwrap();

    let other = bound.start().await;
    fence(&other).claim(SCOPE, &holder(2, "the new host")).await.unwrap();
    let kept = other.read_value(&bitcoin()).await.unwrap();
    let written = sealed.write_value(&bitcoin(), b"2", 1).await;
    let removed = sealed.remove_value(&bitcoin()).await;
    for refused in [written.unwrap_err(), removed.unwrap_err()] {
        assert_eq!((refused.code.as_str(), refused.retryable), (FENCED, false), "{refused}");
        assert!(refused.message.contains("the new host holds it"), "{refused}");
    }
    assert_eq!(other.read_value(&bitcoin()).await.unwrap(), kept);
}

/// A configuration whose state is all in one Redis.
fn shared(redis: &Redis, days: usize, speed: f64) -> Configuration {
    let plugin = plugin("persistence/redis");
    let domains = ["signal", "schedule", "risk", "partial"].map(|domain| format!("{domain} = \"shared\"\n")).concat();
    let binding = format!(
        "[persistence]\n{domains}[stores.shared]\nplugin = '{}'\n\
         settings = {{ url = \"redis://localhost:{port}\" }}\nnetwork = [\"localhost:{port}\"]",
        plugin.display(),
        port = redis.port()
    );
    Configuration::sma_cross(days).speed(speed).section(&binding)
}

/// Who holds the store, as `state stores` says.
fn held_by(workplace: &Workplace) -> Option<String> {
    let stores = workplace.succeed(&["state", "stores", "--json"]).stdout;
    let stores: serde_json::Value = serde_json::from_str(&stores).unwrap();
    assert_eq!(stores[0]["apart"], "fence", "{stores}");
    stores[0]["holder"]["owner"].as_str().map(str::to_owned)
}

#[test]
fn a_second_host_is_refused_by_name_until_the_first_one_has_stopped() {
    let Some(redis) = Redis::start(FAST_REDIS) else { return };
    // A simulated day takes an hour.
    let configuration = shared(&redis, 3, 24.0);
    let [first, second] = [(); 2].map(|()| Workplace::new(&configuration));
    let mut running = first.start_live(&["live"]);
    running.until("its claim", || held_by(&second).is_some());
    let owner = held_by(&second).unwrap();
    assert!(owner.starts_with(&format!("process {} on ", running.id())), "{owner}");
    let table = second.succeed(&["state", "stores"]).stdout;
    assert!(table.contains("kept apart by the") && table.contains("storage"), "{table}");

    let refused = second.run(&["live"]);
    assert_eq!(refused.code(), Some(7), "{refused:?}");
    for said in ["is held by process", &owner, " since 20", "start with --take-over"] {
        assert!(refused.stderr.contains(said), "{said:?}: {refused:?}");
    }
    let refused = second.run(&["state", "copy", "--from", "file", "--to", "shared"]);
    assert_eq!(refused.code(), Some(7), "{refused:?}");

    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(held_by(&second), None, "an orderly stop releases it");
    second.configure(&shared(&redis, 3, 0.0));
    second.succeed(&["live"]);
}

#[test]
fn a_host_that_crashed_starts_again_by_itself_and_its_state_can_be_taken_over() {
    let Some(redis) = Redis::start(FAST_REDIS) else { return };
    let configuration = shared(&redis, 3, 24.0);
    let [first, second] = [(); 2].map(|()| Workplace::new(&configuration));
    let mut running = first.start_live(&["live"]);
    running.until("its claim", || held_by(&second).is_some());
    running.kill();
    assert!(held_by(&second).is_some(), "a crash releases nothing");

    let mut again = first.start_live(&["live"]);
    let owner = format!("process {} on ", again.id());
    again.until("its claim", || held_by(&second).is_some_and(|holder| holder.starts_with(&owner)));
    again.kill();
    assert_eq!(second.run(&["live"]).code(), Some(7), "another host is not this one");
    second.configure(&shared(&redis, 3, 0.0));
    second.succeed(&["live", "--take-over"]);
    first.configure(&shared(&redis, 3, 0.0));
    first.succeed(&["live"]);
}

#[test]
fn a_host_that_was_stopped_and_taken_over_from_ends_and_opens_nothing() {
    let Some(redis) = Redis::start(FAST_REDIS) else { return };
    // A minute takes two milliseconds with the first host, and really a minute with the second.
    let [first, second] = [30_000.0, 1.0].map(|speed| Workplace::new(&shared(&redis, 20, speed)));
    let mut running = first.start_live(&["live"]);
    let events = first.path("dump/data/events.jsonl");
    let opened = |file: &Path| fs::read_to_string(file).is_ok_and(|text| text.contains("\"opened\""));
    running.until("a position", || opened(&events));
    running.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(20));
    let before = fs::read_to_string(&events).unwrap();

    let mut taking = second.start_live(&["live", "--take-over"]);
    let owner = format!("process {} on ", taking.id());
    taking.until("its claim", || held_by(&first).is_some_and(|holder| holder.starts_with(&owner)));
    let mut taken_over = dump(&redis);
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = dump(&redis);
        if now == taken_over {
            break;
        }
        taken_over = now;
    }
    running.signal(Signal::CONT);
    let ended = running.wait();
    assert_eq!(ended.code(), Some(7), "{ended:?}");
    for said in ["another host has taken over the state", &owner] {
        assert!(ended.stderr.contains(said), "{said:?}: {ended:?}");
    }
    assert_eq!(dump(&redis), taken_over, "it wrote nothing");
    let after = fs::read_to_string(&events).unwrap();
    let since = after.strip_prefix(&before).expect("events are only added");
    assert!(!since.contains("\"opened\"") && !since.contains("\"closed\""), "{since}");
}

/// Every document.
fn dump(redis: &Redis) -> String {
    let keys = redis.ask(&["KEYS", "sigbox:*"]);
    let mut keys: Vec<&str> = keys.lines().filter(|key| !key.contains("fence/")).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| format!("{key} {}\n", redis.ask(&["HGETALL", key]))).collect()
}
