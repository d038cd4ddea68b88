/* Strategies for sigbox in C11 and C++20. A strategy is a function that says whether to trade:
 *
 *     #include "sigbox.h"
 *
 *     static double percent = 1.0;
 *     static const sigbox_setting settings[] = {SIGBOX_SETTING(percent, "how far below the high it buys"), {0}};
 *
 *     static bool dip(const sigbox_tick *tick, sigbox_signal *out) {
 *       const double *highs = sigbox_highs(60);
 *       if (!highs || tick->price > sigbox_highest(highs, 60) * (1 - percent / 100)) return false;
 *       out->take_profit = tick->price * 1.02;
 *       out->stop_loss = tick->price * 0.99;
 *       out->minutes = 240;
 *       return true;
 *     }
 *
 *     SIGBOX_STRATEGY("dip", "0.1.0", "5m", settings, NULL, dip)
 *
 * SIGBOX_STRATEGY stands in one file of a program. Other files may include this header too. What is printed becomes lines
 * of the log, also what abort() and assert() say. sigbox_testing.h runs a strategy natively.
 */
#ifndef SIGBOX_H
#define SIGBOX_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
#define SIGBOX__C extern "C"
extern "C" {
#else
#define SIGBOX__C
#endif

#define SIGBOX_MINUTE_MS 60000
#define SIGBOX__API static inline __attribute__((unused))

/* What an author sees. ------------------------------------------------------------------------------------------------ */

typedef enum { SIGBOX_LONG, SIGBOX_SHORT } sigbox_position;

/* One closed bar: milliseconds since the Unix epoch, prices in the quote currency, volume in the base currency. */
typedef struct {
  uint64_t open_time_ms;
  double open, high, low, close, volume;
} sigbox_candle;

/* One question. */
typedef struct {
  /* The minute boundary that is being decided, milliseconds since the Unix epoch. */
  uint64_t when_ms;
  /* Average price of the last closed candles. */
  double price;
  /* The one-minute candle that closed at when_ms. */
  sigbox_candle newest;
} sigbox_tick;

typedef enum { SIGBOX_BY_DEFAULT, SIGBOX_YES, SIGBOX_NO } sigbox_choice;

/* "Trade this." It is all zero at first. What is 0, NULL or SIGBOX_BY_DEFAULT is the operator's default. */
typedef struct {
  sigbox_position position;
  /* Closed at this price when the average price reaches it. */
  double take_profit;
  /* Closed at this price when a candle touches it. */
  double stop_loss;
  /* Enter only when a candle touches this price; 0: enter now. */
  double limit;
  /* Whole minutes until the position is closed as expired. */
  double minutes;
  /* Amount to invest, quote currency. */
  double cost;
  double multiplier;
  /* Whether the price at which everything invested is lost acts as a second stop. */
  sigbox_choice isolated;
  /* The strategy's own name for it. The id opened last is not opened again. */
  const char *id;
  /* A remark, kept verbatim in rows and events. */
  const char *note;
} sigbox_signal;

/* A position of this strategy on its symbol that was opened and closed. Texts live until the question ends. */
typedef struct {
  const char *id;
  sigbox_position position;
  uint64_t opened_ms, closed_ms;
  double price_open, price_close;
  /* What was invested, quote currency. */
  double cost;
  double pnl_percentage, pnl_cost;
  /* Why it was closed, an open set: "take_profit", "stop_loss", "time_expired", "liquidation", "closed" today. */
  const char *reason;
} sigbox_trade;

/* Who trades what. `frame`, the name of the period that is being replayed, is empty where there is none. */
typedef struct {
  const char *symbol, *strategy, *exchange, *frame;
} sigbox_session;

typedef enum { SIGBOX_TRACE, SIGBOX_DEBUG, SIGBOX_INFO, SIGBOX_WARN, SIGBOX_ERROR } sigbox_level;

/* What the operator can set: see SIGBOX_SETTING. A list of them ends with {0}. */
typedef enum { SIGBOX__NUMBER, SIGBOX__WHOLE, SIGBOX__BOOLEAN, SIGBOX__WORD } sigbox__kind;
typedef struct {
  const char *name;
  void *value;
  sigbox__kind kind;
  const char *doc;
} sigbox_setting;

/* A variable as a setting; what it has at first is the default. It may be a double, an int, a bool or a `const char *`.
 * take_profit is take-profit in the operator's file. `doc` explains it to tools. */
#ifdef __cplusplus
}
constexpr sigbox__kind sigbox__kind_of(double *) { return SIGBOX__NUMBER; }
constexpr sigbox__kind sigbox__kind_of(int *) { return SIGBOX__WHOLE; }
constexpr sigbox__kind sigbox__kind_of(bool *) { return SIGBOX__BOOLEAN; }
constexpr sigbox__kind sigbox__kind_of(const char **) { return SIGBOX__WORD; }
#define SIGBOX_SETTING(variable, doc) {#variable, &variable, sigbox__kind_of(&variable), doc}
extern "C" {
#else
#define SIGBOX_SETTING(variable, doc) \
  {#variable, &variable, \
   _Generic(&variable, double *: SIGBOX__NUMBER, int *: SIGBOX__WHOLE, bool *: SIGBOX__BOOLEAN, const char **: SIGBOX__WORD), \
   doc}
#endif

/* The strategy of a program.
 *
 * interval: how often it wants to be asked unless the operator says otherwise, "1m" "3m" "5m" "15m" "30m" "1h".
 * settings: an array that ends with {0}, or NULL.
 * start:    `const char *start(void)` returns why the strategy cannot trade with its settings, or NULL. May be NULL.
 * signal:   `bool signal(const sigbox_tick *, sigbox_signal *)` fills in a signal and returns true to trade. What must not
 *           be forgotten has to follow from the candles or be kept by sigbox_set: after a restart a fresh program answers. */
typedef struct {
  const char *name, *version, *interval;
  const sigbox_setting *settings;
  const char *(*start)(void);
  bool (*signal)(const sigbox_tick *, sigbox_signal *);
} sigbox__definition;
extern const sigbox__definition sigbox__strategy;
#define SIGBOX_STRATEGY(name, version, interval, settings, start, signal) \
  SIGBOX__C const sigbox__definition sigbox__strategy = {name, version, interval, settings, start, signal};

/* The host, or a test. ------------------------------------------------------------------------------------------------ */

typedef struct {
  char *ptr;
  size_t len;
} sigbox__text;
typedef struct {
  void *ptr;
  size_t len;
} sigbox__list;
typedef struct {
  bool is_some;
  sigbox__text value;
} sigbox__optional_text;
typedef struct {
  bool is_some;
  double value;
} sigbox__optional_number;
typedef struct {
  sigbox__text code, message;
} sigbox__refusal;
typedef struct {
  bool is_error;
  union {
    sigbox__list ok;
    sigbox__refusal refusal;
  } value;
} sigbox__result;
typedef struct {
  bool is_error;
  union {
    double ok;
    sigbox__refusal refusal;
  } value;
} sigbox__price;
typedef struct {
  sigbox__optional_text id, symbol;
  uint8_t position;
  sigbox__optional_number limit;
  double take_profit, stop_loss;
  sigbox__optional_number minutes, cost, multiplier;
  struct {
    bool is_some, value;
  } isolated;
  sigbox__optional_text note, extra;
} sigbox__signal;
typedef struct {
  sigbox__text id;
  uint8_t position;
  uint64_t opened_ms, closed_ms;
  double price_open, price_close, cost, pnl_percentage, pnl_cost;
  sigbox__text reason;
  sigbox__optional_text extra;
} sigbox__trade;
typedef struct {
  sigbox__text name, version, interval;
  sigbox__optional_text schema;
  sigbox__list features;
  sigbox__optional_text extra;
} sigbox__descriptor;
typedef struct {
  bool is_error;
  sigbox__refusal refusal;
  bool retryable;
  sigbox__optional_text extra;
} sigbox__started;

#ifdef __wasm__
#define SIGBOX__IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define SIGBOX__EXPORT(name) __attribute__((weak, used, export_name(name)))
#ifdef __cplusplus
#define SIGBOX__SIZE(type, size) static_assert(sizeof(type) == size, #type);
#else
#define SIGBOX__SIZE(type, size) _Static_assert(sizeof(type) == size, #type);
#endif
SIGBOX__SIZE(sigbox__signal, 144)
SIGBOX__SIZE(sigbox__trade, 96)
SIGBOX__SIZE(sigbox__result, 20)
SIGBOX__SIZE(sigbox__price, 24)
SIGBOX__SIZE(sigbox__descriptor, 56)
SIGBOX__SIZE(sigbox__started, 36)
#else
#define SIGBOX__IMPORT(module, name)
#define SIGBOX__EXPORT(name) __attribute__((weak))
#endif

SIGBOX__IMPORT("sigbox:host/session@0.1.0", "symbol") void sigbox__host_symbol(sigbox__text *ret);
SIGBOX__IMPORT("sigbox:host/session@0.1.0", "strategy") void sigbox__host_strategy(sigbox__text *ret);
SIGBOX__IMPORT("sigbox:host/session@0.1.0", "exchange") void sigbox__host_exchange(sigbox__text *ret);
SIGBOX__IMPORT("sigbox:host/session@0.1.0", "frame") void sigbox__host_frame(sigbox__optional_text *ret);
SIGBOX__IMPORT("sigbox:host/session@0.1.0", "settings") void sigbox__host_settings(sigbox__text *ret);
SIGBOX__IMPORT("sigbox:host/clock@0.1.0", "now-ms") uint64_t sigbox__host_now_ms(void);
SIGBOX__IMPORT("sigbox:host/logging@0.1.0", "log")
void sigbox__host_log(int32_t level, const char *target, size_t target_len, const char *line, size_t len);
SIGBOX__IMPORT("sigbox:host/market@0.1.0", "candles")
void sigbox__host_candles(const char *symbol, size_t symbol_len, const char *interval, size_t interval_len, uint32_t limit,
                          sigbox__result *ret);
SIGBOX__IMPORT("sigbox:host/market@0.1.0", "candles-after")
void sigbox__host_candles_after(const char *symbol, size_t symbol_len, const char *interval, size_t interval_len,
                                uint64_t after_ms, uint32_t limit, sigbox__result *ret);
SIGBOX__IMPORT("sigbox:host/market@0.1.0", "columns")
void sigbox__host_columns(const char *symbol, size_t symbol_len, const char *interval, size_t interval_len,
                          const sigbox__text *fields, size_t fields_len, uint32_t limit, sigbox__result *ret);
SIGBOX__IMPORT("sigbox:host/market@0.1.0", "next-candles")
void sigbox__host_next_candles(uint64_t after_ms, uint32_t limit, sigbox__list *ret);
SIGBOX__IMPORT("sigbox:host/market@0.1.0", "average-price")
void sigbox__host_average_price(const char *symbol, size_t symbol_len, sigbox__price *ret);
SIGBOX__IMPORT("sigbox:host/trades@0.1.0", "last") void sigbox__host_trades(uint32_t n, sigbox__list *ret);
SIGBOX__IMPORT("sigbox:host/memory@0.1.0", "get")
void sigbox__host_get(const char *name, size_t len, sigbox__optional_text *ret);
SIGBOX__IMPORT("sigbox:host/memory@0.1.0", "set")
void sigbox__host_set(const char *name, size_t len, const void *value, size_t value_len, sigbox__result *ret);
SIGBOX__IMPORT("sigbox:host/memory@0.1.0", "remove") void sigbox__host_remove(const char *name, size_t len);
SIGBOX__IMPORT("sigbox:strategy/answer@0.1.0", "trade") void sigbox__host_trade(const sigbox__signal *signal);
SIGBOX__IMPORT("sigbox:strategy/answer@0.1.0", "fail")
void sigbox__host_fail(const char *code, size_t code_len, const char *message, size_t message_len, bool retryable);
SIGBOX__IMPORT("sigbox:strategy/answer@0.1.0", "quiet")
void sigbox__host_quiet(uint64_t until_ms, double below, double above);

/* What a program keeps. ----------------------------------------------------------------------------------------------- */

enum { SIGBOX__FIELDS = 5, SIGBOX__ROOM = 1024 };

/* Numbers that grow. */
typedef struct {
  double *ptr;
  size_t len, room;
  uint64_t dropped;
} sigbox__column;

typedef struct {
  sigbox_session session;
  size_t symbol_len;
  sigbox_tick tick;
  /* Why there is no answer. */
  bool failed, gives_up;
  char code[64], message[SIGBOX__ROOM];
  bool is_quiet;
  uint64_t quiet_until_ms;
  double quiet_below, quiet_above;
  /* The symbol's own candles: contiguous, oldest first. The oldest are dropped in bulk, so that the rest stays one array.
   * `dropped`: how often. A column that was made before begins with other candles. */
  sigbox_candle *kept;
  size_t len, room;
  uint64_t dropped;
  /* The longest window that was asked for, and whether a window was returned to the question being answered. */
  size_t longest;
  bool has_lent;
  sigbox__column columns[SIGBOX__FIELDS];
  /* What is freed when the question ends. */
  void **lent;
  size_t lent_len, lent_room;
  char *schema;
  sigbox__descriptor descriptor;
  sigbox__started started;
} sigbox__state;
__attribute__((weak)) sigbox__state sigbox__;

SIGBOX__API void sigbox__log(sigbox_level level, const char *line) {
  sigbox__host_log((int32_t)level, "", 0, line, strlen(line));
}

/* Memory, or the end of the instance with words in the log. */
SIGBOX__API void *sigbox__grow(void *old, size_t bytes) {
  void *grown = realloc(old, bytes ? bytes : 1);
  if (!grown) {
    sigbox__log(SIGBOX_ERROR, "there is not enough memory");
    __builtin_trap();
  }
  return grown;
}

/* A text of the host as one of C; the caller frees it. The host's is freed. */
SIGBOX__API char *sigbox__own(sigbox__text text) {
  char *own = (char *)sigbox__grow(text.ptr, text.len + 1);
  own[text.len] = 0;
  return own;
}

SIGBOX__API sigbox__text sigbox__text_of(const char *text) {
  sigbox__text of = {(char *)text, strlen(text)};
  return of;
}

/* Adds `len` bytes to a text of SIGBOX__ROOM bytes, as far as they fit. */
SIGBOX__API void sigbox__add(char *to, const char *text, size_t len) {
  size_t at = strlen(to), room = SIGBOX__ROOM - 1 - at;
  if (len > room) len = room;
  memcpy(to + at, text, len);
  to[at + len] = 0;
}

SIGBOX__API void sigbox__refused(sigbox__refusal refusal) {
  char *code = sigbox__own(refusal.code), *message = sigbox__own(refusal.message);
  if (!sigbox__.failed && strcmp(code, "not-enough-history") != 0) {
    sigbox__.failed = true;
    sigbox__.gives_up = false;
    snprintf(sigbox__.code, sizeof sigbox__.code, "%s", code);
    sigbox__.message[0] = 0;
    sigbox__add(sigbox__.message, message, strlen(message));
  }
  free(code);
  free(message);
}

SIGBOX__API void sigbox__set_failure(const char *code, bool gives_up, const char *format, va_list values) {
  if (sigbox__.failed) return;
  sigbox__.failed = true;
  sigbox__.gives_up = gives_up;
  snprintf(sigbox__.code, sizeof sigbox__.code, "%s", code);
  vsnprintf(sigbox__.message, sizeof sigbox__.message, format, values);
}

/* Saying that something is wrong. ------------------------------------------------------------------------------------- */

/* There is no answer this time, and why; as printf. Returns false, so that a strategy can `return sigbox_fail(…)`. The
 * first reason of a question counts. */
__attribute__((format(printf, 1, 2))) SIGBOX__API bool sigbox_fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  sigbox__set_failure("error", false, format, values);
  va_end(values);
  return false;
}

/* As sigbox_fail, and the strategy is not asked any more for the rest of the run. */
__attribute__((format(printf, 1, 2))) SIGBOX__API bool sigbox_give_up(const char *format, ...) {
  va_list values;
  va_start(values, format);
  sigbox__set_failure("error", true, format, values);
  va_end(values);
  return false;
}

/* A text, as printf. It lives until the next one. For what `start` returns. */
__attribute__((format(printf, 1, 2))) SIGBOX__API const char *sigbox_text(const char *format, ...) {
  static char text[SIGBOX__ROOM];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

/* A line for the operator, as printf. What is printed to stdout is a line too, of level info, and what is printed to
 * stderr one of level warn. */
__attribute__((format(printf, 2, 3))) SIGBOX__API void sigbox_log(sigbox_level level, const char *format, ...) {
  char line[SIGBOX__ROOM];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  sigbox__log(level, line);
}

/* Frees memory when the question ends. */
SIGBOX__API void *sigbox__lend(void *memory) {
  if (sigbox__.lent_len == sigbox__.lent_room) {
    sigbox__.lent_room = 2 * sigbox__.lent_room + 64;
    sigbox__.lent = (void **)sigbox__grow(sigbox__.lent, sigbox__.lent_room * sizeof *sigbox__.lent);
  }
  return sigbox__.lent[sigbox__.lent_len++] = memory;
}

/* Windows of the symbol's own one-minute candles. ---------------------------------------------------------------------- */

SIGBOX__API void sigbox__reserve(size_t len) {
  if (len <= sigbox__.room) return;
  sigbox__.room = 2 * len;
  sigbox__.kept = (sigbox_candle *)sigbox__grow(sigbox__.kept, sigbox__.room * sizeof *sigbox__.kept);
}

/* Adds the minutes that follow the one opened at after_ms, at most `limit` of them. */
SIGBOX__API void sigbox__extend(uint64_t after_ms, size_t limit) {
  sigbox__list numbers = {NULL, 0};
  sigbox__host_next_candles(after_ms, limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit, &numbers);
  sigbox__reserve(sigbox__.len + numbers.len / SIGBOX__FIELDS);
  for (const double *n = (const double *)numbers.ptr, *end = n + numbers.len; n < end; n += SIGBOX__FIELDS) {
    sigbox_candle candle = {after_ms += SIGBOX_MINUTE_MS, n[0], n[1], n[2], n[3], n[4]};
    sigbox__.kept[sigbox__.len++] = candle;
  }
  free(numbers.ptr);
}

/* Adds the candles that closed since the last question. False when the window has to be fetched anew: it is too short, or
 * more is missing than it holds. */
SIGBOX__API bool sigbox__catch_up(size_t count) {
  size_t before = sigbox__.len;
  if (before == 0) return false;
  uint64_t next_ms = sigbox__.kept[before - 1].open_time_ms + 2 * SIGBOX_MINUTE_MS, when_ms = sigbox__.tick.when_ms;
  uint64_t missing = when_ms < next_ms ? 0 : (when_ms - next_ms) / SIGBOX_MINUTE_MS + 1;
  size_t longest = sigbox__.longest;
  if (missing > longest) return false;
  if (missing > 0 && before >= 4 * (longest < 64 ? 64 : longest)) {
    memmove(sigbox__.kept, sigbox__.kept + before - longest, longest * sizeof *sigbox__.kept);
    sigbox__.len = before = longest;
    sigbox__.dropped++;
  }
  if (missing == 1) {
    sigbox__reserve(before + 1);
    sigbox__.kept[sigbox__.len++] = sigbox__.tick.newest;
  } else if (missing > 1) {
    sigbox__extend(sigbox__.kept[before - 1].open_time_ms, (size_t)missing);
  }
  return sigbox__.len - before == missing && sigbox__.len >= count;
}

/* Fetches the whole window. */
SIGBOX__API bool sigbox__refill(size_t count) {
  uint64_t span = ((uint64_t)count + 1) * SIGBOX_MINUTE_MS;
  if (sigbox__.has_lent) {
    sigbox__lend(sigbox__.kept);
    for (size_t i = 0; i < SIGBOX__FIELDS; i++) sigbox__lend(sigbox__.columns[i].ptr);
    sigbox__.kept = NULL;
    sigbox__.room = 0;
    memset(sigbox__.columns, 0, sizeof sigbox__.columns);
  }
  sigbox__.len = 0;
  sigbox__.dropped++;
  if (sigbox__.tick.when_ms >= span) sigbox__extend(sigbox__.tick.when_ms - span, count);
  if (sigbox__.len == count) return true;
  /* As records they cost more, but then the host says why there are not so many. */
  sigbox__result got;
  uint32_t limit = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
  sigbox__host_candles(sigbox__.session.symbol, sigbox__.symbol_len, "1m", 2, limit, &got);
  sigbox__.len = 0;
  if (got.is_error) {
    sigbox__refused(got.value.refusal);
    return false;
  }
  sigbox__reserve(got.value.ok.len);
  memcpy(sigbox__.kept, got.value.ok.ptr, got.value.ok.len * sizeof *sigbox__.kept);
  sigbox__.len = got.value.ok.len;
  free(got.value.ok.ptr);
  return true;
}

SIGBOX__API bool sigbox__reach(size_t count) {
  if (count == 0) return sigbox_fail("a window must have at least one candle");
  if (count > sigbox__.longest) sigbox__.longest = count;
  bool reached = sigbox__catch_up(count) || sigbox__refill(count);
  sigbox__.has_lent = sigbox__.has_lent || reached;
  return reached;
}

SIGBOX__API const double *sigbox__column_of(size_t field, size_t count) {
  if (!sigbox__reach(count)) return NULL;
  sigbox__column *column = &sigbox__.columns[field];
  if (column->dropped != sigbox__.dropped) {
    column->dropped = sigbox__.dropped;
    column->len = 0;
  }
  if (column->room < sigbox__.len) {
    column->room = 2 * sigbox__.len;
    column->ptr = (double *)sigbox__grow(column->ptr, column->room * sizeof(double));
  }
  for (; column->len < sigbox__.len; column->len++)
    column->ptr[column->len] = (&sigbox__.kept[column->len].open)[field];
  return column->ptr + column->len - count;
}

/* The last `count` closed candles, oldest first; NULL while the market is younger than that. Where the host refuses for
 * another reason, the result is NULL too, and the question fails with that reason. What is returned lives until the
 * question ends, also when more is asked for meanwhile. */
SIGBOX__API const sigbox_candle *sigbox_last(size_t count) {
  return sigbox__reach(count) ? sigbox__.kept + sigbox__.len - count : NULL;
}

/* The last `count` opening prices, as sigbox_last. */
SIGBOX__API const double *sigbox_opens(size_t count) { return sigbox__column_of(0, count); }
SIGBOX__API const double *sigbox_highs(size_t count) { return sigbox__column_of(1, count); }
SIGBOX__API const double *sigbox_lows(size_t count) { return sigbox__column_of(2, count); }
SIGBOX__API const double *sigbox_closes(size_t count) { return sigbox__column_of(3, count); }
SIGBOX__API const double *sigbox_volumes(size_t count) { return sigbox__column_of(4, count); }

SIGBOX__API double sigbox_highest(const double *numbers, size_t count) {
  double highest = -INFINITY;
  for (size_t i = 0; i < count; i++) highest = numbers[i] > highest ? numbers[i] : highest;
  return highest;
}

SIGBOX__API double sigbox_lowest(const double *numbers, size_t count) {
  double lowest = INFINITY;
  for (size_t i = 0; i < count; i++) lowest = numbers[i] < lowest ? numbers[i] : lowest;
  return lowest;
}

/* Added from the first to the last. */
SIGBOX__API double sigbox_mean(const double *numbers, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += numbers[i];
  return sum / (double)count;
}

/* The rest of the host. ------------------------------------------------------------------------------------------------ */

/* Who trades what. */
SIGBOX__API const sigbox_session *sigbox_get_session(void) { return &sigbox__.session; }

/* How many elements were copied; -1: there are not so many, or the host refused, and the question fails. */
SIGBOX__API long sigbox__copy(sigbox__result *got, void *to, size_t room, size_t size) {
  if (got->is_error) {
    sigbox__refused(got->value.refusal);
    return -1;
  }
  size_t len = got->value.ok.len < room ? got->value.ok.len : room;
  memcpy(to, got->value.ok.ptr, len * size);
  free(got->value.ok.ptr);
  return (long)len;
}

/* Copies the last `limit` closed candles of any symbol and interval, oldest first: "1m" "3m" "5m" "15m" "30m" "1h" "2h"
 * "4h" "6h" "8h" "12h" "1d". False: there are not so many, or the host refused, and the question fails with its reason. */
SIGBOX__API bool sigbox_candles(const char *symbol, const char *interval, uint32_t limit, sigbox_candle *to) {
  sigbox__result got;
  sigbox__host_candles(symbol, strlen(symbol), interval, strlen(interval), limit, &got);
  return sigbox__copy(&got, to, limit, sizeof *to) >= 0;
}

/* Copies the candles of any symbol and interval that opened later than after_ms, oldest first, at most `limit`. Returns how
 * many; -1: the host refused, and the question fails with its reason. */
SIGBOX__API long sigbox_candles_after(const char *symbol, const char *interval, uint64_t after_ms, uint32_t limit,
                                      sigbox_candle *to) {
  sigbox__result got;
  sigbox__host_candles_after(symbol, strlen(symbol), interval, strlen(interval), after_ms, limit, &got);
  return sigbox__copy(&got, to, limit, sizeof *to);
}

/* As sigbox_candles, one number of each: "open-time-ms" "open" "high" "low" "close" or "volume". This costs least. */
SIGBOX__API bool sigbox_column(const char *symbol, const char *interval, const char *field, uint32_t limit, double *to) {
  sigbox__result got;
  sigbox__text fields = sigbox__text_of(field);
  sigbox__host_columns(symbol, strlen(symbol), interval, strlen(interval), &fields, 1, limit, &got);
  return sigbox__copy(&got, to, limit, sizeof *to) >= 0;
}

/* Volume-weighted average price of the last closed one-minute candles of any symbol. False: as sigbox_candles. */
SIGBOX__API bool sigbox_average_price(const char *symbol, double *price) {
  sigbox__price got;
  sigbox__host_average_price(symbol, strlen(symbol), &got);
  if (got.is_error) sigbox__refused(got.value.refusal);
  else *price = got.value.ok;
  return !got.is_error;
}

/* Promises that there is nothing to say before until_ms, as long as the price, the low and the high of closed candles stay
 * between `below` and `above`. It counts if the strategy then returns false. It is not asked meanwhile. A number that is
 * not finite is no bound. A promise that was wrong misses a trade; `sigbox backtest --check-promises` names such ones. */
SIGBOX__API void sigbox_quiet(uint64_t until_ms, double below, double above) {
  sigbox__.is_quiet = true;
  sigbox__.quiet_until_ms = until_ms;
  sigbox__.quiet_below = below;
  sigbox__.quiet_above = above;
}

/* Its own last trades, oldest first, at most n. Returns how many. The host keeps the last 32, also across a restart. */
SIGBOX__API size_t sigbox_trades(uint32_t n, sigbox_trade *to) {
  sigbox__list got = {NULL, 0};
  sigbox__host_trades(n, &got);
  const sigbox__trade *trades = (const sigbox__trade *)got.ptr;
  for (size_t i = 0; i < got.len; i++) {
    const sigbox__trade *t = &trades[i];
    sigbox_trade trade = {(const char *)sigbox__lend(sigbox__own(t->id)), (sigbox_position)t->position, t->opened_ms,
                          t->closed_ms, t->price_open, t->price_close, t->cost, t->pnl_percentage, t->pnl_cost,
                          (const char *)sigbox__lend(sigbox__own(t->reason))};
    if (t->extra.is_some) free(t->extra.value.ptr);
    to[i] = trade;
  }
  free(got.ptr);
  return got.len;
}

/* Copies what was kept under a name, at most `room` bytes. Returns how many bytes it has; -1: nothing is kept. It outlives
 * the instance, a crash and a restart. */
SIGBOX__API long sigbox_get(const char *name, void *to, size_t room) {
  sigbox__optional_text got;
  sigbox__host_get(name, strlen(name), &got);
  if (!got.is_some) return -1;
  memcpy(to, got.value.ptr, got.value.len < room ? got.value.len : room);
  free(got.value.ptr);
  return (long)got.value.len;
}

/* Keeps bytes under a name, in place of what was there. All names and values together have 16 KiB; where they have more,
 * the result is false, and the question fails. */
SIGBOX__API bool sigbox_set(const char *name, const void *value, size_t len) {
  sigbox__result got;
  sigbox__host_set(name, strlen(name), value, len, &got);
  if (got.is_error) sigbox__refused(got.value.refusal);
  return !got.is_error;
}

SIGBOX__API void sigbox_remove(const char *name) { sigbox__host_remove(name, strlen(name)); }

/* Settings. ------------------------------------------------------------------------------------------------------------ */

/* JSON that is being read. */
typedef struct {
  const char *at, *end;
} sigbox__json;

SIGBOX__API bool sigbox__take(sigbox__json *json, char sign) {
  while (json->at < json->end && strchr(" \t\r\n", *json->at)) json->at++;
  if (json->at == json->end || *json->at != sign) return false;
  json->at++;
  return true;
}

SIGBOX__API uint32_t sigbox__code_point(sigbox__json *json) {
  uint32_t code = 0;
  for (int i = 0; i < 4 && json->at < json->end; i++) {
    char digit = *json->at++;
    code = code * 16 + (uint32_t)(digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
  }
  return code;
}

/* Takes a string, without its quotes and escapes, which the caller frees; NULL: it is none. */
SIGBOX__API char *sigbox__string(sigbox__json *json) {
  if (!sigbox__take(json, '"')) return NULL;
  char *text = (char *)sigbox__grow(NULL, (size_t)(json->end - json->at) + 1), *to = text;
  while (json->at < json->end && *json->at != '"') {
    char sign = *json->at++;
    if (sign != '\\' || json->at == json->end) {
      *to++ = sign;
      continue;
    }
    sign = *json->at++;
    const char *escapes = "bfnrt", *escape = strchr(escapes, sign);
    if (sign != 'u') {
      *to++ = escape ? "\b\f\n\r\t"[escape - escapes] : sign;
      continue;
    }
    uint32_t code = sigbox__code_point(json);
    if (code >= 0xd800 && code < 0xdc00 && json->end - json->at >= 6) {
      json->at += 2;
      code = 0x10000 + ((code - 0xd800) << 10) + (sigbox__code_point(json) - 0xdc00);
    }
    if (code < 0x80) {
      *to++ = (char)code;
    } else {
      int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      *to++ = (char)((0xff00 >> (more + 1) & 0xff) | code >> 6 * more);
      while (more-- > 0) *to++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    }
  }
  if (json->at < json->end) json->at++;
  *to = 0;
  return text;
}

/* Takes a value of any type, as it is written. */
SIGBOX__API sigbox__json sigbox__value(sigbox__json *json) {
  sigbox__take(json, ' ');
  sigbox__json value = {json->at, json->at};
  for (int depth = 0; json->at < json->end; json->at++) {
    char sign = *json->at;
    if (depth == 0 && strchr(",}]", sign)) break;
    if (sign == '{' || sign == '[') depth++;
    if (sign == '}' || sign == ']') depth--;
    if (sign == '"') {
      free(sigbox__string(json));
      json->at--;
    }
    value.end = json->at + 1;
  }
  while (value.end > value.at && strchr(" \t\r\n", value.end[-1])) value.end--;
  return value;
}

SIGBOX__API bool sigbox__is_name(const char *name, const char *variable) {
  for (; *name && *name == (*variable == '_' ? '-' : *variable); name++) variable++;
  return !*name && !*variable;
}

SIGBOX__API void sigbox__add_name(char *to, const char *variable) {
  for (; *variable; variable++) sigbox__add(to, *variable == '_' ? "-" : variable, 1);
}

/* Writes a value into a setting. Returns what the setting must be, if the value is not that. */
SIGBOX__API const char *sigbox__assign(const sigbox_setting *setting, sigbox__json value) {
  size_t len = (size_t)(value.end - value.at);
  if (setting->kind == SIGBOX__BOOLEAN) {
    bool is_true = len == 4 && memcmp(value.at, "true", 4) == 0;
    if (!is_true && !(len == 5 && memcmp(value.at, "false", 5) == 0)) return "a boolean, true or false";
    *(bool *)setting->value = is_true;
    return NULL;
  }
  if (setting->kind == SIGBOX__WORD) {
    const char *text = sigbox__string(&value);
    if (!text) return "a text";
    *(const char **)setting->value = text;
    return NULL;
  }
  char text[64], *end;
  double number = NAN;
  if (len > 0 && len < sizeof text && strchr("-0123456789", *value.at)) {
    memcpy(text, value.at, len);
    text[len] = 0;
    number = strtod(text, &end);
    if (*end) number = NAN;
  }
  if (setting->kind == SIGBOX__NUMBER) {
    if (!isfinite(number)) return "a number";
    *(double *)setting->value = number;
    return NULL;
  }
  if (!isfinite(number) || number != floor(number)) return "a whole number";
  if (fabs(number) > 2147483647) return "a whole number of 32 bits";
  *(int *)setting->value = (int)number;
  return NULL;
}

/* Writes the operator's settings into those of the strategy. False: what is wrong is in sigbox__.message. */
SIGBOX__API bool sigbox__settle(const sigbox_setting *settings, const char *text, size_t len) {
  sigbox__json json = {text, text + len};
  char *why = sigbox__.message;
  *why = 0;
  bool is_object = sigbox__take(&json, '{');
  if (is_object && sigbox__take(&json, '}')) return true;
  do {
    char *name = is_object ? sigbox__string(&json) : NULL;
    if (!name || !sigbox__take(&json, ':')) {
      sigbox__add(why, "settings are not a JSON object: ", 32);
      sigbox__add(why, text, len);
      free(name);
      return false;
    }
    sigbox__json value = sigbox__value(&json);
    const sigbox_setting *setting = settings;
    while (setting && setting->name && !sigbox__is_name(name, setting->name)) setting++;
    if (!setting || !setting->name) {
      sigbox__add(why, "there is no setting ", 20);
      sigbox__add(why, name, strlen(name));
      sigbox__add(why, "; there are: ", 13);
      if (!settings || !settings->name) sigbox__add(why, "none", 4);
      for (setting = settings; setting && setting->name; setting++) {
        if (setting != settings) sigbox__add(why, ", ", 2);
        sigbox__add_name(why, setting->name);
      }
      free(name);
      return false;
    }
    const char *must_be = sigbox__assign(setting, value);
    if (must_be) {
      sigbox__add(why, name, strlen(name));
      sigbox__add(why, " must be ", 9);
      sigbox__add(why, must_be, strlen(must_be));
      sigbox__add(why, "; found ", 8);
      sigbox__add(why, value.at, (size_t)(value.end - value.at));
      free(name);
      return false;
    }
    free(name);
  } while (sigbox__take(&json, ','));
  return true;
}

SIGBOX__API size_t sigbox__quote(char *to, const char *text) {
  size_t len = 0;
  to[len++] = '"';
  for (; *text; text++) {
    unsigned char sign = (unsigned char)*text;
    if (sign < ' ') {
      len += (size_t)sprintf(to + len, "\\u%04x", sign);
      continue;
    }
    if (sign == '"' || sign == '\\') to[len++] = '\\';
    to[len++] = (char)sign;
  }
  to[len++] = '"';
  return len;
}

/* The JSON Schema of settings, with their values as the defaults. It is made once and never freed. */
SIGBOX__API char *sigbox__schema(const sigbox_setting *settings) {
  static const char *const types[] = {"number", "integer", "boolean", "string"};
  size_t room = 128;
  for (const sigbox_setting *s = settings; s && s->name; s++)
    room += 128 + strlen(s->name) + 6 * (s->doc ? strlen(s->doc) : 0) +
            6 * (s->kind == SIGBOX__WORD ? strlen(*(const char **)s->value) : 0);
  char *schema = (char *)sigbox__grow(NULL, room), *to = schema;
  to += sprintf(to, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
  for (const sigbox_setting *s = settings; s && s->name; s++) {
    if (s != settings) *to++ = ',';
    *to++ = '"';
    for (const char *sign = s->name; *sign; sign++) *to++ = *sign == '_' ? '-' : *sign;
    to += sprintf(to, "\":{\"type\":\"%s\"", types[s->kind]);
    switch (s->kind) {
      case SIGBOX__NUMBER:
        if (isfinite(*(double *)s->value)) to += sprintf(to, ",\"default\":%.17g", *(double *)s->value);
        break;
      case SIGBOX__WHOLE: to += sprintf(to, ",\"default\":%d", *(int *)s->value); break;
      case SIGBOX__BOOLEAN: to += sprintf(to, ",\"default\":%s", *(bool *)s->value ? "true" : "false"); break;
      case SIGBOX__WORD:
        to += sprintf(to, ",\"default\":");
        to += sigbox__quote(to, *(const char **)s->value);
        break;
    }
    if (s->doc) {
      to += sprintf(to, ",\"description\":");
      to += sigbox__quote(to, s->doc);
    }
    *to++ = '}';
  }
  strcpy(to, "}}");
  return schema;
}

/* What the host calls. ------------------------------------------------------------------------------------------------- */

SIGBOX__EXPORT("sigbox:strategy/strategy@0.1.0#describe") const sigbox__descriptor *sigbox__describe(void) {
  sigbox__descriptor *d = &sigbox__.descriptor;
  d->name = sigbox__text_of(sigbox__strategy.name);
  d->version = sigbox__text_of(sigbox__strategy.version);
  d->interval = sigbox__text_of(sigbox__strategy.interval);
  if (!sigbox__.schema) sigbox__.schema = sigbox__schema(sigbox__strategy.settings);
  d->schema.is_some = true;
  d->schema.value = sigbox__text_of(sigbox__.schema);
  return d;
}

SIGBOX__EXPORT("sigbox:strategy/strategy@0.1.0#start") const sigbox__started *sigbox__start(void) {
  sigbox__text symbol, strategy, exchange, settings;
  sigbox__optional_text frame;
  sigbox__host_symbol(&symbol);
  sigbox__host_strategy(&strategy);
  sigbox__host_exchange(&exchange);
  sigbox__host_frame(&frame);
  sigbox__host_settings(&settings);
  sigbox__.symbol_len = symbol.len;
  sigbox__.session.symbol = sigbox__own(symbol);
  sigbox__.session.strategy = sigbox__own(strategy);
  sigbox__.session.exchange = sigbox__own(exchange);
  sigbox__.session.frame = frame.is_some ? sigbox__own(frame.value) : "";
  const char *why = NULL;
  if (!sigbox__settle(sigbox__strategy.settings, settings.ptr, settings.len)) why = sigbox__.message;
  else if (sigbox__strategy.start) why = sigbox__strategy.start();
  free(settings.ptr);
  sigbox__.started.is_error = why != NULL;
  if (why) {
    sigbox__.started.refusal.code = sigbox__text_of("settings");
    sigbox__.started.refusal.message = sigbox__text_of(why);
  }
  return &sigbox__.started;
}

SIGBOX__API sigbox__optional_text sigbox__some_text(const char *text) {
  sigbox__optional_text some = {text != NULL, sigbox__text_of(text ? text : "")};
  return some;
}

/* Zero is the operator's default. */
SIGBOX__API sigbox__optional_number sigbox__some_number(double number) {
  sigbox__optional_number some = {number != 0, number};
  return some;
}

SIGBOX__EXPORT("sigbox:strategy/strategy@0.1.0#get-signal")
void sigbox__get_signal(uint64_t when_ms, double price, double open, double high, double low, double close,
                        double volume) {
  sigbox_candle newest = {when_ms - SIGBOX_MINUTE_MS, open, high, low, close, volume};
  sigbox__.tick.when_ms = when_ms;
  sigbox__.tick.price = price;
  sigbox__.tick.newest = newest;
  sigbox__.failed = sigbox__.is_quiet = sigbox__.has_lent = false;
  sigbox_signal said;
  memset(&said, 0, sizeof said);
  bool trades = sigbox__strategy.signal(&sigbox__.tick, &said);
  if (sigbox__.failed) {
    sigbox__host_fail(sigbox__.code, strlen(sigbox__.code), sigbox__.message, strlen(sigbox__.message),
                      !sigbox__.gives_up);
  } else if (trades) {
    sigbox__signal signal;
    memset(&signal, 0, sizeof signal);
    signal.id = sigbox__some_text(said.id);
    signal.position = said.position == SIGBOX_SHORT;
    signal.limit = sigbox__some_number(said.limit);
    signal.take_profit = said.take_profit;
    signal.stop_loss = said.stop_loss;
    signal.minutes = sigbox__some_number(said.minutes);
    signal.cost = sigbox__some_number(said.cost);
    signal.multiplier = sigbox__some_number(said.multiplier);
    signal.isolated.is_some = said.isolated != SIGBOX_BY_DEFAULT;
    signal.isolated.value = said.isolated == SIGBOX_YES;
    signal.note = sigbox__some_text(said.note);
    sigbox__host_trade(&signal);
  } else if (sigbox__.is_quiet) {
    sigbox__host_quiet(sigbox__.quiet_until_ms, sigbox__.quiet_below, sigbox__.quiet_above);
  }
  while (sigbox__.lent_len > 0) free(sigbox__.lent[--sigbox__.lent_len]);
}

#ifdef __wasm__
/* What the host hands over. */
SIGBOX__EXPORT("cabi_realloc") void *sigbox__realloc(void *old, size_t old_len, size_t align, size_t len) {
  (void)old_len, (void)align;
  void *room = realloc(old, len ? len : 1);
  if (!room) __builtin_trap();
  return room;
}

/* The C library asks these functions of WASI. With them here, a component imports none: what is printed becomes lines of
 * the log, and the clocks show the engine's time. A program that asks for more, such as files, is refused by `wasm-tools
 * component new`. */
typedef struct {
  const char *ptr;
  size_t len;
} sigbox__piece;

/* The line that is being printed. */
typedef struct {
  char text[SIGBOX__ROOM];
  size_t len;
  int32_t fd;
} sigbox__printing;
__attribute__((weak)) sigbox__printing sigbox__printed;

SIGBOX__API void sigbox__flush(void) {
  sigbox_level level = sigbox__printed.fd == 2 ? SIGBOX_WARN : SIGBOX_INFO;
  if (sigbox__printed.len > 0) sigbox__host_log((int32_t)level, "", 0, sigbox__printed.text, sigbox__printed.len);
  sigbox__printed.len = 0;
}

__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t fd, int32_t pieces, int32_t n, int32_t ret) {
  if (fd != 1 && fd != 2) return 8;
  if (fd != sigbox__printed.fd) sigbox__flush();
  sigbox__printed.fd = fd;
  size_t sum = 0;
  for (const sigbox__piece *piece = (const sigbox__piece *)pieces; n-- > 0; piece++) {
    sum += piece->len;
    for (size_t i = 0; i < piece->len; i++) {
      if (piece->ptr[i] == '\n') sigbox__flush();
      else sigbox__printed.text[sigbox__printed.len++] = piece->ptr[i];
      if (sigbox__printed.len == sizeof sigbox__printed.text) sigbox__flush();
    }
  }
  *(size_t *)ret = sum;
  return 0;
}

/* What was printed last may have no end of line. */
__attribute__((weak, noreturn)) void abort(void) {
  sigbox__flush();
  __builtin_trap();
}

/* Both are terminals, so that the library writes each line at once. */
__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_fd_fdstat_get(int32_t fd, int32_t ret) {
  if (fd < 0 || fd > 2) return 8;
  memset((void *)ret, 0, 24);
  *(uint8_t *)ret = 2;
  return 0;
}

__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t fd) { return fd < 3 ? 0 : 8; }
/* The C library of zig has this name for the same import. */
int32_t sigbox__close_of_zig(int32_t fd) __asm__("fd_close|wasi_snapshot_preview1");
__attribute__((weak)) int32_t sigbox__close_of_zig(int32_t fd) { return fd < 3 ? 0 : 8; }
__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t fd, int64_t to, int32_t from, int32_t ret) {
  (void)fd, (void)to, (void)from, (void)ret;
  return 70;
}
__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_fd_read(int32_t fd, int32_t to, int32_t n, int32_t ret) {
  (void)fd, (void)to, (void)n, (void)ret;
  return 8;
}
__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_environ_sizes_get(int32_t count, int32_t bytes) {
  *(size_t *)count = *(size_t *)bytes = 0;
  return 0;
}
__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_environ_get(int32_t a, int32_t b) {
  (void)a, (void)b;
  return 0;
}
__attribute__((weak)) int32_t __imported_wasi_snapshot_preview1_clock_time_get(int32_t id, int64_t precision, int32_t ret) {
  (void)id, (void)precision;
  *(uint64_t *)ret = sigbox__host_now_ms() * 1000000;
  return 0;
}
__attribute__((weak, noreturn)) void __imported_wasi_snapshot_preview1_proc_exit(int32_t code) {
  sigbox__flush();
  sigbox_log(SIGBOX_ERROR, "the strategy ended with exit code %d", (int)code);
  __builtin_trap();
}
#endif

#ifdef __cplusplus
}
#endif
#endif
