#include "data/shards/hdf5_types.h"

#include <fmt/format.h>

namespace lockstep::hdf5 {
namespace {

constexpr at::ScalarType kTypes[] = {at::kByte, at::kChar,   at::kShort,  at::kInt,
                                     at::kLong, at::kUInt16, at::kUInt32, at::kUInt64,
                                     at::kHalf, at::kFloat,  at::kDouble};

// HDF5 1.10 has no half precision by name: sign bit 15, exponent 10–14, mantissa 0–9, bias 15.
Handle half_type() {
  Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "copying a type");
  check(H5Tset_fields(type, 15, 10, 5, 0, 10), "making half precision");
  check(H5Tset_size(type, 2), "making half precision");
  check(H5Tset_ebias(type, 15), "making half precision");
  return type;
}

hid_t named_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kByte:
      return H5T_STD_U8LE;
    case at::kChar:
      return H5T_STD_I8LE;
    case at::kShort:
      return H5T_STD_I16LE;
    case at::kInt:
      return H5T_STD_I32LE;
    case at::kLong:
      return H5T_STD_I64LE;
    case at::kUInt16:
      return H5T_STD_U16LE;
    case at::kUInt32:
      return H5T_STD_U32LE;
    case at::kUInt64:
      return H5T_STD_U64LE;
    case at::kFloat:
      return H5T_IEEE_F32LE;
    case at::kDouble:
      return H5T_IEEE_F64LE;
    default:
      throw DataError(fmt::format("shards cannot hold elements of type {}", c10::toString(dtype)));
  }
}

}  // namespace

Handle stored_type(at::ScalarType dtype) {
  if (dtype == at::kHalf) return half_type();
  return Handle(H5Tcopy(named_type(dtype)), H5Tclose, "copying a type");
}

std::optional<at::ScalarType> element_type(hid_t type) {
  for (const at::ScalarType dtype : kTypes)
    if (H5Tequal(type, stored_type(dtype)) > 0) return dtype;
  return std::nullopt;
}

}  // namespace lockstep::hdf5
