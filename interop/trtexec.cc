#include "interop/trtexec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <system_error>

#include "core/errors.h"

extern char** environ;

namespace lockstep {
namespace {

// "x:8x3x32x32,t:8": the inputs with a batch of `rows`. TensorRT wants every input with an open
// size.
std::string shapes(const std::vector<Exported::Input>& inputs, int64_t rows) {
  std::vector<std::string> out;
  for (const Exported::Input& input : inputs) {
    if (input.shape.empty()) continue;  // a scalar has no open size
    std::vector<int64_t> sizes = input.shape;
    for (int64_t& size : sizes)
      if (size < 0) size = rows;
    out.push_back(fmt::format("{}:{}", input.name, fmt::join(sizes, "x")));
  }
  return fmt::format("{}", fmt::join(out, ","));
}

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("-_=./:,+@%").find(c) != std::string_view::npos;
}

}  // namespace

BatchProfile parse_batch_profile(const std::string& text) {
  std::vector<int64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (numbers.size() < 3) {
    int64_t number = 0;
    const auto [next, problem] = std::from_chars(at, end, number);
    if (problem != std::errc() || number < 1) break;
    numbers.push_back(number);
    if (next == end || *next != ',') {
      at = next;
      break;
    }
    at = next + 1;
  }
  if (numbers.size() != 3 || at != end || numbers[0] > numbers[1] || numbers[1] > numbers[2])
    throw ConfigError("--batches needs three ascending numbers",
                      "smallest, best and largest batch: --batches 1,8,64",
                      {"command line", 1, 1, "--batches " + text});
  return {numbers[0], numbers[1], numbers[2]};
}

std::vector<std::string> trtexec_words(const std::filesystem::path& onnx,
                                       const std::vector<Exported::Input>& inputs,
                                       const BatchProfile& batch, const std::string& precision) {
  std::vector<std::string> out = {"trtexec",
                                  "--onnx=" + onnx.string(),
                                  "--saveEngine=" + onnx.string() + ".engine",
                                  "--minShapes=" + shapes(inputs, batch.least),
                                  "--optShapes=" + shapes(inputs, batch.best),
                                  "--maxShapes=" + shapes(inputs, batch.most)};
  if (!precision.empty()) out.push_back("--" + precision);
  out.push_back("--skipInference");
  return out;
}

std::string shell_text(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return out;
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::filesystem::path candidate = std::filesystem::path(rest.substr(0, colon)) / name;
    std::error_code missing;
    if (std::filesystem::is_regular_file(candidate, missing) &&
        ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return std::nullopt;
}

int run_program(const std::filesystem::path& program, const std::vector<std::string>& words) {
  std::vector<std::string> copies = words;
  std::vector<char*> pointers;
  for (std::string& word : copies) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int problem =
      ::posix_spawn(&child, program.c_str(), nullptr, nullptr, pointers.data(), environ);
  if (problem != 0)
    throw EnvironmentError(fmt::format("cannot start '{}': {}", program.string(),
                                       std::generic_category().message(problem)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw EnvironmentError(fmt::format("lost sight of '{}'", program.string()));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace lockstep
