#include "tensor/range.h"

#include "tensor/cuda_parts.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {
namespace {

const tensor::CudaParts& parts() {
  return *static_cast<const tensor::CudaParts*>(cuda_parts_of("tensor"));
}

}  // namespace

DeviceRange::DeviceRange(const char* name, bool on) : on_(on && cuda_plugin_is_open()) {
  if (on_) parts().push_range(name);
}

DeviceRange::~DeviceRange() {
  if (on_) parts().pop_range();
}

}  // namespace lockstep
