// Which steps `--profile` and log.profile_steps record.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

// Steps [begin, end), counted from 0; none if begin == end.
struct ProfileSteps {
  int64_t begin = 0, end = 0;
};

// Reads "", "N" or "A-B"; `first` is the step that the run starts from. Throws ConfigError.
ProfileSteps parse_profile_steps(const std::string& text, int64_t first);

}  // namespace lockstep
