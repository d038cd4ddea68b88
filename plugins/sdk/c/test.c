/* Tests of sigbox.h. They are C and C++. */
#include "sigbox_testing.h"

static double percent = 1.5;
static int fast = 20, window = 1, calls;
static bool is_loud = false;
static const char *a_word = "x";
static const sigbox_setting settings[] = {
    SIGBOX_SETTING(percent, "how \"far\""), SIGBOX_SETTING(fast, NULL), SIGBOX_SETTING(is_loud, NULL),
    SIGBOX_SETTING(a_word, NULL), {0}};

static const char *start(void) { return fast == 13 ? sigbox_text("fast must not be %d", fast) : NULL; }

static bool (*asked)(const sigbox_tick *, sigbox_signal *);
static bool ask(const sigbox_tick *tick, sigbox_signal *out) {
  calls++;
  return asked && asked(tick, out);
}

SIGBOX_STRATEGY("test", "0.1.0", "1m", settings, start, ask)

static const char *refused(const char *given) {
  static sigbox_test test;
  test.settings = given;
  sigbox_test_run(&test);
  return test.failure;
}

static void settings_are_variables_by_their_names(void) {
  SIGBOX_EXPECT(strcmp(refused(" { \"percent\": 2, \"fast\" : 7.0, \"is-loud\": true, "
                               "\"a-word\": \"a \\\"b\\\" \\u00e9\\ud83d\\ude00\\n\" } "), "") == 0);
  SIGBOX_EXPECT(percent == 2 && fast == 7 && is_loud && strcmp(a_word, "a \"b\" \xc3\xa9\xf0\x9f\x98\x80\n") == 0);
  SIGBOX_EXPECT(strcmp(refused("{}"), "") == 0);
  SIGBOX_EXPECT(percent == 1.5 && fast == 20 && !is_loud && strcmp(a_word, "x") == 0);
}

static void what_is_not_a_setting_is_refused_by_name(void) {
  SIGBOX_EXPECT(strcmp(refused("{\"fsat\": 20}"), "there is no setting fsat; there are: percent, fast, is-loud, a-word") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"fast\": \"x\"}"), "fast must be a whole number; found \"x\"") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"fast\": 60.5}"), "fast must be a whole number; found 60.5") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"fast\": 3e9}"), "fast must be a whole number of 32 bits; found 3e9") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"fast\": [1, {\"a\": \"]\"}], \"percent\": 1}"),
                       "fast must be a whole number; found [1, {\"a\": \"]\"}]") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"percent\": null}"), "percent must be a number; found null") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"is-loud\": 1}"), "is-loud must be a boolean, true or false; found 1") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"a-word\": 1}"), "a-word must be a text; found 1") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"is_loud\": true}"), "there is no setting is_loud; there are: percent, fast, is-loud, a-word") == 0);
  SIGBOX_EXPECT(strcmp(refused("[1]"), "settings are not a JSON object: [1]") == 0);
  SIGBOX_EXPECT(strcmp(refused("{\"fast\": 13}"), "fast must not be 13") == 0);
}

static void the_schema_has_types_and_defaults(void) {
  refused("{}");
  SIGBOX_EXPECT(strcmp(sigbox__.schema,
                       "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                       "\"percent\":{\"type\":\"number\",\"default\":1.5,\"description\":\"how \\\"far\\\"\"},"
                       "\"fast\":{\"type\":\"integer\",\"default\":20},\"is-loud\":{\"type\":\"boolean\",\"default\":false},"
                       "\"a-word\":{\"type\":\"string\",\"default\":\"x\"}}}") == 0);
}

static bool looks_back(const sigbox_tick *tick, sigbox_signal *out) {
  size_t count = (size_t)window;
  (void)out;
  const double *closes = sigbox_closes(count);
  const sigbox_candle *candles = sigbox_last(count);
  const double *longer = sigbox_closes(count + 40);
  SIGBOX_EXPECT(!longer || longer[40] == closes[0]);
  sigbox_last(count + 40);
  SIGBOX_EXPECT((closes == NULL) == (tick->price < window) && (candles == NULL) == (closes == NULL));
  bool is_right = true;
  for (size_t i = 0; closes && i < count; i++) {
    double wanted = tick->price - (double)(count - 1 - i);
    is_right = is_right && closes[i] == wanted && candles[i].close == wanted;
  }
  SIGBOX_EXPECT(is_right);
  return false;
}

static void windows_are_the_same_however_often_they_are_asked(void) {
  static const unsigned every[] = {1, 2, 5, 60, 500};
  static const int counts[] = {1, 7, 61, 300};
  static double prices[2000];
  for (int i = 0; i < 2000; i++) prices[i] = i + 1;
  asked = looks_back;
  for (int i = 0; i < 5; i++) {
    for (int j = 0; j < 4; j++) {
      sigbox_test test = {0};
      test.candles = sigbox_test_closes(prices, 2000);
      test.len = 2000;
      test.every = every[i];
      window = counts[j];
      calls = 0;
      SIGBOX_EXPECT(sigbox_test_run(&test) && calls >= (int)(2000 / every[i]));
    }
  }
}

static bool uses_everything(const sigbox_tick *tick, sigbox_signal *out) {
  sigbox_candle hours[3];
  double numbers[2], price = 0;
  sigbox_trade trades[2];
  char kept[20000] = "";
  if (tick->price != 130) return false;
  SIGBOX_EXPECT(sigbox_candles("TEST", "1h", 2, hours));
  SIGBOX_EXPECT(hours[1].open == 61 && hours[1].high == 120 && hours[1].volume == 60);
  SIGBOX_EXPECT(!sigbox_candles("ETH", "1h", 3, hours) && !sigbox__.failed);
  SIGBOX_EXPECT(sigbox_column("ETH", "1m", "high", 2, numbers) && numbers[0] == 119 && numbers[1] == 120);
  SIGBOX_EXPECT(sigbox_candles_after("ETH", "30m", tick->newest.open_time_ms - 99 * SIGBOX_MINUTE_MS, 3, hours) == 2);
  SIGBOX_EXPECT(sigbox_average_price("ETH", &price) && price == 118);
  SIGBOX_EXPECT(sigbox_trades(2, trades) == 2 && strcmp(trades[1].id, "b") == 0 && trades[0].cost == 5);
  SIGBOX_EXPECT(sigbox_get("n", kept, sizeof kept) == -1 && sigbox_set("n", "12", 2));
  SIGBOX_EXPECT(sigbox_get("n", kept, sizeof kept) == 2 && memcmp(kept, "12", 2) == 0);
  sigbox_remove("n");
  SIGBOX_EXPECT(sigbox_get("n", kept, sizeof kept) == -1);
  if (is_loud) return sigbox_set("n", kept, 17000);
  if (fast == 1) return sigbox_candles("XRP", "1h", 1, hours);
  if (fast == 2) return sigbox_give_up("no %s", "more");
  out->position = SIGBOX_SHORT;
  out->isolated = SIGBOX_NO;
  out->minutes = 240;
  return true;
}

static void everything_of_the_host_is_there(void) {
  double prices[130];
  sigbox_trade trades[2] = {{"a", SIGBOX_LONG, 0, 0, 0, 0, 5, 0, 0, "closed"}, {"b", SIGBOX_LONG, 0, 0, 0, 0, 0, 0, 0, ""}};
  for (int i = 0; i < 130; i++) prices[i] = i + 1;
  sigbox_test test = {0};
  test.candles = sigbox_test_closes(prices, 130);
  test.len = 130;
  test.others[0].symbol = "ETH";
  test.others[0].candles = test.candles;
  test.others[0].len = 120;
  test.trades = trades;
  test.trades_len = 2;
  asked = uses_everything;
  SIGBOX_EXPECT(sigbox_test_run(&test));
  SIGBOX_EXPECT(test.answers_len == 130 && test.answers[129].trades && !test.answers[128].trades);
  SIGBOX_EXPECT(test.answers[129].signal.position == SIGBOX_SHORT && test.answers[129].signal.isolated == SIGBOX_NO);
  test.settings = "{\"is-loud\": true}";
  SIGBOX_EXPECT(!sigbox_test_run(&test) && strcmp(test.failure, "too-large: this is more than is kept") == 0);
  test.settings = "{\"fast\": 1}";
  SIGBOX_EXPECT(!sigbox_test_run(&test) && strncmp(test.failure, "unknown-symbol: ", 16) == 0);
  test.settings = "{\"fast\": 2}";
  SIGBOX_EXPECT(!sigbox_test_run(&test) && strcmp(test.failure, "error: no more; it gives up") == 0);
}

static bool promises(const sigbox_tick *tick, sigbox_signal *out) {
  (void)out;
  sigbox_quiet(UINT64_MAX, 90, 110);
  return tick->price < fast;
}

static void a_broken_promise_is_found(void) {
  double prices[] = {101, 95, 80};
  sigbox_test test = {0};
  test.candles = sigbox_test_closes(prices, 3);
  test.len = 3;
  asked = promises;
  test.settings = "{\"fast\": 85}";
  SIGBOX_EXPECT(sigbox_test_run(&test) && test.answers[0].is_quiet && test.answers[2].trades);
  test.settings = "{\"fast\": 100}";
  SIGBOX_EXPECT(!sigbox_test_run(&test) && strncmp(test.failure, "candle 1: it traded", 19) == 0);
}

int main(void) {
  double numbers[] = {1, 3, 2};
  SIGBOX_EXPECT(sigbox_highest(numbers, 3) == 3 && sigbox_lowest(numbers, 3) == 1 && sigbox_mean(numbers, 3) == 2);
  settings_are_variables_by_their_names();
  what_is_not_a_setting_is_refused_by_name();
  the_schema_has_types_and_defaults();
  windows_are_the_same_however_often_they_are_asked();
  everything_of_the_host_is_there();
  a_broken_promise_is_found();
  return sigbox_test_end();
}
