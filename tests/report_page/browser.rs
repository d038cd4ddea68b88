//! Chromium, driven by the DevTools protocol over two pipes.
//!
//! The crates that speak this protocol bring some 140 others. What the tests need of it is on this page.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes, so that a browser that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one tab, closed when dropped.
pub(super) struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// What it told without being asked.
    events: Vec<Value>,
    last_id: u64,
    session: String,
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_phone: bool,
    pub(super) scheme: &'static str,
}

impl Browser {
    /// `None` when there is none on PATH.
    pub(super) fn start() -> Option<Self> {
        let chromium = on_path(&["chromium", "chromium-browser", "google-chrome"])?;
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let mut command = Command::new("sh");
        // It reads commands from descriptor 3 and writes to 4.
        command
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#])
            .arg(chromium)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-quic"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()));
        if rustix::process::getuid().is_root() {
            // It refuses to run as root with one. The pages are ours.
            command.arg("--no-sandbox");
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let commands = process.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|bytes| bytes > 0) {
                message.pop();
                let value = serde_json::from_slice(&message).expect("messages are JSON");
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let (events, session) = (Vec::new(), String::new());
        let mut browser = Self { process, commands, messages, events, last_id: 0, session, _profile: profile };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = text(&browser.ask("Target.attachToTarget", &attached)["sessionId"]);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Opens a file and waits until it is loaded and drawn.
    pub(super) fn open(&mut self, file: &Path, screen: Screen) {
        let scheme = screen.scheme;
        self.turn(screen);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", &json!({ "features": features }));
        self.events.clear();
        let opened = self.ask("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        assert!(opened["errorText"].is_null(), "{}: {opened}", file.display());
        self.until("it is loaded", "document.readyState === 'complete'");
        self.drawn();
    }

    /// Gives the window the size of a screen.
    pub(super) fn turn(&mut self, screen: Screen) {
        let Screen { width, height, is_phone, .. } = screen;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Waits until what was changed is drawn.
    pub(super) fn drawn(&mut self) {
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))");
    }

    /// The value of an expression on the page, awaited.
    pub(super) fn run(&mut self, expression: &str) -> Value {
        let expression = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", &expression);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression on the page is true.
    pub(super) fn until(&mut self, what: &str, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(expression) != json!(true) {
            assert!(Instant::now() < deadline, "no sign that {what}: {expression}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Presses a key, and waits until what it did is drawn.
    pub(super) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.ask("Input.dispatchKeyEvent", &json!({ "type": kind, "key": key }));
        }
        self.drawn();
    }

    /// Errors and warnings since the page was opened, and what it asked the network for, itself not counted.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        // What was under way has been told before this is answered.
        self.drawn();
        let documents = |event: &Value| event["params"]["type"] == "Document";
        let is_complaint = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => true,
            Some("Network.requestWillBeSent") => !documents(event),
            _ => false,
        };
        self.events.iter().filter(is_complaint).map(ToString::to_string).collect()
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("the browser listens");
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the browser answers");
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

/// The first of these commands that there is.
fn on_path(commands: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    commands
        .iter()
        .flat_map(|command| folders.iter().map(move |folder| folder.join(command)))
        .find(|file| file.is_file())
}
