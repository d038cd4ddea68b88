/* Runs a strategy natively, on a market that a test makes up. A test includes this file, then the strategy:
 *
 *     #include "sigbox_testing.h"
 *     #include "dip.c"
 *
 *     int main(void) {
 *       double closes[61] = …;
 *       sigbox_test test = {.candles = sigbox_test_closes(closes, 61), .len = 61};
 *       SIGBOX_EXPECT(sigbox_test_run(&test));
 *       SIGBOX_EXPECT(test.answers[60].trades);
 *       return sigbox_test_end();
 *     }
 *
 * It is built with the machine's compiler: cc -I sigbox dip_test.c -o dip_test -lm
 */
#ifndef SIGBOX_TESTING_H
#define SIGBOX_TESTING_H
#ifdef __wasm__
#error "sigbox_testing.h is for the machine's own compiler"
#endif
#include "sigbox.h"

/* What the strategy said to one question. Texts of `signal` are those of the strategy. */
typedef struct {
  uint64_t when_ms;
  bool trades;
  sigbox_signal signal;
  bool is_quiet;
  uint64_t quiet_until_ms;
  double quiet_below, quiet_above;
} sigbox_answer;

/* Candles of another symbol. */
typedef struct {
  const char *symbol;
  const sigbox_candle *candles;
  size_t len;
} sigbox_test_market;

typedef struct {
  /* One-minute candles of the strategy's own symbol, without gaps. The price of a question is the newest close. */
  const sigbox_candle *candles;
  size_t len;
  /* One-minute candles of at most four other symbols. */
  sigbox_test_market others[4];
  /* "TEST" where it is NULL. */
  const char *symbol;
  /* The operator's settings, a JSON object; NULL: none. */
  const char *settings;
  /* The strategy's last trades. */
  const sigbox_trade *trades;
  size_t trades_len;
  /* A question is put every so many minutes; 0: every minute. */
  unsigned every;
  /* Set by sigbox_test_run: an answer for each question, and what went wrong; empty: nothing did. */
  sigbox_answer *answers;
  size_t answers_len;
  char failure[2 * SIGBOX__ROOM];
} sigbox_test;

static sigbox_test *sigbox__test;
static uint64_t sigbox__test_now_ms;
static sigbox_answer *sigbox__test_answer;
static struct {
  char name[256], value[16384];
  size_t len;
} sigbox__test_memory[64];
static size_t sigbox__test_memory_len;
static int sigbox__test_passed, sigbox__test_failed;

/* Counts, and says what is not as it should be. */
#define SIGBOX_EXPECT(condition) \
  ((condition) ? (void)sigbox__test_passed++ \
               : (void)(sigbox__test_failed++, fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition)))

/* Says how many expectations were met, and returns the exit code. */
SIGBOX__API int sigbox_test_end(void) {
  printf("%d passed, %d failed\n", sigbox__test_passed, sigbox__test_failed);
  return sigbox__test_failed != 0;
}

/* Candles of closing prices: a minute apart from the beginning of 2024, each with its close as open, high and low, and a
 * volume of 1. They are never freed. */
SIGBOX__API sigbox_candle *sigbox_test_closes(const double *closes, size_t len) {
  sigbox_candle *candles = (sigbox_candle *)malloc(len * sizeof *candles + 1);
  for (size_t i = 0; i < len; i++) {
    sigbox_candle candle = {1704067200000 + i * SIGBOX_MINUTE_MS, closes[i], closes[i], closes[i], closes[i], 1};
    candles[i] = candle;
  }
  return candles;
}

/* The host. ------------------------------------------------------------------------------------------------------------ */

#ifdef __cplusplus
extern "C" {
#endif

SIGBOX__API sigbox__text sigbox__test_text(const char *text, size_t len) {
  sigbox__text copy = {(char *)malloc(len + 1), len};
  memcpy(copy.ptr, text, len);
  return copy;
}

SIGBOX__API sigbox__refusal sigbox__test_refusal(const char *code, const char *message) {
  sigbox__refusal refusal = {sigbox__test_text(code, strlen(code)), sigbox__test_text(message, strlen(message))};
  return refusal;
}

void sigbox__host_symbol(sigbox__text *ret) {
  *ret = sigbox__test_text(sigbox__test->symbol, strlen(sigbox__test->symbol));
}
void sigbox__host_strategy(sigbox__text *ret) { *ret = sigbox__test_text("test", 4); }
void sigbox__host_exchange(sigbox__text *ret) { *ret = sigbox__test_text("test", 4); }
void sigbox__host_frame(sigbox__optional_text *ret) { ret->is_some = false; }
void sigbox__host_settings(sigbox__text *ret) {
  const char *settings = sigbox__test->settings ? sigbox__test->settings : "{}";
  *ret = sigbox__test_text(settings, strlen(settings));
}
uint64_t sigbox__host_now_ms(void) { return sigbox__test_now_ms; }
void sigbox__host_log(int32_t level, const char *target, size_t target_len, const char *line, size_t len) {
  static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
  fprintf(stderr, "%s %.*s%.*s\n", levels[level], (int)target_len, target, (int)len, line);
}

/* The closed candles of a symbol and an interval, which the caller frees; NULL: there is no such symbol or interval. */
SIGBOX__API sigbox_candle *sigbox__test_closed(const char *symbol, size_t symbol_len, const char *interval,
                                               size_t interval_len, size_t *len, sigbox__result *ret) {
  static const struct {
    const char *name;
    uint64_t minutes;
  } intervals[] = {{"1m", 1},   {"3m", 3},   {"5m", 5},   {"15m", 15}, {"30m", 30},  {"1h", 60},
                   {"2h", 120}, {"4h", 240}, {"6h", 360}, {"8h", 480}, {"12h", 720}, {"1d", 1440}};
  const sigbox_candle *minutes = NULL;
  size_t known = 0;
  uint64_t span = 0;
  if (strlen(sigbox__test->symbol) == symbol_len && memcmp(sigbox__test->symbol, symbol, symbol_len) == 0)
    minutes = sigbox__test->candles, known = sigbox__test->len;
  for (int i = 0; i < 4; i++) {
    const sigbox_test_market *other = &sigbox__test->others[i];
    if (other->symbol && strlen(other->symbol) == symbol_len && memcmp(other->symbol, symbol, symbol_len) == 0)
      minutes = other->candles, known = other->len;
  }
  for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++)
    if (strlen(intervals[i].name) == interval_len && memcmp(intervals[i].name, interval, interval_len) == 0)
      span = intervals[i].minutes;
  ret->is_error = !minutes || !span;
  if (!minutes) ret->value.refusal = sigbox__test_refusal("unknown-symbol", "there are no candles of this symbol");
  else if (!span) ret->value.refusal = sigbox__test_refusal("unknown-interval", "there is no such interval");
  if (ret->is_error) return NULL;
  while (known > 0 && minutes[known - 1].open_time_ms + SIGBOX_MINUTE_MS > sigbox__test_now_ms) known--;
  sigbox_candle *closed = (sigbox_candle *)malloc((known + 1) * sizeof *closed);
  *len = 0;
  for (size_t i = 0; i + span <= known; i++) {
    if (minutes[i].open_time_ms % (span * SIGBOX_MINUTE_MS) != 0) continue;
    sigbox_candle candle = minutes[i];
    for (size_t j = i + 1; j < i + span; j++) {
      if (minutes[j].high > candle.high) candle.high = minutes[j].high;
      if (minutes[j].low < candle.low) candle.low = minutes[j].low;
      candle.close = minutes[j].close;
      candle.volume += minutes[j].volume;
    }
    closed[(*len)++] = candle;
  }
  return closed;
}

void sigbox__host_candles(const char *symbol, size_t symbol_len, const char *interval, size_t interval_len, uint32_t limit,
                          sigbox__result *ret) {
  size_t len;
  sigbox_candle *closed = sigbox__test_closed(symbol, symbol_len, interval, interval_len, &len, ret);
  if (!closed) return;
  ret->is_error = limit > 10080 || limit > len;
  if (limit > 10080) ret->value.refusal = sigbox__test_refusal("too-many", "more candles than one call may ask for");
  else if (limit > len) ret->value.refusal = sigbox__test_refusal("not-enough-history", "there are not so many candles");
  if (ret->is_error) {
    free(closed);
    return;
  }
  memmove(closed, closed + len - limit, limit * sizeof *closed);
  ret->value.ok.ptr = closed;
  ret->value.ok.len = limit;
}

void sigbox__host_candles_after(const char *symbol, size_t symbol_len, const char *interval, size_t interval_len,
                                uint64_t after_ms, uint32_t limit, sigbox__result *ret) {
  size_t len, from = 0;
  sigbox_candle *closed = sigbox__test_closed(symbol, symbol_len, interval, interval_len, &len, ret);
  if (!closed) return;
  while (from < len && closed[from].open_time_ms <= after_ms) from++;
  if (len - from < limit) limit = (uint32_t)(len - from);
  memmove(closed, closed + from, limit * sizeof *closed);
  ret->value.ok.ptr = closed;
  ret->value.ok.len = limit;
}

void sigbox__host_columns(const char *symbol, size_t symbol_len, const char *interval, size_t interval_len,
                          const sigbox__text *fields, size_t fields_len, uint32_t limit, sigbox__result *ret) {
  static const char *const names[] = {"open", "high", "low", "close", "volume"};
  sigbox__host_candles(symbol, symbol_len, interval, interval_len, limit, ret);
  if (ret->is_error) return;
  const sigbox_candle *candles = (const sigbox_candle *)ret->value.ok.ptr;
  double *numbers = (double *)malloc((fields_len * limit + 1) * sizeof *numbers), *to = numbers;
  for (size_t f = 0; f < fields_len; f++) {
    int field = 0;
    while (field < 5 && !(strlen(names[field]) == fields[f].len && memcmp(names[field], fields[f].ptr, fields[f].len) == 0))
      field++;
    bool is_time = fields[f].len == 12 && memcmp(fields[f].ptr, "open-time-ms", 12) == 0;
    if (field == 5 && !is_time) {
      free(numbers);
      free(ret->value.ok.ptr);
      ret->is_error = true;
      ret->value.refusal = sigbox__test_refusal("unknown-field", "a candle has no such field");
      return;
    }
    for (uint32_t i = 0; i < limit; i++)
      *to++ = is_time ? (double)candles[i].open_time_ms : (&candles[i].open)[field];
  }
  free(ret->value.ok.ptr);
  ret->value.ok.ptr = numbers;
  ret->value.ok.len = fields_len * limit;
}

void sigbox__host_next_candles(uint64_t after_ms, uint32_t limit, sigbox__list *ret) {
  sigbox__result got;
  const char *symbol = sigbox__test->symbol;
  sigbox__host_candles_after(symbol, strlen(symbol), "1m", 2, after_ms, limit > 10080 ? 10080 : limit, &got);
  const sigbox_candle *candles = (const sigbox_candle *)got.value.ok.ptr;
  bool follows = got.value.ok.len > 0 && candles[0].open_time_ms == after_ms + SIGBOX_MINUTE_MS;
  size_t len = follows ? got.value.ok.len : 0;
  double *numbers = (double *)malloc((5 * len + 1) * sizeof *numbers);
  for (size_t i = 0; i < len; i++) memcpy(numbers + 5 * i, &candles[i].open, 5 * sizeof *numbers);
  free(got.value.ok.ptr);
  ret->ptr = numbers;
  ret->len = 5 * len;
}

/* The average of the last five closes, each as heavy as its volume. */
void sigbox__host_average_price(const char *symbol, size_t symbol_len, sigbox__price *ret) {
  sigbox__result got;
  sigbox__host_candles(symbol, symbol_len, "1m", 2, 5, &got);
  ret->is_error = got.is_error;
  if (got.is_error) {
    ret->value.refusal = got.value.refusal;
    return;
  }
  const sigbox_candle *candles = (const sigbox_candle *)got.value.ok.ptr;
  double sum = 0, volume = 0;
  for (int i = 0; i < 5; i++) sum += candles[i].close * candles[i].volume, volume += candles[i].volume;
  ret->value.ok = volume > 0 ? sum / volume : candles[4].close;
  free(got.value.ok.ptr);
}

void sigbox__host_trades(uint32_t n, sigbox__list *ret) {
  if (n > sigbox__test->trades_len) n = (uint32_t)sigbox__test->trades_len;
  sigbox__trade *list = (sigbox__trade *)calloc(n + 1, sizeof *list);
  for (uint32_t i = 0; i < n; i++) {
    const sigbox_trade *t = &sigbox__test->trades[sigbox__test->trades_len - n + i];
    const char *id = t->id ? t->id : "", *reason = t->reason ? t->reason : "";
    list[i].id = sigbox__test_text(id, strlen(id));
    list[i].position = (uint8_t)t->position;
    list[i].opened_ms = t->opened_ms, list[i].closed_ms = t->closed_ms;
    list[i].price_open = t->price_open, list[i].price_close = t->price_close, list[i].cost = t->cost;
    list[i].pnl_percentage = t->pnl_percentage, list[i].pnl_cost = t->pnl_cost;
    list[i].reason = sigbox__test_text(reason, strlen(reason));
  }
  ret->ptr = list;
  ret->len = n;
}

SIGBOX__API size_t sigbox__test_find(const char *name, size_t len) {
  size_t at = 0;
  while (at < sigbox__test_memory_len && !(strlen(sigbox__test_memory[at].name) == len &&
                                           memcmp(sigbox__test_memory[at].name, name, len) == 0))
    at++;
  return at;
}

void sigbox__host_get(const char *name, size_t len, sigbox__optional_text *ret) {
  size_t at = sigbox__test_find(name, len);
  ret->is_some = at < sigbox__test_memory_len;
  if (ret->is_some) ret->value = sigbox__test_text(sigbox__test_memory[at].value, sigbox__test_memory[at].len);
}

void sigbox__host_set(const char *name, size_t len, const void *value, size_t value_len, sigbox__result *ret) {
  size_t at = sigbox__test_find(name, len), bytes = len + value_len + 64;
  for (size_t i = 0; i < sigbox__test_memory_len; i++)
    if (i != at) bytes += strlen(sigbox__test_memory[i].name) + sigbox__test_memory[i].len + 64;
  ret->is_error = bytes > 16384 || at == 64 || len > 255;
  if (ret->is_error) {
    sigbox__refusal refusal = sigbox__test_refusal("too-large", "this is more than is kept");
    memcpy(&ret->value, &refusal, sizeof refusal);
    return;
  }
  if (at == sigbox__test_memory_len) sigbox__test_memory_len++;
  memcpy(sigbox__test_memory[at].name, name, len);
  sigbox__test_memory[at].name[len] = 0;
  memcpy(sigbox__test_memory[at].value, value, value_len);
  sigbox__test_memory[at].len = value_len;
}

void sigbox__host_remove(const char *name, size_t len) {
  size_t at = sigbox__test_find(name, len);
  if (at < sigbox__test_memory_len) sigbox__test_memory[at] = sigbox__test_memory[--sigbox__test_memory_len];
}

void sigbox__host_trade(const sigbox__signal *signal) {
  sigbox_signal *s = &sigbox__test_answer->signal;
  sigbox__test_answer->trades = true;
  s->position = (sigbox_position)signal->position;
  s->take_profit = signal->take_profit;
  s->stop_loss = signal->stop_loss;
  s->limit = signal->limit.value;
  s->minutes = signal->minutes.value;
  s->cost = signal->cost.value;
  s->multiplier = signal->multiplier.value;
  s->isolated = !signal->isolated.is_some ? SIGBOX_BY_DEFAULT : signal->isolated.value ? SIGBOX_YES : SIGBOX_NO;
  s->id = signal->id.is_some ? signal->id.value.ptr : NULL;
  s->note = signal->note.is_some ? signal->note.value.ptr : NULL;
}

void sigbox__host_fail(const char *code, size_t code_len, const char *message, size_t message_len, bool retryable) {
  snprintf(sigbox__test->failure, sizeof sigbox__test->failure, "%.*s: %.*s%s", (int)code_len, code, (int)message_len,
           message, retryable ? "" : "; it gives up");
}

void sigbox__host_quiet(uint64_t until_ms, double below, double above) {
  sigbox__test_answer->is_quiet = true;
  sigbox__test_answer->quiet_until_ms = until_ms;
  sigbox__test_answer->quiet_below = below;
  sigbox__test_answer->quiet_above = above;
}

/* Starts the strategy afresh and puts a question to it for each candle. False: it refused its settings, a question failed,
 * or it traded although it had promised silence; test->failure says which. What the strategy remembers stays from run to
 * run; sigbox_test_forget empties it. */
SIGBOX__API bool sigbox_test_run(sigbox_test *test) {
  static union {
    double number;
    int whole;
    bool boolean;
    const char *word;
  } defaults[256];
  static bool has_defaults;
  size_t at = 0;
  for (const sigbox_setting *s = sigbox__strategy.settings; s && s->name && at < 256; s++, at++) {
    size_t bytes = s->kind == SIGBOX__NUMBER ? sizeof(double) : s->kind == SIGBOX__WHOLE ? sizeof(int)
                   : s->kind == SIGBOX__BOOLEAN ? sizeof(bool) : sizeof(char *);
    if (has_defaults) memcpy(s->value, &defaults[at], bytes);
    else memcpy(&defaults[at], s->value, bytes);
  }
  has_defaults = true;
  memset(&sigbox__, 0, sizeof sigbox__);
  if (!test->symbol) test->symbol = "TEST";
  free(test->answers);
  test->answers = (sigbox_answer *)calloc(test->len + 1, sizeof *test->answers);
  test->answers_len = 0;
  test->failure[0] = 0;
  sigbox__test = test;
  sigbox__describe();
  const sigbox__started *started = sigbox__start();
  if (started->is_error) {
    snprintf(test->failure, sizeof test->failure, "%.*s", (int)started->refusal.message.len, started->refusal.message.ptr);
    return false;
  }
  const sigbox_answer *promise = NULL;
  for (size_t i = 0; i < test->len; i++) {
    const sigbox_candle *c = &test->candles[i];
    sigbox__test_now_ms = c->open_time_ms + SIGBOX_MINUTE_MS;
    if (promise && (sigbox__test_now_ms >= promise->quiet_until_ms || c->low < promise->quiet_below ||
                    c->close < promise->quiet_below || c->high > promise->quiet_above || c->close > promise->quiet_above))
      promise = NULL;
    if (test->every > 1 && sigbox__test_now_ms / SIGBOX_MINUTE_MS % test->every != 0) continue;
    sigbox__test_answer = &test->answers[test->answers_len];
    sigbox__test_answer->when_ms = sigbox__test_now_ms;
    sigbox__get_signal(sigbox__test_now_ms, c->close, c->open, c->high, c->low, c->close, c->volume);
    if (!test->failure[0] && promise && sigbox__test_answer->trades)
      snprintf(test->failure, sizeof test->failure, "candle %zu: it traded, although it had promised silence", i);
    if (test->failure[0]) return false;
    if (sigbox__test_answer->is_quiet && !promise) promise = sigbox__test_answer;
    test->answers_len++;
  }
  return true;
}

SIGBOX__API void sigbox_test_forget(void) { sigbox__test_memory_len = 0; }

#ifdef __cplusplus
}
#endif
#endif
