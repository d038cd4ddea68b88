//! What became of limit orders (specification 11.5, schedule).

use super::{MINUTE_MS, count};
use crate::outcome::CancelReason;

/// What became of limit orders.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Orders {
    /// Accepted.
    pub scheduled: u64,
    /// Filled: they became positions.
    pub activated: u64,
    /// Ended without being filled, by reason, in the order of [`CancelReason::ALL`].
    pub cancelled_by: [u64; 3],
    activated_after_ms: i64,
    cancelled_after_ms: i64,
}

impl Orders {
    /// One was accepted.
    pub const fn schedule(&mut self) {
        self.scheduled += 1;
    }

    /// One was filled after `waited_ms`.
    pub const fn activate(&mut self, waited_ms: i64) {
        self.activated += 1;
        self.activated_after_ms = self.activated_after_ms.saturating_add(waited_ms);
    }

    /// One ended without being filled after `waited_ms`.
    pub fn cancel(&mut self, reason: CancelReason, waited_ms: i64) {
        for (number, listed) in self.cancelled_by.iter_mut().zip(CancelReason::ALL) {
            *number += u64::from(listed == reason);
        }
        self.cancelled_after_ms = self.cancelled_after_ms.saturating_add(waited_ms);
    }

    /// Ended without being filled.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.cancelled_by.iter().sum()
    }

    /// Share of the orders that have ended which were filled, percent; `None` while none has. An order that still waits
    /// is not counted either way.
    #[must_use]
    pub fn activation_rate(&self) -> Option<f64> {
        self.share(self.activated)
    }

    /// Share of the orders that have ended which were not filled, percent; `None` while none has.
    #[must_use]
    pub fn cancellation_rate(&self) -> Option<f64> {
        self.share(self.cancelled())
    }

    /// Mean time to being filled, minutes; `None` while none was.
    #[must_use]
    pub fn average_activation_minutes(&self) -> Option<f64> {
        average_minutes(self.activated_after_ms, self.activated)
    }

    /// Mean time to ending unfilled, minutes; `None` while none has.
    #[must_use]
    pub fn average_wait_minutes(&self) -> Option<f64> {
        average_minutes(self.cancelled_after_ms, self.cancelled())
    }

    fn share(&self, number: u64) -> Option<f64> {
        let ended = self.activated + self.cancelled();
        (ended > 0).then(|| count(number) / count(ended) * 100.0)
    }
}

fn average_minutes(sum_ms: i64, number: u64) -> Option<f64> {
    (number > 0).then(|| super::span_ms(0, sum_ms) / MINUTE_MS / count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_orders_that_have_ended() {
        let mut orders = Orders::default();
        assert_eq!((orders.activation_rate(), orders.average_wait_minutes()), (None, None));
        for _ in 0..6 {
            orders.schedule();
        }
        orders.activate(90_000);
        orders.cancel(CancelReason::Timeout, 7_200_000);
        orders.cancel(CancelReason::PriceReject, 60_000);
        orders.activate(30_000);
        orders.cancel(CancelReason::Timeout, 3_540_000);
        assert_eq!((orders.activation_rate(), orders.cancellation_rate()), (Some(40.0), Some(60.0)));
        assert_eq!(orders.average_activation_minutes(), Some(1.0));
        assert_eq!(orders.average_wait_minutes(), Some(60.0));
        assert_eq!((orders.scheduled, orders.activated, orders.cancelled_by), (6, 2, [2, 1, 0]));
    }
}
