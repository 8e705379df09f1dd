#include "tasks/flag_values.h"

#include <charconv>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

namespace lockstep {
namespace {

template <class T>
T parse(const SampleRequest& request, const std::string& flag, std::string_view text, T low,
        T high) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= low && value <= high)
    return value;
  throw ConfigError(
      fmt::format("{} needs {} between {} and {}, not '{}'", flag,
                  std::is_integral_v<T> ? "a whole number" : "a number", low, high, text),
      "", on_command_line(flag + " " + request.value(flag)));
}

template <class T>
std::vector<T> parse_list(const SampleRequest& request, const std::string& flag, T low, T high) {
  std::vector<T> values;
  if (!request.has(flag)) return values;
  const std::string text = request.value(flag);
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    values.push_back(
        parse(request, flag, std::string_view(text).substr(at, comma - at), low, high));
    at = comma + 1;
  }
  return values;
}

}  // namespace

double number_flag(const SampleRequest& request, const std::string& flag, double low, double high,
                   double otherwise) {
  return request.has(flag) ? parse(request, flag, request.value(flag), low, high) : otherwise;
}

int64_t whole_flag(const SampleRequest& request, const std::string& flag, int64_t low, int64_t high,
                   int64_t otherwise) {
  return request.has(flag) ? parse(request, flag, request.value(flag), low, high) : otherwise;
}

std::vector<double> number_list_flag(const SampleRequest& request, const std::string& flag,
                                     double low, double high) {
  return parse_list(request, flag, low, high);
}

std::vector<int64_t> whole_list_flag(const SampleRequest& request, const std::string& flag,
                                     int64_t low, int64_t high) {
  return parse_list(request, flag, low, high);
}

}  // namespace lockstep
