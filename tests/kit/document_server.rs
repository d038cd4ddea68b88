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
        let documents = Documents::default();
        let served = Arc::clone(&documents);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&served)));
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

async fn serve(client: TcpStream, documents: Documents) {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    while client.read_line(&mut request).await.is_ok_and(|_| request.ends_with('\n')) {
        let answer = answer(request.trim_end_matches('\n'), &documents);
        if client.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        request.clear();
    }
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
