// What `lockstep sample` asks of a task.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/config/fields.h"
#include "models/model.h"

namespace lockstep {

// A flag of `lockstep sample` that a task understands, beside the common ones of SampleRequest.
struct SampleFlag {
  std::string name;  // with dashes
  bool has_value = false;
};

// What `lockstep sample RUN …` asks for.
struct SampleRequest {
  std::string output;  // --output: a file or folder; "" = none
  int64_t count = 8;   // --count: samples to draw
  uint64_t seed = 17;
  Choice sampler;  // the config's `sampler` section
  // How the pictures of data.train were made: `recipe` of its dataset.json, "" if it is not there.
  // May be empty.
  std::function<std::string()> recipe;
  std::map<std::string, std::string> flags;        // of Task::sample_flags(), as given
  std::function<void(const std::string&)> result;  // called with each line for stdout, in order
  // Runs work(model, i) for i in [0, n) on the command's threads, each with a replica of its own,
  // gradients off and precision.compute in force; returns when all are done.
  using Work = std::function<void(Model& model, int64_t i)>;
  std::function<void(int64_t n, const Work& work)> for_each;

  bool has(const std::string& flag) const { return flags.contains(flag); }
  // The flag's value, or "".
  std::string value(const std::string& flag) const {
    return has(flag) ? flags.at(flag) : std::string();
  }
};

}  // namespace lockstep
