#include "sigbox_testing.h"
#include "sma_cross.cpp"

int main(void) {
  double closes[] = {90, 91, 92, 93, 94, 95, 80, 80, 80, 120, 120};
  sigbox_test test = {};
  test.candles = sigbox_test_closes(closes, 11);
  test.len = 11;
  test.settings = "{\"fast\": 2, \"slow\": 5}";
  SIGBOX_EXPECT(sigbox_test_run(&test) && test.answers_len == 11);
  for (size_t i = 0; i < test.answers_len; i++) SIGBOX_EXPECT(test.answers[i].trades == (i == 6 || i == 9));
  SIGBOX_EXPECT(test.answers[6].signal.position == SIGBOX_SHORT && test.answers[9].signal.position == SIGBOX_LONG);
  SIGBOX_EXPECT(test.answers[9].signal.stop_loss == 120 * (1 - 0.6 / 100) && test.answers[9].signal.minutes == 240);
  test.settings = "{\"fast\": 60}";
  SIGBOX_EXPECT(!sigbox_test_run(&test));
  SIGBOX_EXPECT(strcmp(test.failure, "fast must be at least 1 and below slow; found fast 60 slow 60") == 0);
  return sigbox_test_end();
}
