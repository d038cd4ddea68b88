//! Name servers that never answer.

use std::{
    net::UdpSocket,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Workplace, binary, not_run, plugin};

/// Nobody answers there, but somebody listens: otherwise the look-up would be refused at once.
const NAME_SERVER: &str = "127.87.65.43";

/// Longer than the plugins wait, for each time that the kit starts them. A name server is waited for longer.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_name_server_that_never_answers_is_not_waited_for_and_the_look_up_is_named() {
    let Ok(_silent) = UdpSocket::bind((NAME_SERVER, 53)) else {
        return not_run("a name server that never answers", "the right to listen at port 53 (root)");
    };
    let workplace = Workplace::empty();
    workplace.write("resolv.conf", format!("nameserver {NAME_SERVER}\noptions timeout:30\n"));
    workplace.write("secret", "x");
    let s3 = "endpoint = \"http://db.example:9000\", bucket = \"state\"";
    let keys = "secrets = { access-key-id = { file = \"secret\" }, secret-access-key = { file = \"secret\" } }";
    for (name, settings, network, secrets) in [
        ("redis", "url = \"redis://db.example:6379/0\"", "db.example:6379", ""),
        ("postgres", "url = \"postgres://me@db.example:5432/db\"", "db.example:5432", ""),
        ("mongodb", "url = \"mongodb://db.example:27017/db\", tls = \"disable\"", "db.example:27017", ""),
        ("s3", s3, "db.example:9000", keys),
    ] {
        let kit = format!("settings = {{ {settings}, timeout-ms = 1000 }}\nnetwork = [\"{network}\"]\n{secrets}\n");
        workplace.write("kit.toml", kit);
        let component = plugin(&format!("persistence/{name}"));
        let began = Instant::now();
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", "mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" \"$@\""])
            .arg(binary())
            .args(["plugin", "test", "--json", "--only", "start", "--config", "kit.toml"])
            .arg(component)
            .current_dir(workplace.path(""))
            .output()
            .expect("there is unshare");
        assert!(began.elapsed() < PATIENCE, "{name}: {:?}", began.elapsed());
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{name}: {output:?}"));
        let reason = said["cases"][0]["reason"].as_str().expect("it is a text");
        for part in ["cannot look up db.example", "no name server answered in time (setting timeout-ms)"] {
            assert!(reason.contains(part), "{name}: {part:?} is not in: {reason}");
        }
    }
}
