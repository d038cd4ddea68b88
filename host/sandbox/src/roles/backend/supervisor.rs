//! The supervisor of a backend. It repeats calls that may be repeated, replaces instances that broke down, and stops
//! asking a backend that does not answer.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use sigbox_events::{Incident, IncidentKind};
use sigbox_trading::store::{Incidents, UNAVAILABLE};
use tokio::time::Instant;

use super::{
    circuit::{Circuit, NotAsked, Turn},
    instance::{Blueprint, Call, Entity, Failed, Running, wait_for_init},
};
use crate::{
    bindings::persistence::exports::sigbox::persistence::store as wit,
    error::Breakdown,
    secret::hide,
    text::{message, words},
};

/// The first pause before a refused call is repeated, unless the backend names one.
const RETRY_FIRST: Duration = Duration::from_millis(50);

/// The longest pause; several pauses fit into the time of a call.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// How many fresh instances one call may use up. If a call breaks down on two instances, it breaks down on a third too.
const RESTARTS_PER_CALL: u32 = 1;

/// Whether a backend is supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supervision {
    /// Calls are repeated and instances replaced.
    On,
    /// Each call is made once, and an instance that broke down is not replaced. So a caller sees what the backend
    /// itself does.
    Off,
}

/// A call that failed for good.
#[derive(Debug)]
pub(super) struct Problem {
    /// As in `sigbox:persistence`.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retryable: bool,
    pub(super) retry_after: Option<Duration>,
}

/// One backend, and its running instance if there is one.
pub(super) struct Supervisor {
    blueprint: Blueprint,
    supervision: Supervision,
    instance: Option<Running>,
    /// Entities, by domain and entity name, that the current instance was told of. A fresh instance is told of them
    /// again.
    ready: Vec<Entity>,
    circuit: Circuit,
    incidents: Arc<Incidents>,
}

impl Supervisor {
    pub(super) const fn new(blueprint: Blueprint, supervision: Supervision, incidents: Arc<Incidents>) -> Self {
        Self { blueprint, supervision, instance: None, ready: Vec::new(), circuit: Circuit::new(), incidents }
    }

    /// Starts the first instance.
    pub(super) async fn start(&mut self, deadline: Instant) -> Result<wit::Descriptor, Failed> {
        let mut pauses = pauses();
        loop {
            let began = Instant::now();
            match self.blueprint.start(deadline).await {
                Ok((descriptor, running)) => {
                    self.instance = Some(running);
                    return Ok(descriptor);
                }
                Err(Failed::Refused(function, failure)) => {
                    if !self.pause(&failure, &mut pauses, began.elapsed(), deadline).await {
                        return Err(Failed::Refused(function, failure));
                    }
                }
                Err(broke @ Failed::Broke(..)) => return Err(broke),
            }
        }
    }

    /// Makes a call, and repeats it while that may help and `deadline` allows it.
    pub(super) async fn call<T>(
        &mut self,
        deadline: Instant,
        function: &'static str,
        call: &dyn Call<T>,
    ) -> Result<T, Problem> {
        if let Err(NotAsked { wait, reason }) = self.circuit.admit(Instant::now()) {
            return Err(Problem {
                code: UNAVAILABLE.to_owned(),
                message: format!("{function}: not asked, because it failed several times in a row: {reason}"),
                retryable: true,
                retry_after: Some(wait),
            });
        }
        let result = self.persist(deadline, function, call).await;
        let turn = match &result {
            Err(problem) if problem.retryable && self.supervision == Supervision::On => {
                self.circuit.failed(Instant::now(), &problem.message)
            }
            Ok(_) | Err(_) => self.circuit.answered(),
        };
        match (turn, &result) {
            (Some(Turn::Opened(pause)), Err(problem)) => {
                let told = format!("not asked for {} s after {}", pause.as_secs(), problem.message);
                self.tell(IncidentKind::Suspended, told);
            }
            (Some(Turn::Closed), _) => self.tell(IncidentKind::Resumed, "it answers again".to_owned()),
            (None | Some(Turn::Opened(_)), _) => {}
        }
        result
    }

    /// Records that the current instance was told of an entity.
    pub(super) fn made_ready(&mut self, entity: Entity) {
        if !self.ready.contains(&entity) {
            self.ready.push(entity);
        }
    }

    /// Lets the instance close, and drops it.
    pub(super) async fn close(&mut self, deadline: Instant) {
        let Some(mut running) = self.instance.take() else { return };
        let close = self
            .blueprint
            .attempt(&mut running, deadline, "close", &|guest, store| Box::pin(guest.store.call_close(store)));
        if let Err(failed) = close.await {
            let problem = self.describe(&failed).message;
            tracing::warn!(target: "plugin", plugin = self.blueprint.shared().name, "{problem}");
        }
    }

    async fn persist<T>(
        &mut self,
        deadline: Instant,
        function: &'static str,
        call: &dyn Call<T>,
    ) -> Result<T, Problem> {
        let mut pauses = pauses();
        let mut restarts = 0;
        let mut refusal: Option<String> = None;
        loop {
            let began = Instant::now();
            let failed = match self.attempt(deadline, function, call).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            let mut problem = self.describe(&failed);
            let again = match &failed {
                Failed::Refused(_, failure) => {
                    refusal = Some(problem.message.clone());
                    self.pause(failure, &mut pauses, began.elapsed(), deadline).await
                }
                Failed::Broke(_, breakdown) => {
                    self.tell(IncidentKind::Restarted, problem.message.clone());
                    let again = restarts < RESTARTS_PER_CALL && !matches!(breakdown, Breakdown::Timeout { .. });
                    if !again && restarts > 0 {
                        problem.message = format!("a fresh instance: {}", problem.message);
                    }
                    if let Some(refusal) = &refusal {
                        problem.message = format!("{}; before that, {refusal}", problem.message);
                    }
                    restarts += 1;
                    again && self.supervision == Supervision::On
                }
            };
            if !again {
                return Err(problem);
            }
        }
    }

    /// One attempt, on a fresh instance if there is none.
    async fn attempt<T>(&mut self, deadline: Instant, function: &'static str, call: &dyn Call<T>) -> Result<T, Failed> {
        // The instance is taken out, so that an instance that stops in the middle of its work is never used again.
        let mut running = match self.instance.take() {
            Some(running) => running,
            None => self.successor(deadline).await?,
        };
        let outcome = self.blueprint.attempt(&mut running, deadline, function, call).await;
        if !matches!(outcome, Err(Failed::Broke(..))) {
            self.instance = Some(running);
        }
        outcome
    }

    async fn successor(&self, deadline: Instant) -> Result<Running, Failed> {
        if self.supervision == Supervision::Off {
            return Err(Failed::Broke("instantiate", Breakdown::Trap("the instance broke down before".to_owned())));
        }
        let (_, mut running) = self.blueprint.start(deadline).await?;
        for entity in &self.ready {
            let told = wait_for_init(entity, false);
            self.blueprint.attempt(&mut running, deadline, "wait-for-init", &told).await?;
        }
        Ok(running)
    }

    /// Waits before a refused call is repeated. The call `took` that long. Returns false when the call must not be
    /// repeated, or when too little time is left: a call that is cut off costs the instance, and the next attempt may
    /// take longer than this one did.
    async fn pause(
        &self,
        failure: &wit::Failure,
        pauses: &mut impl Iterator<Item = Duration>,
        took: Duration,
        deadline: Instant,
    ) -> bool {
        if !failure.retryable || self.supervision == Supervision::Off {
            return false;
        }
        let own = pauses.next().unwrap_or(RETRY_MAX);
        let hinted = failure.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
        let until = Instant::now() + hinted.map_or(own, |hinted| hinted.max(RETRY_FIRST));
        if until + took * 5 / 4 >= deadline {
            return false;
        }
        tokio::time::sleep_until(until).await;
        true
    }

    fn describe(&self, failed: &Failed) -> Problem {
        let secrets = &self.blueprint.shared().secrets;
        match failed {
            Failed::Refused(function, failure) => {
                let wit::Failure { code, message: said, retryable, retry_after_ms, extra: _ } = failure;
                Problem {
                    code: message(code),
                    message: words(&hide(format!("{function}: {code}: {said}"), secrets)),
                    retryable: *retryable,
                    retry_after: retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
                }
            }
            Failed::Broke(function, breakdown) => Problem {
                code: UNAVAILABLE.to_owned(),
                message: hide(format!("{function}: {breakdown}"), secrets),
                retryable: true,
                retry_after: None,
            },
        }
    }

    fn tell(&self, kind: IncidentKind, message: String) {
        let store = self.blueprint.shared().name.clone();
        match kind {
            IncidentKind::Resumed => tracing::info!(target: "plugin", plugin = store, "{message}"),
            IncidentKind::Restarted | IncidentKind::Suspended => {
                tracing::warn!(target: "plugin", plugin = store, "{message}");
            }
        }
        self.incidents.push(Incident { store, kind, message });
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(RETRY_FIRST)
        .with_max_delay(RETRY_MAX)
        .without_max_times()
        .build()
}
