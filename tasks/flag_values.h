// Values of `lockstep sample` flags: checked text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/errors.h"
#include "tasks/task.h"

namespace lockstep {

inline Place on_command_line(const std::string& words) { return {"command line", 1, 1, words}; }

// The flag's number between `low` and `high`, or `otherwise` without it. Throws ConfigError.
double number_flag(const SampleRequest& request, const std::string& flag, double low, double high,
                   double otherwise);
// The same for whole numbers.
int64_t whole_flag(const SampleRequest& request, const std::string& flag, int64_t low, int64_t high,
                   int64_t otherwise);
// The flag's numbers, separated by commas; {} without it. Throws ConfigError.
std::vector<double> number_list_flag(const SampleRequest& request, const std::string& flag,
                                     double low, double high);
std::vector<int64_t> whole_list_flag(const SampleRequest& request, const std::string& flag,
                                     int64_t low, int64_t high);

}  // namespace lockstep
