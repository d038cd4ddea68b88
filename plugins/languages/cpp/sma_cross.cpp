// Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
#include <span>

#include "sigbox.h"

namespace {

int fast = 20, slow = 60, minutes = 240;
double take_profit_percent = 1.0, stop_loss_percent = 0.6;
const sigbox_setting settings[] = {
    SIGBOX_SETTING(fast, "candles in the fast average"),
    SIGBOX_SETTING(slow, "candles in the slow average"),
    SIGBOX_SETTING(take_profit_percent, "distance of the take-profit from the price, percent"),
    SIGBOX_SETTING(stop_loss_percent, "distance of the stop-loss from the price, percent"),
    SIGBOX_SETTING(minutes, "lifetime of a position, minutes"),
    {},
};

const char *start() {
  if (fast >= 1 && fast < slow) return nullptr;
  return sigbox_text("fast must be at least 1 and below slow; found fast %d slow %d", fast, slow);
}

// The sum in eight lanes, as the Rust sample adds: the same bits for the same candles.
double sum(std::span<const double> closes) {
  double lane[8] = {};
  for (size_t i = 0; i < closes.size(); i++) lane[i % 8] += closes[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

bool sma_cross(const sigbox_tick *tick, sigbox_signal *out) {
  size_t count = size_t(slow) + 1, at = size_t(slow - fast);
  const double *window = sigbox_closes(count);
  if (!window) return false;
  std::span closes(window, count);
  double first = closes[0], first_fast = closes[at], last = closes.back();
  double shared = sum(closes.subspan(at + 1, size_t(fast) - 1));
  double shared_slow = sum(closes.subspan(1, at - 1)) + first_fast + shared;
  bool before = (first_fast + shared) / fast > (first + shared_slow) / slow;
  bool now = (shared + last) / fast > (shared_slow + last) / slow;
  if (before == now) return false;
  double up = now ? 1 : -1;
  *out = {
      .position = now ? SIGBOX_LONG : SIGBOX_SHORT,
      .take_profit = tick->price * (1 + up * take_profit_percent / 100),
      .stop_loss = tick->price * (1 - up * stop_loss_percent / 100),
      .minutes = double(minutes),
  };
  return true;
}

}  // namespace

SIGBOX_STRATEGY("sma-cross", "0.1.0", "1m", settings, start, sma_cross)
