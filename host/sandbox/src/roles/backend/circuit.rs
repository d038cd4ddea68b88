//! A circuit: when the host stops asking a backend, and when it asks the backend again.
//!
//! ```text
//!             FAILURES in a row                    the pause is over
//!   Closed ───────────────────────► Open ───────────────────────────► Probing
//!      ▲                             ▲  the call failed: a longer pause  │ │
//!      │                             └───────────────────────────────────┘ │
//!      └───────────────────────── the call succeeded ──────────────────────┘
//! ```
//!
//! A backend that does not answer costs every caller the whole time of a call. The callers are the traders of all
//! symbols. They wait one after the other, while open positions have to be watched.

use std::time::Duration;

use tokio::time::Instant;

/// How many calls in a row fail before the circuit opens. Each of them has been repeated as often as possible.
const FAILURES: u32 = 3;

/// The first pause: shorter than the minute after which the engine tries again anyway.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. The engine tries once a minute, and this is shorter, so the first try after a backend is back
/// finds it.
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) enum Circuit {
    /// The backend is asked.
    Closed {
        /// Calls that failed since the last call that was answered.
        failures: u32,
    },
    /// The backend is not asked before `until`.
    Open {
        until: Instant,
        pause: Duration,
        /// How the last call failed.
        reason: String,
    },
    /// The pause is over; the next call decides.
    Probing {
        /// How long the last pause was.
        pause: Duration,
    },
}

/// A change that the operator should know of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The backend is not asked for this long.
    Opened(Duration),
    /// The backend answers again.
    Closed,
}

/// Why a call is not made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAsked {
    /// How long until the backend is asked again.
    pub(super) wait: Duration,
    /// How the last call failed.
    pub(super) reason: String,
}

impl Circuit {
    pub(super) const fn new() -> Self {
        Self::Closed { failures: 0 }
    }

    /// Whether a call may be made at `now`.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), NotAsked> {
        match self {
            Self::Closed { .. } | Self::Probing { .. } => Ok(()),
            Self::Open { until, pause, .. } if *until <= now => {
                *self = Self::Probing { pause: *pause };
                Ok(())
            }
            Self::Open { until, reason, .. } => Err(NotAsked { wait: *until - now, reason: reason.clone() }),
        }
    }

    /// Records that a call was answered. A final refusal is an answer too.
    pub(super) fn answered(&mut self) -> Option<Turn> {
        let was_open = matches!(self, Self::Probing { .. });
        *self = Self::new();
        if was_open { Some(Turn::Closed) } else { None }
    }

    /// Records that a call failed at `now` for `reason`, and that the same call may succeed later.
    pub(super) fn failed(&mut self, now: Instant, reason: &str) -> Option<Turn> {
        let pause = match self {
            Self::Closed { failures } => {
                *failures += 1;
                if *failures < FAILURES {
                    return None;
                }
                PAUSE
            }
            Self::Probing { pause } => (*pause * 2).min(PAUSE_MAX),
            Self::Open { pause, .. } => *pause,
        };
        let first = !matches!(self, Self::Probing { .. });
        *self = Self::Open { until: now + pause, pause, reason: reason.to_owned() };
        first.then_some(Turn::Opened(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_at_the_first_success() {
        let start = Instant::now();
        let mut circuit = Circuit::new();
        for _ in 1..FAILURES {
            assert_eq!(circuit.failed(start, "gone"), None);
        }
        assert_eq!(circuit.answered(), None, "a success in between starts the count anew");
        for _ in 1..FAILURES {
            assert_eq!(circuit.failed(start, "gone"), None);
        }
        assert_eq!(circuit.failed(start, "gone"), Some(Turn::Opened(PAUSE)));
        let not_asked = circuit.admit(start + PAUSE / 4).unwrap_err();
        assert_eq!(not_asked, NotAsked { wait: PAUSE * 3 / 4, reason: "gone".to_owned() });
        circuit.admit(start + PAUSE).unwrap();
        assert_eq!(circuit.answered(), Some(Turn::Closed));
        circuit.admit(start).unwrap();
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut now = Instant::now();
        let mut circuit = Circuit::new();
        for _ in 0..FAILURES {
            circuit.failed(now, "gone");
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(seconds);
            assert!(circuit.admit(now + pause - Duration::from_millis(1)).is_err(), "{seconds} s");
            now += pause;
            circuit.admit(now).unwrap();
            assert_eq!(circuit.failed(now, "gone"), None, "said once");
        }
    }
}
