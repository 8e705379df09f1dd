// Safetensors files: tensors by name, nothing executable.
//
// Layout and every check on reading: docs/formats.md and github.com/huggingface/safetensors
// (README, "Format"). A file from outside is hostile until checked: header length, JSON depth,
// duplicate keys, dtype, negative or overflowing shapes, offsets out of order, holes, overlaps,
// trailing bytes are all DataError naming file and tensor (or the header's byte).
// Dtypes: BOOL U8 I8 U16 I16 U32 I32 U64 I64 F16 BF16 F32 F64. Little-endian machines only.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
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

// An open file. Tensors are read with pread, not mapped: a file that shrinks while it is open is a
// DataError on load, not a SIGBUS. Copies share the descriptor; load() may run on several threads.
class SafetensorsFile {
 public:
  // Reads and checks the header. Throws DataError.
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return path_; }
  // In file order.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }
  const TensorInfo* find(const std::string& name) const;
  // A copy on the CPU, contiguous. Throws DataError if there is no such tensor, if the file has
  // become shorter, or if a BOOL byte is neither 0 nor 1.
  at::Tensor load(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const int> descriptor_;  // closed with the last copy
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;  // name → index in tensors_
  Metadata metadata_;
  size_t data_begin_ = 0;
};

// All tensors, in file order.
NamedTensors load_safetensors(const std::filesystem::path& path);

// Writes (not atomically: callers use write_atomic or a checkpoint folder), the same tensors the
// same bytes. Wide dtypes come first, so that every tensor is aligned to its element (Python
// readers need that, and the format forbids padding between tensors); within one element size the
// given order stays. CPU or GPU tensors of any strides. Throws DataError for dtypes that the format
// lacks and for names given twice, EnvironmentError on I/O.
void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                      const Metadata& metadata = {});

// `tensor` as float32 or int64 with the given shape (-1 = any length), for command-line inputs:
// int8/16/32 and uint8 widen to int64; anything else, or another shape, is a DataError naming
// file, tensor and both shapes.
at::Tensor expect_float(const NamedTensors& inputs, const std::string& name,
                        const std::vector<int64_t>& shape);
at::Tensor expect_integer(const NamedTensors& inputs, const std::string& name,
                          const std::vector<int64_t>& shape);
// Throws DataError if `inputs` has a name that is not in `known`.
void refuse_unknown(const NamedTensors& inputs, const std::vector<std::string>& known);

}  // namespace lockstep
