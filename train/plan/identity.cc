#include "train/plan/identity.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/files.h"

namespace lockstep {
namespace {

const std::vector<std::string> kNotIdentity = {"run.folder",  "launch",
                                               "log",         "data.threads",
                                               "checkpoint",  "ddp.bucket_megabytes",
                                               "ddp.overlap", "ddp.timeout_seconds"};

// "/a/b/c" of a JSON pointer as "a.b.c".
std::string dotted(std::string path) {
  path.erase(0, 1);
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

}  // namespace

std::string identity_json(RunConfig& config) {
  return print_json([&](FieldVisitor& v) { config.fields(v); }, kNotIdentity);
}

std::string config_hash(RunConfig& config) {
  const std::string text = identity_json(config);
  return hash_bytes(text.data(), text.size());
}

std::vector<std::string> differences_of_identity(const std::string& before,
                                                 const std::string& after) {
  const auto whole = nlohmann::ordered_json::parse(before);
  const auto a = whole.flatten(), b = nlohmann::ordered_json::parse(after).flatten();
  // Under a constant schedule a longer run begins like a shorter one.
  const bool may_grow = a.value("/schedule/kind", "") == "constant";
  std::vector<std::string> out;
  const auto add = [&](const std::string& path, const std::string& was, const std::string& is) {
    if (may_grow && path == "/train/steps") return;
    out.push_back(dotted(path) + ": " + was + " -> " + is);
  };
  for (const auto& [path, value] : a.items())
    if (!b.contains(path))
      add(path, value.dump(), "nothing");
    else if (b.at(path) != value)
      add(path, value.dump(), b.at(path).dump());
  for (const auto& [path, value] : b.items())
    if (!a.contains(path)) add(path, "nothing", value.dump());
  return out;
}

}  // namespace lockstep
