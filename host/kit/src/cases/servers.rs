//! Servers that go away, are slow or say nothing. A proxy in front of each server plays these roles.

use sigbox_trading::store::Address;
use tokio::time::{Duration, Instant, sleep};

use crate::{
    case::{Case, Done, Group, Need, Stop, check, fail},
    component::{ComponentSubject, Proxies},
    proxy::{Traffic, Way},
    scene::{Failure, Handle, Scene, document, shown_address, shown_value},
    subject::Trouble,
};

const GROUP: Group = Group::Servers;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "server restart",
        proves: "After the server dropped every connection, calls succeed again: at once or after an error that may pass.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(restart(scene)),
    },
    Case {
        name: "cut while writing",
        proves: "When the server goes away anywhere in a write, the old document or the new one is there, whole.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(cut_while_writing(scene)),
    },
    Case {
        name: "cut while reading",
        proves: "When the server goes away anywhere in a read, the answer is the document or an error, never none.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(cut_while_reading(scene)),
    },
    Case {
        name: "slow server",
        proves: "A server that answers late, but in the time of a call, is waited for.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(slow(scene)),
    },
    Case {
        name: "silent server",
        proves: "A server that never answers is an error within the time of a call, never none; later calls succeed.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(silent(scene)),
    },
    Case {
        name: "own time limit",
        proves: "The backend itself gives up a server that never answers, at its start and in calls, before the host ends \
                 the instance.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(own_time_limit(scene)),
    },
    Case {
        name: "refusing server",
        proves: "While connections are refused every call is an error that may pass, never none; later calls succeed.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(refusing(scene)),
    },
    Case {
        name: "refusing server at start",
        proves: "Where there is no server the start, or else every call, is an error that may pass; later starts work.",
        group: GROUP,
        needs: Need::Proxy,
        run: |scene| Box::pin(refusing_at_start(scene)),
    },
];

/// How long calls may still fail after the server works again.
const RECOVERY: Duration = Duration::from_secs(10);

/// The pause between two attempts within [`RECOVERY`].
const PAUSE: Duration = Duration::from_millis(50);

/// A slow answer takes one part in this many of the time of a call. To connect, shake hands and log in takes several
/// answers.
const SLOWNESS: u32 = 20;

/// The calls of the contract that ask the server something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read,
    Has,
    Keys,
    Write,
    Remove,
}

/// All these calls. Those that change nothing come first.
const ALL: [Asked; 5] = [Asked::Read, Asked::Has, Asked::Keys, Asked::Write, Asked::Remove];

/// A store with proxies in front of its servers, and one document in it.
struct Place<'s> {
    scene: &'s Scene<'s>,
    component: &'s ComponentSubject,
    proxies: Proxies,
    at: Address,
    value: Vec<u8>,
}

impl<'s> Place<'s> {
    async fn new(scene: &'s Scene<'s>) -> Result<Self, Stop> {
        let component = scene.component()?;
        let proxies = component.proxies()?;
        let place = Self {
            scene,
            component,
            proxies,
            at: scene.at("signal", "BTCUSDT", "BTCUSDT"),
            value: document("old", 9_000),
        };
        // First without a proxy. If the store then fails only through the proxy, it may be the proxy's name that does
        // not fit.
        let direct = scene.open().await?;
        direct.write(&place.at, &place.value).await?;
        direct.close().await;
        let through = place.open().await.map_err(|trouble| {
            Stop::NotRun(format!("it does not open through a proxy on this machine: {}", trouble.message))
        })?;
        through.expect(&place.at, Some(&place.value), "through a proxy").await?;
        through.close().await;
        Ok(place)
    }

    async fn open(&self) -> Result<Handle, Trouble> {
        self.scene.watch(self.component.open_behind(&self.proxies).await)
    }

    /// Opens an instance that is connected.
    async fn connected(&self) -> Result<Handle, Stop> {
        let handle = self.again(None, "the case began").await?;
        handle.expect_keys(&self.at, &["BTCUSDT"], "before anything was done to the server").await?;
        Ok(handle)
    }

    /// Reads the document until the store returns it again, for a while also after errors that may pass. Opens a fresh
    /// instance if there is none or it broke down, and returns the instance.
    async fn again(&self, mut handle: Option<Handle>, after: &str) -> Result<Handle, Stop> {
        let until = Instant::now() + RECOVERY;
        loop {
            let trouble = match handle.take() {
                None => match self.open().await {
                    Ok(opened) => {
                        handle = Some(opened);
                        continue;
                    }
                    Err(trouble) => trouble,
                },
                Some(instance) => match instance.read(&self.at).await {
                    Ok(found) => {
                        check(found.as_ref() == Some(&self.value), || {
                            format!(
                                "{}: after {after}, read-value gave {} instead of {}",
                                shown_address(&self.at),
                                shown_value(found.as_deref()),
                                shown_value(Some(&self.value))
                            )
                        })?;
                        return Ok(instance);
                    }
                    Err(Failure { message, retryable, broke, .. }) => {
                        if !broke {
                            handle = Some(instance);
                        }
                        Trouble { message, retryable, broke }
                    }
                },
            };
            if !(trouble.retryable || trouble.broke) || Instant::now() >= until {
                return fail(format!("after {after}, it does not recover: {}", trouble.message));
            }
            sleep(PAUSE).await;
        }
    }

    /// Makes a call that cannot succeed, and fails the case unless the call is an error. A right answer is wrong here:
    /// the backend can only have remembered it, without asking the server.
    async fn error(&self, handle: &Handle, asked: Asked, when: &str) -> Result<Failure, Stop> {
        let at = &self.at;
        let wrong = |answer: String| fail(format!("{}: {when}, {answer}", shown_address(at)));
        match asked {
            Asked::Read => match handle.read(at).await {
                Err(failure) => Ok(failure),
                Ok(found) => wrong(format!("read-value gave {}, and not an error", shown_value(found.as_deref()))),
            },
            Asked::Has => match handle.has(at).await {
                Err(failure) => Ok(failure),
                Ok(has) => wrong(format!("has-value gave {has}, and not an error")),
            },
            Asked::Keys => match handle.keys(&at.domain, &at.entity_name).await {
                Err(failure) => Ok(failure),
                Ok(keys) => wrong(format!("keys gave {keys:?}, and not an error")),
            },
            Asked::Write => match handle.write(at, &self.value).await {
                Err(failure) => Ok(failure),
                Ok(()) => wrong("write-value said that the document is durable".to_owned()),
            },
            Asked::Remove => match handle.remove(at).await {
                Err(failure) => Ok(failure),
                Ok(removed) => wrong(format!("remove-value gave {removed}, and not an error")),
            },
        }
    }
}

async fn restart(scene: &Scene<'_>) -> Done {
    let mut place = Place::new(scene).await?;
    let mut handle = place.connected().await?;
    let mut failed = 0;
    for round in 0..ROUNDS {
        place.proxies.cut();
        let value = document(&format!("restart {round}"), 5_000);
        let until = Instant::now() + RECOVERY;
        while let Err(failure) = handle.write(&place.at, &value).await {
            failed += 1;
            check((failure.retryable || failure.broke) && Instant::now() < until, || {
                format!("after the server dropped its connections: {}", failure.message)
            })?;
            sleep(PAUSE).await;
            if failure.broke {
                handle = match place.open().await {
                    Ok(fresh) => fresh,
                    Err(trouble) => {
                        return fail(format!("after a server restart it does not open: {}", trouble.message));
                    }
                };
            }
        }
        place.value = value;
        place.proxies.cut();
        handle = place.again(Some(handle), "the server dropped its connections").await?;
    }
    scene.note(format!("{failed} of {ROUNDS} writes after a cut were an error first"));
    Ok(())
}

/// How many times the server is restarted.
const ROUNDS: u32 = 5;

/// The numbers of bytes after which connections are cut: all small numbers, then with growing gaps.
fn cuts() -> impl Iterator<Item = usize> {
    (0..16).chain(std::iter::successors(Some(16_usize), |bytes| Some(bytes + bytes / 3)))
}

async fn cut_while_writing(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    let (mut olds, mut news) = (0, 0);
    // The new document is the same each time, because a server may carry out a write long after its client has gone.
    let new = document("new", 7_000);
    for way in [Way::ToServer, Way::ToClient] {
        for bytes in cuts() {
            let direct = scene.recover("a cut").await?;
            direct.write(&place.at, &place.value).await?;
            direct.close().await;
            let handle = place.connected().await?;
            place.proxies.order(Traffic::CutAfter(way, bytes)).await;
            let outcome = handle.write(&place.at, &new).await;
            let was_cut = place.proxies.was_cut();
            place.proxies.order(Traffic::Pass).await;
            drop(handle);
            let direct = scene.recover("a cut").await?;
            let found = direct.read(&place.at).await?;
            direct.close().await;
            let is_new = found.as_ref() == Some(&new);
            if !is_new && (found.as_ref() != Some(&place.value) || outcome.is_ok()) {
                let said =
                    outcome.err().map_or_else(|| "succeeded".to_owned(), |failure| format!("said {}", failure.message));
                return fail(format!(
                    "{}: cut after {bytes} bytes {}, the write {said}, and read-value gave {}",
                    shown_address(&place.at),
                    name(way),
                    shown_value(found.as_deref())
                ));
            }
            if !was_cut {
                outcome?;
                break;
            }
            *if is_new { &mut news } else { &mut olds } += 1;
        }
    }
    scene.note(format!("cut at {} places: {olds} times the old, {news} times the new", olds + news));
    Ok(())
}

async fn cut_while_reading(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    let (mut documents, mut errors) = (0, 0);
    for way in [Way::ToServer, Way::ToClient] {
        for bytes in cuts() {
            let handle = place.connected().await?;
            place.proxies.order(Traffic::CutAfter(way, bytes)).await;
            let outcome = handle.read(&place.at).await;
            let was_cut = place.proxies.was_cut();
            place.proxies.order(Traffic::Pass).await;
            match outcome {
                Ok(Some(found)) if found == place.value => documents += u32::from(was_cut),
                Ok(found) => {
                    return fail(format!(
                        "{}: cut after {bytes} bytes {}, read-value gave {} instead of an error",
                        shown_address(&place.at),
                        name(way),
                        shown_value(found.as_deref())
                    ));
                }
                Err(failure) if was_cut && (failure.retryable || failure.broke) => errors += 1,
                Err(failure) => return Err(failure.into()),
            }
            if !was_cut {
                break;
            }
        }
    }
    scene.note(format!("cut at {} places: {documents} times the document, {errors} errors", documents + errors));
    Ok(())
}

const fn name(way: Way) -> &'static str {
    match way {
        Way::ToServer => "to the server",
        Way::ToClient => "from the server",
    }
}

async fn slow(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    let delay = place.component.time_limit() / SLOWNESS;
    let handle = place.connected().await?;
    place.proxies.order(Traffic::Late(delay)).await;
    let value = document("slow", 2_000);
    handle.write(&place.at, &value).await?;
    handle.expect(&place.at, Some(&value), "with a slow server").await?;
    handle.expect_keys(&place.at, &["BTCUSDT"], "with a slow server").await?;
    let late = place.open().await;
    let late =
        late.map_err(|trouble| Stop::Failed(format!("with a slow server it does not open: {}", trouble.message)))?;
    late.expect(&place.at, Some(&value), "with a slow server").await?;
    scene.note(format!("each answer {} ms late", delay.as_millis()));
    Ok(())
}

async fn silent(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    let mut handle = place.connected().await?;
    for asked in [Asked::Read, Asked::Write, Asked::Keys] {
        place.proxies.order(Traffic::Stalled).await;
        let failure = place.error(&handle, asked, "with a silent server").await?;
        check(failure.retryable || failure.broke, || {
            format!("a silent server is no lasting error: {}", failure.message)
        })?;
        // The connections are cut first. Otherwise the proxy would now pass on requests that the client has given up,
        // and a server that works again has none of those.
        place.proxies.cut();
        place.proxies.order(Traffic::Pass).await;
        handle = place.again((!failure.broke).then_some(handle), "the server was silent").await?;
    }
    Ok(())
}

async fn own_time_limit(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    let by_itself = |broke: bool, what: &str, message: &str| {
        check(!broke, || {
            format!(
                "with a silent server {what} was ended only by the host, and its instance with it ({message}); give the \
                 backend a time limit of its own for connecting, sending and receiving, shorter than [limits] \
                 store-timeout-ms ({} ms)",
                place.component.time_limit().as_millis()
            )
        })
    };
    place.proxies.order(Traffic::Stalled).await;
    // A backend may connect later.
    if let Err(trouble) = place.open().await {
        by_itself(trouble.broke, "its start", &trouble.message)?;
    }
    for (asked, name) in [(Asked::Read, "read-value"), (Asked::Write, "write-value")] {
        // What was given up is cut, so that the proxy does not pass it on now.
        place.proxies.cut();
        place.proxies.order(Traffic::Pass).await;
        let handle = place.again(None, "the server was silent").await?;
        place.proxies.order(Traffic::Stalled).await;
        let failure = place.error(&handle, asked, "with a silent server").await?;
        by_itself(failure.broke, name, &failure.message)?;
    }
    place.proxies.cut();
    place.proxies.order(Traffic::Pass).await;
    place.again(None, "the server was silent").await.map(drop)
}

async fn refusing(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    let mut handle = place.connected().await?;
    for asked in ALL {
        place.proxies.order(Traffic::Refused).await;
        let failure = place.error(&handle, asked, "while connections were refused").await?;
        check(!failure.broke, || format!("while connections were refused it broke down: {}", failure.message))?;
        check(failure.retryable, || format!("a server that is away is no lasting error: {}", failure.message))?;
        place.proxies.order(Traffic::Pass).await;
        handle = place.again(Some(handle), "connections were refused").await?;
    }
    Ok(())
}

async fn refusing_at_start(scene: &Scene<'_>) -> Done {
    let place = Place::new(scene).await?;
    place.proxies.order(Traffic::Refused).await;
    match place.open().await {
        Err(trouble) => {
            check(!trouble.broke, || format!("without a server its start broke down: {}", trouble.message))?;
            check(trouble.retryable, || format!("a server that is away is no lasting error: {}", trouble.message))?;
        }
        Ok(handle) => {
            for asked in ALL {
                let failure = place.error(&handle, asked, "without a server").await?;
                check(failure.retryable && !failure.broke, || {
                    format!("a server that is away is no lasting error: {}", failure.message)
                })?;
            }
        }
    }
    place.proxies.order(Traffic::Pass).await;
    place.again(None, "it was started without a server").await.map(drop)
}
