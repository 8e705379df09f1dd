#include "report/html.h"

#include <cstdint>

#include "report/page_style.h"

namespace lockstep {
namespace {

// Length of the UTF-8 character at `at`, 0 if there is none.
size_t utf8_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(at);
  const auto follows = [&](size_t count) {
    for (size_t i = 1; i <= count; ++i)
      if ((byte(at + i) & 0xC0u) != 0x80u) return size_t{0};
    return count + 1;
  };
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return follows(1);
  if (first >= 0xE0 && first < 0xF0) return follows(2);
  if (first >= 0xF0 && first < 0xF5) return follows(3);
  return 0;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    switch (text[i]) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (length == 0 || (length == 1 && static_cast<unsigned char>(text[i]) < 0x20 &&
                            text[i] != '\n' && text[i] != '\t')) {
          out += "\xEF\xBF\xBD";
        } else {
          out.append(text, i, length);
        }
    }
    i += length == 0 ? 1 : length;
  }
  return out;
}

std::string base64(const std::string& bytes) {
  static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? kDigits[word >> (18 - 6 * k) & 63u] : '=';
  }
  return out;
}

std::string html_page(const std::string& title, const std::string& body) {
  return "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport "
         "content='width=device-width'>\n<title>" +
         escape_html(title) + "</title>\n<style>\n" + kPageStyle + "</style>\n<main>\n" + body +
         "</main>\n</html>\n";
}

std::string html_section(const std::string& id, const std::string& title,
                         const std::string& content) {
  if (content.empty()) return "";
  return "<section id=" + id + "><h2>" + escape_html(title) + "</h2>\n" + content + "</section>\n";
}

}  // namespace lockstep
