#include "ddp/start_check.h"

#include <fmt/format.h>

#include <ATen/ATen.h>

#include <cstring>
#include <map>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

namespace {

constexpr size_t kShownCharacters = 200;  // of a long value in a message

// Facts as text: name and value of each, with their lengths.
std::string encode(const std::vector<StartFact>& facts) {
  std::string text;
  for (const StartFact& fact : facts)
    for (const std::string* part : {&fact.name, &fact.value})
      text += fmt::format("{}:{}", part->size(), *part);
  return text;
}

std::vector<std::pair<std::string, std::string>> decode(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t colon = text.find(':', at);
    const size_t length = std::stoull(text.substr(at, colon - at));
    parts.push_back(text.substr(colon + 1, length));
    at = colon + 1 + length;
  }
  std::vector<std::pair<std::string, std::string>> facts;
  for (size_t i = 0; i + 1 < parts.size(); i += 2) facts.push_back({parts[i], parts[i + 1]});
  return facts;
}

// Around the first difference to `other`, so that two long lists show where they part.
std::string shown(const std::string& value, const std::string& other) {
  if (value.size() <= kShownCharacters) return value;
  size_t at = 0;
  while (at < value.size() && at < other.size() && value[at] == other[at]) ++at;
  const size_t begin = at > kShownCharacters / 2 ? at - kShownCharacters / 2 : 0;
  const std::string part = value.substr(begin, kShownCharacters);
  return (begin > 0 ? "…" : "") + part + (begin + part.size() < value.size() ? "…" : "");
}

[[noreturn]] void throw_difference(const std::vector<std::string>& texts,
                                   const std::vector<StartFact>& facts) {
  const auto first = decode(texts[0]);
  for (size_t f = 0; f < first.size(); ++f) {
    std::map<std::string, std::vector<int>> others;  // value → ranks
    for (size_t r = 1; r < texts.size(); ++r) {
      const auto theirs = decode(texts[r]);
      const bool same_name = f < theirs.size() && theirs[f].first == first[f].first;
      const std::string value = same_name ? theirs[f].second : "(nothing)";
      if (value != first[f].second) others[value].push_back(static_cast<int>(r));
    }
    if (others.empty()) continue;
    std::string fact = fmt::format("ranks differ in {}: rank 0 has '{}'", first[f].first,
                                   shown(first[f].second, others.begin()->first));
    for (const auto& [value, ranks] : others)
      fact += fmt::format(", rank{} {} '{}'", ranks.size() > 1 ? "s" : "", fmt::join(ranks, ", "),
                          shown(value, first[f].second));
    const std::string help = f < facts.size() ? facts[f].help : "";
    throw ConfigError(
        fact, help.empty() ? "start the same program with the same config on all nodes" : help);
  }
  throw ConfigError("ranks bring different lists of facts", "start the same program on all nodes");
}

}  // namespace

void check_start(Communicator& comm, const std::vector<StartFact>& facts) {
  const std::string mine = encode(facts);
  const std::string hash = hash_bytes(mine.data(), mine.size());
  std::string hashes(hash.size() * comm.size(), '\0');
  comm.all_gather(hash.data(), hashes.data(), hash.size(), "start check");
  bool equal = true;
  for (int r = 0; r < comm.size(); ++r)
    equal = equal && hashes.compare(r * hash.size(), hash.size(), hash) == 0;
  if (equal) return;
  throw_difference(all_gather_strings(comm, mine, "start check, differences"), facts);
}

StartFact parameters_fact(const ArenaLayout& layout) {
  std::string value;
  for (const ArenaEntry& entry : layout.entries)
    value += fmt::format("{}[{}] ", entry.name, fmt::join(entry.shape, ","));
  return {"parameter names and shapes", value,
          "the ranks built different models: check plug-ins and versions"};
}

StartFact weights_fact(const Arena& weights) {
  const at::Tensor values = weights.flat().cpu();
  return {"initial weights (hash)",
          hash_bytes(values.const_data_ptr(),
                     static_cast<size_t>(weights.layout().size) * sizeof(float)),
          "the ranks drew or loaded different weights: check the files that `init` names on every "
          "node"};
}

}  // namespace lockstep
