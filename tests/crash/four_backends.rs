//! A run whose domains are in four different stores, killed, and their servers killed.

use std::{thread, time::Duration};

use super::chaos::{assert_same_in_the_end, dice, limit_orders, undisturbed};
use crate::{
    servers::{Postgres, PostgresSetup, Redis, RedisSetup, S3},
    support::{Workplace, audit, plugin, slow_tests},
};

/// How often the run is killed altogether.
fn kills() -> usize {
    if slow_tests() { 50 } else { 8 }
}

/// Simulated seconds a second: a minute takes two milliseconds, about what a write to four servers takes.
const SPEED: f64 = 30_000.0;

struct Servers {
    redis: Redis,
    postgres: Postgres,
    s3: S3,
}

impl Servers {
    fn start() -> Option<Self> {
        Some(Self {
            redis: Redis::start(RedisSetup::default())?,
            postgres: Postgres::start(PostgresSetup::default())?,
            s3: S3::start()?,
        })
    }

    /// The sections that bind each domain to another one. `run` keeps the runs of a test apart.
    fn bindings(&self, run: usize) -> String {
        let Self { redis, postgres, s3 } = self;
        let (redis, postgres, s3) = (redis.port(), postgres.port(), s3.port());
        let plugin = |name: &str| plugin(&format!("persistence/{name}")).display().to_string();
        format!(
            "[persistence]\nsignal = \"hot\"\nrisk = \"audited\"\nschedule = \"cold\"\npartial = \"disk\"\n\
             [stores.hot]\nplugin = '{}'\nsettings = {{ url = \"redis://localhost:{redis}/0\", prefix = \"run{run}\" }}\n\
             network = [\"localhost:{redis}\"]\n\
             [stores.audited]\nplugin = '{}'\n\
             settings = {{ url = \"postgres://sigbox@localhost:{postgres}/sigbox\", table = \"run{run}\" }}\n\
             secrets = {{ password = {{ file = \"password\" }} }}\nnetwork = [\"localhost:{postgres}\"]\n\
             [stores.cold]\nplugin = '{}'\n\
             settings = {{ endpoint = \"http://localhost:{s3}\", bucket = \"{}\", prefix = \"run{run}\" }}\n\
             secrets = {{ access-key-id = {{ file = \"id\" }}, secret-access-key = {{ file = \"key\" }} }}\n\
             network = [\"localhost:{s3}\"]\n\
             [stores.disk]\nplugin = '{}'\ndirectories = {{ \"/data\" = \"levels\" }}",
            plugin("redis"),
            plugin("postgres"),
            plugin("s3"),
            S3::BUCKET,
            plugin("directory"),
        )
    }

    fn workplace(&self, run: usize, speed: f64) -> Workplace {
        let workplace = Workplace::new(&limit_orders().section(&self.bindings(run)).speed(speed));
        workplace.write("password", Postgres::PASSWORD);
        workplace.write("id", S3::ACCESS_KEY_ID);
        workplace.write("key", S3::SECRET_ACCESS_KEY);
        workplace
    }
}

/// Puts what the stores hold into files, where it can be compared.
fn collect(workplace: &Workplace) {
    for (domain, store) in [("signal", "hot"), ("risk", "audited"), ("schedule", "cold"), ("partial", "disk")] {
        workplace.succeed(&["state", "copy", "--from", store, "--to", "file", "--domain", domain]);
    }
}

#[test]
fn a_run_over_four_backends_killed_at_random_loses_and_doubles_nothing() {
    let Some(servers) = Servers::start() else { return };
    let undisturbed = undisturbed(&limit_orders());
    assert!(undisturbed.live_events().of("closed").len() > 10, "there is something to lose");
    let mut dice = dice();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills() {
        let disturbed = servers.workplace(runs, SPEED);
        loop {
            match disturbed.start(&["live"]).wait_for(Duration::from_millis(dice.u64(100..1200))) {
                Ok(finished) => {
                    assert_eq!(finished.code(), Some(0), "after {killed} kills: {finished:?}");
                    break;
                }
                Err(running) => {
                    running.kill();
                    killed += 1;
                }
            }
        }
        collect(&disturbed);
        assert_same_in_the_end(&disturbed, &undisturbed);
        runs += 1;
    }
}

#[test]
fn servers_that_are_killed_and_come_back_cost_entries_but_no_position() {
    let Some(mut servers) = Servers::start() else { return };
    let mut dice = dice();
    // Slow enough for all of them to come while it trades.
    let speed = if slow_tests() { 10_000.0 } else { 60_000.0 };
    let disturbed = servers.workplace(0, speed);
    let mut running = disturbed.start_live(&["live"]);
    for number in 0..kills() / 2 {
        thread::sleep(Duration::from_millis(dice.u64(50..600)));
        let pause = Duration::from_millis(dice.u64(0..800));
        match number % 3 {
            0 => {
                servers.redis.kill();
                thread::sleep(pause);
                servers.redis.restart();
            }
            1 => {
                servers.postgres.kill();
                thread::sleep(pause);
                servers.postgres.restart();
            }
            _ => {
                servers.s3.kill();
                thread::sleep(pause);
                servers.s3.restart();
            }
        }
        running = match running.wait_for(Duration::ZERO) {
            Ok(finished) => panic!("it ended before the kills did: {finished:?}"),
            Err(running) => running,
        };
    }
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let events = disturbed.live_events();
    audit(&events);
    assert!(events.of("closed").len() > 5, "it went on trading");

    // What is stored is what the events came to.
    collect(&disturbed);
    let held = disturbed.succeed(&["state", "show", "--json"]).stdout;
    let held: serde_json::Value = serde_json::from_str(&held).unwrap();
    let expected = events.iter().fold("flat", |state, event| match event["action"].as_str() {
        Some("scheduled") => "scheduled",
        Some("opened") => "open",
        Some("closed" | "cancelled") => "flat",
        _ => state,
    });
    assert_eq!(held[0]["state"], expected, "{held}");
}
