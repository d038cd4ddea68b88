/* Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "strategy.h"

#define MINUTE_MS 60000

static double fast = 20, slow = 60, take_profit_percent = 1.0, stop_loss_percent = 0.6, minutes = 240;

static const struct setting {
  const char *name;
  double *value;
  bool is_whole;
} settings[] = {
    {"fast", &fast, true},
    {"slow", &slow, true},
    {"take-profit-percent", &take_profit_percent, false},
    {"stop-loss-percent", &stop_loss_percent, false},
    {"minutes", &minutes, true},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static strategy_string_t symbol, minute, close_field;

/* Room for closes; `len` of them are known, oldest first, and the newest is of `newest_ms`. */
static double *kept;
static size_t room, len;
static uint64_t newest_ms;

void exports_sigbox_strategy_strategy_describe(exports_sigbox_strategy_strategy_descriptor_t *ret) {
  memset(ret, 0, sizeof *ret);
  strategy_string_dup(&ret->name, "sma-cross");
  strategy_string_dup(&ret->version, "0.1.0");
  strategy_string_dup(&ret->interval, "1m");
}

static bool is(strategy_string_t text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

/* What is wrong with one setting of the operator is written to `why`. */
static bool set(strategy_tuple2_string_string_t given, char *why, size_t why_len) {
  for (size_t i = 0; i < SETTINGS; i++) {
    const struct setting *setting = &settings[i];
    if (!is(given.f0, setting->name)) continue;
    char text[64], *end;
    snprintf(text, sizeof text, "%.*s", (int)given.f1.len, (const char *)given.f1.ptr);
    *setting->value = strtod(text, &end);
    if (end != text && *end == 0 && !(setting->is_whole && *setting->value != floor(*setting->value))) return true;
    const char *kind = setting->is_whole ? "whole number" : "number";
    snprintf(why, why_len, "%s must be a %s; found %s", setting->name, kind, text);
    return false;
  }
  snprintf(why, why_len, "there is no setting %.*s", (int)given.f0.len, (const char *)given.f0.ptr);
  return false;
}

bool exports_sigbox_strategy_strategy_start(exports_sigbox_strategy_strategy_failure_t *err) {
  char why[128] = "";
  strategy_list_tuple2_string_string_t given;
  sigbox_host_config_all(&given);
  for (size_t i = 0; i < given.len && set(given.ptr[i], why, sizeof why); i++) {}
  strategy_list_tuple2_string_string_free(&given);
  if (!*why && (fast < 1 || fast >= slow))
    snprintf(why, sizeof why, "fast must be at least 1 and below slow; found fast %d slow %d", (int)fast, (int)slow);
  if (*why) {
    memset(err, 0, sizeof *err);
    strategy_string_dup(&err->code, "settings");
    strategy_string_dup(&err->message, why);
    return false;
  }
  sigbox_host_session_symbol(&symbol);
  strategy_string_set(&minute, "1m");
  strategy_string_set(&close_field, "close");
  room = 4 * ((size_t)slow + 1);
  kept = malloc(room * sizeof *kept);
  if (!kept) abort();
  return true;
}

/* The last closes; NULL while there are not so many. The one that is new came with the question. */
static const double *window(size_t count, uint64_t when_ms, double close) {
  if (len > 0 && when_ms == newest_ms + MINUTE_MS) {
    if (len == room) {
      len = count - 1;
      memcpy(kept, kept + room - len, len * sizeof *kept);
    }
    kept[len++] = close;
  } else {
    strategy_list_string_t fields = {&close_field, 1};
    strategy_list_f64_t closes;
    sigbox_host_market_unavailable_t err;
    len = 0;
    if (!sigbox_host_market_columns(&symbol, &minute, &fields, (uint32_t)count, &closes, &err)) {
      if (!is(err.code, "not-enough-history")) sigbox_strategy_answer_fail(&err.code, &err.message, true);
      sigbox_host_market_unavailable_free(&err);
      return NULL;
    }
    len = closes.len;
    memcpy(kept, closes.ptr, len * sizeof *kept);
    strategy_list_f64_free(&closes);
  }
  newest_ms = when_ms;
  return kept + len - count;
}

/* The sum in eight lanes, as the Rust sample adds: the same bits for the same candles. */
static double sum(const double *closes, int count) {
  double lane[8] = {0};
  for (int i = 0; i < count; i++) lane[i & 7] += closes[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

void exports_sigbox_strategy_strategy_get_signal(uint64_t when_ms, double price, double open, double high, double low,
                                                 double close, double volume) {
  const double *closes = window((size_t)slow + 1, when_ms, close);
  if (!closes) return;
  int at = (int)slow - (int)fast;
  double shared = sum(closes + at + 1, (int)fast - 1), last = closes[(int)slow];
  double shared_slow = sum(closes + 1, at - 1) + closes[at] + shared;
  bool before = (closes[at] + shared) / fast > (closes[0] + shared_slow) / slow;
  bool now = (shared + last) / fast > (shared_slow + last) / slow;
  if (before == now) return;
  double up = now ? 1 : -1;
  sigbox_strategy_answer_signal_t signal = {
      .position = now ? SIGBOX_STRATEGY_ANSWER_POSITION_LONG : SIGBOX_STRATEGY_ANSWER_POSITION_SHORT,
      .price_take_profit = price * (1 + up * take_profit_percent / 100),
      .price_stop_loss = price * (1 - up * stop_loss_percent / 100),
      .minute_estimated_time = {true, minutes},
  };
  sigbox_strategy_answer_trade(&signal);
}
