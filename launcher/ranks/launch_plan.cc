#include "launcher/ranks/launch_plan.h"

#include <nlohmann/json.hpp>

#include "core/errors.h"

namespace lockstep {
namespace {

template <class T>
T get(const nlohmann::ordered_json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end())
    throw InternalError(std::string("the worker's plan lacks '") + key + "'");
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw InternalError(std::string("the worker's plan has a '") + key + "' of another type");
  }
}

}  // namespace

LaunchPlan parse_launch_plan(const std::string& line) {
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(line, nullptr, false);
  if (!json.is_object()) {
    throw InternalError("the worker's plan is no JSON object: '" + line.substr(0, 80) + "'",
                        "are lockstep and lockstep-worker of the same build?");
  }
  LaunchPlan plan;
  plan.name = get<std::string>(json, "name");
  plan.folder = get<std::string>(json, "folder");
  plan.run_folder = get<std::string>(json, "run_folder");
  plan.with = get<std::string>(json, "with");
  plan.device = get<std::string>(json, "device");
  plan.config_hash = get<std::string>(json, "config_hash");
  plan.config_yaml = get<std::string>(json, "config_yaml");
  plan.explain = get<std::string>(json, "explain");
  plan.nodes = get<int64_t>(json, "nodes");
  plan.ranks = get<int64_t>(json, "ranks");
  plan.ranks_per_node = get<int64_t>(json, "ranks_per_node");
  plan.threads_per_rank = get<int64_t>(json, "threads_per_rank");
  plan.steps = get<int64_t>(json, "steps");
  plan.max_restarts = get<int64_t>(json, "max_restarts");
  plan.timeout_seconds = get<double>(json, "timeout_seconds");
  if (plan.ranks < 1 || plan.nodes < 1) throw InternalError("the worker's plan has no ranks");
  json.erase("config_yaml");
  json.erase("explain");
  plan.json = json.dump(2) + "\n";
  return plan;
}

}  // namespace lockstep
