/* Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below. */
#include "sigbox.h"

static int fast = 20, slow = 60, minutes = 240;
static double take_profit_percent = 1.0, stop_loss_percent = 0.6;
static const sigbox_setting settings[] = {
    SIGBOX_SETTING(fast, "candles in the fast average"),
    SIGBOX_SETTING(slow, "candles in the slow average"),
    SIGBOX_SETTING(take_profit_percent, "distance of the take-profit from the price, percent"),
    SIGBOX_SETTING(stop_loss_percent, "distance of the stop-loss from the price, percent"),
    SIGBOX_SETTING(minutes, "lifetime of a position, minutes"),
    {0},
};

static const char *start(void) {
  if (fast >= 1 && fast < slow) return NULL;
  return sigbox_text("fast must be at least 1 and below slow; found fast %d slow %d", fast, slow);
}

/* The sum in eight lanes, as the Rust sample adds: the same bits for the same candles. */
static double sum(const double *closes, int count) {
  double lane[8] = {0};
  for (int i = 0; i < count; i++) lane[i & 7] += closes[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static bool sma_cross(const sigbox_tick *tick, sigbox_signal *out) {
  const double *closes = sigbox_closes((size_t)slow + 1);
  if (!closes) return false;
  int at = slow - fast;
  double shared = sum(closes + at + 1, fast - 1), last = closes[slow];
  double shared_slow = sum(closes + 1, at - 1) + closes[at] + shared;
  bool before = (closes[at] + shared) / fast > (closes[0] + shared_slow) / slow;
  bool now = (shared + last) / fast > (shared_slow + last) / slow;
  if (before == now) return false;
  double up = now ? 1 : -1;
  out->position = now ? SIGBOX_LONG : SIGBOX_SHORT;
  out->take_profit = tick->price * (1 + up * take_profit_percent / 100);
  out->stop_loss = tick->price * (1 - up * stop_loss_percent / 100);
  out->minutes = minutes;
  return true;
}

SIGBOX_STRATEGY("sma-cross", "0.1.0", "1m", settings, start, sma_cross)
