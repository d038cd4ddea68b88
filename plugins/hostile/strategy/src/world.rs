//! What a guest may try to reach through WASI, from Rust's standard library where that goes there.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::{BuildHasher, Hasher},
    io::Write,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use sigbox_sdk::strategy::{Failure, Signal, clock};
use wasip2::{cli::stdout, clocks::monotonic_clock, filesystem::preopens, io::poll, random};

use crate::tell;

/// Counts what there is of variables, arguments, folders and files.
pub(crate) fn environment() -> Result<Option<Signal>, Failure> {
    let files = ["/", ".", "/etc/passwd", "/proc/self/environ", "Cargo.toml"];
    let readable = files.iter().filter(|file| fs::metadata(file).is_ok() || fs::read(file).is_ok()).count();
    let written = fs::write("/tmp/hostile", "x").is_ok();
    let input = std::io::read_to_string(std::io::stdin()).unwrap_or_default();
    let (variables, arguments) = (env::vars().count(), env::args().count());
    let folders = preopens::get_directories().len();
    tell(
        "environment",
        &format!(
            "{variables} variables, {arguments} arguments, {folders} folders, {readable} files, {} bytes of input, \
             written: {written}",
            input.len()
        ),
    )
}

/// Tries to reach others; tells how often that worked.
pub(crate) fn network() -> Result<Option<Signal>, Failure> {
    let reached = [
        TcpStream::connect("127.0.0.1:22").is_ok(),
        TcpStream::connect("[::1]:80").is_ok(),
        TcpStream::connect("169.254.169.254:80").is_ok(),
        TcpListener::bind("127.0.0.1:0").is_ok(),
        TcpListener::bind("0.0.0.0:0").is_ok(),
        UdpSocket::bind("0.0.0.0:0").is_ok(),
        UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", "127.0.0.1:53")).is_ok(),
        "localhost:80".to_socket_addrs().is_ok(),
        "example.com:80".to_socket_addrs().is_ok(),
    ];
    tell("network", &format!("{} of {}", reached.iter().filter(|reached| **reached).count(), reached.len()))
}

/// What the clocks show: the host's, the wall's and the monotonic one, milliseconds.
pub(crate) fn clocks() -> Result<Option<Signal>, Failure> {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let started = Instant::now();
    let mut turns = 0_u32;
    while turns < 100_000 {
        turns = std::hint::black_box(turns + 1);
    }
    let monotonic = monotonic_clock::now() / 1_000_000;
    tell("clocks", &format!("{} {wall} {monotonic} {}", clock::now_ms(), started.elapsed().as_nanos()))
}

/// Numbers from each source of randomness there is.
pub(crate) fn random() -> Result<Option<Signal>, Failure> {
    let hashed = RandomState::new().build_hasher().finish();
    let (secure, insecure) = (random::random::get_random_u64(), random::insecure::get_insecure_random_u64());
    let (seed, _) = random::insecure_seed::insecure_seed();
    tell("random", &format!("{secure:016x} {insecure:016x} {seed:016x} {hashed:016x}"))
}

pub(crate) fn spin_on_clock() -> ! {
    let started = Instant::now();
    while started.elapsed().as_secs() < 3600 {}
    panic!("an hour has passed");
}

/// Asks for so many bytes to be written at once, without the pieces that the standard library makes of them.
pub(crate) fn write_forever(bytes: usize) -> ! {
    let (out, text) = (stdout::get_stdout(), vec![b'x'; bytes]);
    loop {
        std::hint::black_box(out.write(&text)).ok();
    }
}

/// Asks again and again which of so many timers is due.
pub(crate) fn poll_forever(count: usize) -> ! {
    let timer = monotonic_clock::subscribe_duration(1);
    let timers = vec![&timer; count];
    loop {
        std::hint::black_box(poll::poll(&timers));
    }
}

pub(crate) fn leak_handles() -> ! {
    loop {
        std::mem::forget(monotonic_clock::subscribe_duration(1));
    }
}

pub(crate) fn print_forever(text: &str) -> ! {
    loop {
        // Whether there is somebody to read it is not the guest's business.
        let _ = std::io::stdout().write_all(text.as_bytes());
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

pub(crate) fn random_forever(bytes: usize) -> ! {
    loop {
        std::hint::black_box(random::random::get_random_bytes(bytes as u64));
    }
}
