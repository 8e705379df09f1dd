// Safetensors files: tensors by name, nothing executable.
//
// Layout and every check on reading: docs/formats.md and github.com/huggingface/safetensors
// (README, "Format"). A file from outside is hostile until checked: header length, JSON depth,
// duplicate keys, dtype, negative or overflowing shapes, offsets out of order, holes, overlaps,
// trailing bytes are all DataError naming file and tensor.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tensor/named.h"

namespace lockstep {

using Metadata = std::map<std::string, std::string>;

struct TensorInfo {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  size_t begin = 0, end = 0;  // byte range in the data part
};

// An open file, mapped read-only. A file that shrinks while it is open is a DataError on load,
// not a SIGBUS.
class SafetensorsFile {
 public:
  // Reads and checks the header. Throws DataError.
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return path_; }
  // In file order.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }
  const TensorInfo* find(const std::string& name) const;
  // A copy on the CPU, contiguous. Throws DataError if there is no such tensor.
  at::Tensor load(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::vector<TensorInfo> tensors_;
  Metadata metadata_;
  size_t data_begin_ = 0;
};

// All tensors, in file order.
NamedTensors load_safetensors(const std::filesystem::path& path);

// Writes (not atomically: callers use write_atomic or a checkpoint folder) with tensors in the
// given order padded as the format asks; the same tensors give the same bytes. CPU or GPU tensors
// of any layout. Throws DataError for dtypes that the format lacks, EnvironmentError on I/O.
void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata = {});

// `tensor` as float32 or int64 with the given shape (-1 = any length), for command-line inputs:
// int8/16/32 and uint8 widen to int64; anything else, or another shape, is a DataError naming
// file, tensor and both shapes.
at::Tensor expect_float(const NamedTensors& inputs, const std::string& name, const std::vector<int64_t>& shape);
at::Tensor expect_integer(const NamedTensors& inputs, const std::string& name, const std::vector<int64_t>& shape);
// Throws DataError if `inputs` has a name that is not in `known`.
void refuse_unknown(const NamedTensors& inputs, const std::vector<std::string>& known);

}  // namespace lockstep
