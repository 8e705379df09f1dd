#include "core/json_text.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace lockstep {

std::string format_double(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  const size_t e = text.find('e');
  std::string mantissa = text.substr(0, e), exponent = e == std::string::npos ? "" : text.substr(e);
  if (mantissa.find('.') == std::string::npos)
    mantissa += ".0";  // a number with a point in every YAML version
  if (exponent.size() == 4 && exponent[2] == '0') exponent.erase(2, 1);
  return mantissa + exponent;
}

std::string quote_json(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\u{:04x}", byte);
    else
      out += c;
  }
  return out + '"';
}

}  // namespace lockstep
