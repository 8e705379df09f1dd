#include "core/program_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <string_view>

namespace lockstep {
namespace {

constexpr const char* kVariable = "LOCKSTEP_CALLED_AS";

// "lockstep train" is a command, "lockstep is" is prose.
constexpr std::array<std::string_view, 30> kCommandWords = {
    "train",  "resume",    "launch", "plan",     "submit",    "sweep",  "sample", "evaluate",
    "bench",  "forward",   "fid",    "optimize", "pack",      "data",   "export", "import",
    "chat",   "report",    "runs",   "top",      "watch",     "logs",   "doctor", "env",
    "config", "tokenizer", "help",   "--help",   "--version", "COMMAND"};

bool is_command_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() &&
         (std::isalpha(static_cast<unsigned char>(text[end])) != 0 || text[end] == '-'))
    ++end;
  const std::string_view word = text.substr(at, end - at);
  return std::find(kCommandWords.begin(), kCommandWords.end(), word) != kCommandWords.end();
}

}  // namespace

void set_program_name(const std::string& called) {
  // A program found on the PATH is called by its name alone.
  if (!called.empty()) setenv(kVariable, called.c_str(), 1);
}

std::string program_name() {
  const char* called = std::getenv(kVariable);
  return called == nullptr || *called == '\0' ? "lockstep" : shell_quoted(called);
}

std::string with_program_name(const std::string& text) {
  constexpr std::string_view kName = "lockstep ";
  const std::string name = program_name();
  if (name == "lockstep") return text;
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(kName); at != std::string::npos; at = text.find(kName, at + 1)) {
    const bool starts =
        at == 0 || std::string_view(" \n`'\"(").find(text[at - 1]) != std::string_view::npos;
    if (!starts || !is_command_at(text, at + kName.size())) continue;
    out.append(text, done, at - done).append(name).append(" ");
    done = at + kName.size();
  }
  return out.append(text, done);
}

std::string shell_quoted(const std::string& word) {
  constexpr std::string_view kPlain = "_-./=:,+@%^";
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 || c >= 0x80 || kPlain.find(static_cast<char>(c)) != kPlain.npos;
  });
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace lockstep
