#include "core/user_path.h"

#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "core/errors.h"

namespace lockstep {
namespace {

// "$HOME" or "${HOME}" if `text` names a variable, else "".
std::string variable_in(const std::string& text) {
  for (size_t at = text.find('$'); at != std::string::npos; at = text.find('$', at + 1)) {
    if (at + 1 >= text.size()) return "";
    if (text[at + 1] == '{') {
      const size_t close = text.find('}', at);
      if (close != std::string::npos) return text.substr(at, close + 1 - at);
    }
    size_t end = at + 1;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_'))
      ++end;
    if (end > at + 1 && !std::isdigit(static_cast<unsigned char>(text[at + 1])))
      return text.substr(at, end - at);
  }
  return "";
}

}  // namespace

std::string user_path(const std::string& text) {
  std::error_code code;
  if (text.find_first_of("~$") == std::string::npos || std::filesystem::exists(text, code))
    return text;
  if (const std::string variable = variable_in(text); !variable.empty())
    throw ConfigError(
        "the path '" + text + "' holds " + variable + ", and variables are not expanded",
        "write the path out, or begin it with ~/ for your home folder; on a command "
        "line let the shell expand it (outside of single quotes)");
  if (!text.starts_with('~')) return text;
  if (text.size() > 1 && text[1] != '/')
    throw ConfigError(
        "the path '" + text + "' begins with another user's home, which is not looked up",
        "write the path out; ~/ alone is your own home folder");
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0')
    throw ConfigError("the path '" + text + "' begins with ~ and HOME is not set",
                      "write the path out");
  return home + text.substr(1);
}

}  // namespace lockstep
