// A batch: which samples, and their arrays.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

struct Batch {
  // Global index g of each row (design rule 1), −1 for padding; ids[i] is the sample's id.
  std::vector<int64_t> indices;
  std::vector<int64_t> ids;
  // Arrays by name as stored ("solution" u8 [B,81]), on the CPU; first dimension = rows.
  std::map<std::string, at::Tensor> arrays;

  int64_t rows() const { return static_cast<int64_t>(ids.size()); }
  // Throws DataError if the dataset has no such array.
  const at::Tensor& array(const std::string& name) const;
};

}  // namespace lockstep
