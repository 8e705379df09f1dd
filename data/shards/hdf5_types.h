// Element types as HDF5 stores them: little-endian, two's complement, IEEE. For data/hdf5_*.cc.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include "data/shards/hdf5_library.h"

namespace lockstep::hdf5 {

// The stored type of an element type; u64 too, which only offsets use. Throws DataError for others.
Handle stored_type(at::ScalarType dtype);
// The element type that `type` stores, if it is exactly one of those.
std::optional<at::ScalarType> element_type(hid_t type);

}  // namespace lockstep::hdf5
