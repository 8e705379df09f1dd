#include "data/batch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/errors.h"

namespace lockstep {

const at::Tensor& Batch::array(const std::string& name) const {
  const auto found = arrays.find(name);
  if (found != arrays.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& entry : arrays) names.push_back(entry.first);
  throw DataError(fmt::format("the dataset has no array '{}'", name),
                  fmt::format("its arrays are: {}", fmt::join(names, ", ")));
}

}  // namespace lockstep
