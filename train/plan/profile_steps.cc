#include "train/plan/profile_steps.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr int64_t kWarmUpSteps = 3;

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ProfileSteps parse_profile_steps(const std::string& text, int64_t first) {
  if (text.empty()) return {};
  const size_t dash = text.find('-');
  const auto wrong = [&](const std::string& why) {
    return ConfigError(
        "log.profile_steps is '" + text + "': " + why,
        "give a number of steps (5) or the first and last one, counted from 1 (100-104)");
  };
  if (dash == std::string::npos) {
    const auto count = whole_number(text);
    if (!count || *count < 1) throw wrong("not a whole number ≥ 1");
    return {first + kWarmUpSteps, first + kWarmUpSteps + *count};
  }
  const auto begin = whole_number(std::string_view(text).substr(0, dash));
  const auto end = whole_number(std::string_view(text).substr(dash + 1));
  if (!begin || !end || *begin < 1 || *end < *begin) throw wrong("not a range of steps");
  return {*begin - 1, *end};
}

}  // namespace lockstep
