// Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
#include <array>
#include <cmath>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "strategy_cpp.h"

namespace answer = sigbox::strategy::answer;
namespace config = sigbox::host::config;
namespace market = sigbox::host::market;
namespace session = sigbox::host::session;
namespace strategy = exports::sigbox::strategy::strategy;

namespace {

constexpr uint64_t minute_ms = 60'000;

double fast = 20, slow = 60, take_profit_percent = 1.0, stop_loss_percent = 0.6, minutes = 240;

struct Setting {
  std::string_view name;
  double &value;
  bool is_whole;
};
const std::array settings{
    Setting{"fast", fast, true},
    Setting{"slow", slow, true},
    Setting{"take-profit-percent", take_profit_percent, false},
    Setting{"stop-loss-percent", stop_loss_percent, false},
    Setting{"minutes", minutes, true},
};

std::string symbol;

// Closes up to that of `newest_ms`, oldest first.
std::vector<double> kept;
uint64_t newest_ms = 0;

strategy::Failure refusal(std::string_view message) {
  return {wit::string::from_view("settings"), wit::string::from_view(message), false, std::nullopt};
}

// What is wrong with a setting of the operator.
std::optional<std::string> set(const std::string &name, const std::string &text) {
  for (auto &setting : settings) {
    if (setting.name != name) continue;
    char *end;
    setting.value = std::strtod(text.c_str(), &end);
    bool is_number = end != text.c_str() && *end == 0;
    if (is_number && (!setting.is_whole || setting.value == std::floor(setting.value))) return std::nullopt;
    return name + " must be a " + (setting.is_whole ? "whole number" : "number") + "; found " + text;
  }
  return "there is no setting " + name;
}

// The last closes; none while there are not so many. The one that is new came with the question.
std::span<const double> window(size_t count, uint64_t when_ms, double close) {
  if (!kept.empty() && when_ms == newest_ms + minute_ms) {
    if (kept.size() == 4 * count) kept.erase(kept.begin(), kept.end() - (count - 1));
    kept.push_back(close);
  } else {
    kept.clear();
    const std::array<std::string_view, 1> fields{"close"};
    auto closes = market::Columns(symbol, "1m", fields, uint32_t(count));
    if (!closes) {
      auto code = closes.error().code.get_view();
      if (code != "not-enough-history") answer::Fail(code, closes.error().message.get_view(), true);
      return {};
    }
    kept.assign(closes->data(), closes->data() + closes->size());
  }
  newest_ms = when_ms;
  return std::span<const double>(kept).last(count);
}

// The sum in eight lanes, as the Rust sample adds: the same bits for the same candles.
double sum(std::span<const double> closes) {
  double lane[8] = {};
  for (size_t i = 0; i < closes.size(); i++) lane[i % 8] += closes[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

}  // namespace

strategy::Descriptor strategy::Describe() {
  auto text = [](std::string_view view) { return wit::string::from_view(view); };
  return {text("sma-cross"), text("0.1.0"), text("1m"), std::nullopt, {}, std::nullopt};
}

std::expected<void, strategy::Failure> strategy::Start() {
  auto given = config::All();
  for (auto &[name, value] : given.get_view())
    if (auto why = set(name.to_string(), value.to_string())) return std::unexpected(refusal(*why));
  if (fast < 1 || fast >= slow)
    return std::unexpected(refusal("fast must be at least 1 and below slow; found fast " + std::to_string(int(fast)) +
                                   " slow " + std::to_string(int(slow))));
  symbol = session::Symbol().to_string();
  return {};
}

void strategy::GetSignal(uint64_t when_ms, double price, double, double, double, double close, double) {
  size_t at = size_t(slow) - size_t(fast);
  auto closes = window(size_t(slow) + 1, when_ms, close);
  if (closes.empty()) return;
  double first = closes[0], first_fast = closes[at], last = closes.back();
  double shared = sum(closes.subspan(at + 1, size_t(fast) - 1));
  double shared_slow = sum(closes.subspan(1, at - 1)) + first_fast + shared;
  bool before = (first_fast + shared) / fast > (first + shared_slow) / slow;
  bool now = (shared + last) / fast > (shared_slow + last) / slow;
  if (before == now) return;
  double up = now ? 1 : -1;
  answer::Signal signal{};
  signal.position = now ? answer::Position::kLong : answer::Position::kShort;
  signal.price_take_profit = price * (1 + up * take_profit_percent / 100);
  signal.price_stop_loss = price * (1 - up * stop_loss_percent / 100);
  signal.minute_estimated_time = minutes;
  answer::Trade(std::move(signal));
}
