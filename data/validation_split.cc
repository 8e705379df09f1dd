#include "data/validation_split.h"

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/philox.h"

namespace lockstep {

bool is_held_out(int64_t index, double share) {
  if (share <= 0) return false;
  static const Stream stream(0, Purpose::kSplit);
  return stream.uniform(static_cast<uint64_t>(index), 0, 0) < share;
}

std::vector<std::string> split_prefixes(const std::string& prefix, double share) {
  if (!is_safe_relative(prefix) || prefix.find('/') != std::string::npos || prefix.starts_with('.'))
    throw ConfigError("prefix '" + prefix + "' is not a plain file name",
                      "use letters, digits, '.', '_' and '-'");
  if (share <= 0) return {prefix};
  if (prefix == kHeldOutPrefix)
    throw ConfigError("prefix=validation and validation=SHARE would write the same files",
                      "leave prefix out: a share goes to validation-*.h5, the rest to train-*.h5");
  return {prefix, kHeldOutPrefix};
}

void check_split(int64_t kept, int64_t held_out, double share, const std::string& source) {
  if (share > 0 && (kept == 0 || held_out == 0))
    throw DataError(
        fmt::format("all {} samples fell on one side of validation={}", kept + held_out, share),
        "give a share nearer to 0.5, or convert held-out data with prefix=validation", {source});
}

}  // namespace lockstep
