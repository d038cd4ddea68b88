//! A server that keeps documents in memory, for the hostile backend; its protocol is told there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Documents by their addresses' parts, all in hexadecimal, which sorts as what it stands for.
type Documents = Arc<Mutex<BTreeMap<[String; 3], String>>>;

/// Epoch, owner and time of each scope, all in hexadecimal.
type Holders = BTreeMap<String, [String; 3]>;

#[derive(Clone, Default)]
struct Kept {
    documents: Documents,
    holders: Arc<Mutex<Holders>>,
}

/// Runs for as long as the value lives.
pub(super) struct DocumentServer {
    address: String,
    documents: Documents,
    serving: JoinHandle<()>,
}

impl DocumentServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("localhost:{}", listener.local_addr().expect("it is bound").port());
        let kept = Kept::default();
        let (documents, served) = (Arc::clone(&kept.documents), kept);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, served.clone()));
            }
        });
        Self { address, documents, serving }
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// How many documents there are.
    pub(super) fn count(&self) -> usize {
        self.documents.lock().expect("nobody panics with it").len()
    }
}

impl Drop for DocumentServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(client: TcpStream, kept: Kept) {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    while client.read_line(&mut request).await.is_ok_and(|_| request.ends_with('\n')) {
        let answer = fenced(request.trim_end_matches('\n'), &kept);
        if client.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        request.clear();
    }
}

/// Answers what is about holders, or needs one.
fn fenced(request: &str, Kept { documents, holders }: &Kept) -> String {
    // Held until the answer is made: what is compared and what is changed are one step.
    let mut holders = holders.lock().expect("nobody panics with it");
    let words: Vec<&str> = request.split(' ').collect();
    let held = |holder: &[String; 3]| format!("some {}\n", holder.join(" "));
    match words[0] {
        "holder" => holders.get(words[1]).map_or("none\n".to_owned(), held),
        "claim" => {
            let claim: [String; 3] = std::array::from_fn(|part| words[2 + part].to_owned());
            match holders.get(words[1]) {
                Some(holder) if number(&holder[0]) > number(&claim[0]) => held(holder),
                Some(holder) if holder[0] == claim[0] && holder[1] != claim[1] => held(holder),
                _ => {
                    holders.insert(words[1].to_owned(), claim);
                    "done\n".to_owned()
                }
            }
        }
        "write-fenced" | "remove-fenced" => match holders.get(words[1]) {
            Some(holder) if holder[0] == words[2] => {
                let verb = words[0].trim_end_matches("-fenced");
                answer(&format!("{verb} {}", words[3..].join(" ")), documents)
            }
            Some(holder) => held(holder),
            None => "some 30  30\n".to_owned(),
        },
        _ => answer(request, documents),
    }
}

/// A number that is text in hexadecimal.
fn number(hex: &str) -> u64 {
    let digits = hex.as_bytes().chunks(2).map(|pair| u64::from(pair[1] - b'0'));
    digits.fold(0, |number, digit| 10 * number + digit)
}

fn answer(request: &str, documents: &Documents) -> String {
    let mut documents = documents.lock().expect("nobody panics with it");
    let words: Vec<&str> = request.split(' ').collect();
    let key = |parts: &[&str]| -> [String; 3] { std::array::from_fn(|part| parts[part].to_owned()) };
    match words[0] {
        "read" => documents.get(&key(&words[1..])).map_or("none\n".to_owned(), |value| format!("some {value}\n")),
        "write" => {
            documents.insert(key(&words[1..]), words[4].to_owned());
            "done\n".to_owned()
        }
        "remove" => documents.remove(&key(&words[1..])).map_or("none\n", |_| "done\n").to_owned(),
        _ => {
            let from = [words[1].to_owned(), words[2].to_owned(), String::new()];
            let ours = documents.keys().skip_while(|key| **key < from);
            let ours = ours.take_while(|key| key[0] == words[1] && key[1] == words[2]);
            ours.fold("some".to_owned(), |ids, key| format!("{ids} {}", key[2])) + "\n"
        }
    }
}
