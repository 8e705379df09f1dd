#include "tensor/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <system_error>

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "tensor/dtypes.h"
#include "tensor/safetensors_header.h"

namespace lockstep {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr size_t kLengthBytes = 8;

std::string reason(int problem) { return std::generic_category().message(problem); }

// O_NONBLOCK: a FIFO must not make us wait before fstat refuses it.
std::shared_ptr<const int> open_for_reading(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw DataError(fmt::format("cannot read '{}': {}", path.string(), reason(errno)));
  return {new int(file), [](const int* p) {
            ::close(*p);
            delete p;
          }};
}

void read_at(int file, void* into, size_t size, size_t offset, const std::string& path) {
  auto* out = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t got =
        ::pread(file, out, std::min(size, size_t{1} << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw DataError(fmt::format("cannot read '{}': {}", path, reason(errno)));
    if (got == 0) throw DataError(fmt::format("'{}' has become shorter while it was read", path));
    out += got;
    offset += static_cast<size_t>(got);
    size -= static_cast<size_t>(got);
  }
}

void write_all(int file, const void* data, size_t size, const std::filesystem::path& path) {
  const auto* from = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::write(file, from, std::min(size, size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      throw EnvironmentError(
          fmt::format("cannot write '{}': {}", path.string(), reason(errno)),
          errno == ENOSPC ? "the disk is full: free some space, or write to another folder" : "");
    from += done;
    size -= static_cast<size_t>(done);
  }
}

// The header of `tensors`, and in which order they are stored.
SafetensorsHeader lay_out(const NamedTensors& tensors, const Metadata& metadata,
                          std::vector<size_t>& order) {
  order.resize(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (const NamedTensor& entry : tensors) {
    if (!entry.tensor.defined())
      throw InternalError("tensor '" + entry.name + "' to be saved is undefined");
    if (find_dtype(entry.tensor.scalar_type()) == nullptr || entry.tensor.layout() != at::kStrided)
      throw DataError(fmt::format("tensor '{}' of dtype {} cannot be saved as safetensors",
                                  entry.name, c10::toString(entry.tensor.scalar_type())));
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return tensors[a].tensor.element_size() > tensors[b].tensor.element_size();
  });
  SafetensorsHeader header{{}, metadata};
  std::map<std::string, int> names;
  size_t at = 0;
  for (const size_t i : order) {
    const auto& [name, tensor] = tensors[i];
    if (name == "__metadata__" || names[name]++ > 0)
      throw DataError(fmt::format("two tensors to be saved are called '{}'", name));
    const size_t bytes =
        static_cast<size_t>(tensor.numel()) * static_cast<size_t>(tensor.element_size());
    header.tensors.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), at, at + bytes});
    at += bytes;
  }
  return header;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), descriptor_(open_for_reading(path)) {
  const std::string name = path.string();
  struct stat info{};
  if (::fstat(*descriptor_, &info) != 0)
    throw DataError(fmt::format("cannot read '{}': {}", name, reason(errno)));
  if (!S_ISREG(info.st_mode)) throw DataError(fmt::format("'{}' is no regular file", name));
  const auto file_bytes = static_cast<size_t>(info.st_size);
  if (file_bytes < kLengthBytes)
    throw DataError(fmt::format("'{}' is no safetensors file: {} bytes", name, file_bytes));
  uint64_t header_bytes = 0;
  read_at(*descriptor_, &header_bytes, kLengthBytes, 0, name);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file_bytes - kLengthBytes)
    throw DataError(
        fmt::format("'{}': a header of {} bytes does not fit a file of {} bytes (limit {})", name,
                    header_bytes, file_bytes, kMaxHeaderBytes),
        "the file is cut off, or no safetensors file");
  std::string json(header_bytes, '\0');
  read_at(*descriptor_, json.data(), json.size(), kLengthBytes, name);
  data_begin_ = kLengthBytes + header_bytes;
  SafetensorsHeader header = parse_safetensors_header(json, file_bytes - data_begin_, name);
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

const TensorInfo* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

at::Tensor SafetensorsFile::load(const std::string& name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr)
    throw DataError(fmt::format("'{}' has no tensor '{}'", path_.string(), name));
  at::Tensor tensor = at::empty(info->shape, at::TensorOptions().dtype(info->dtype));
  const size_t bytes = info->end - info->begin;
  read_at(*descriptor_, tensor.data_ptr(), bytes, data_begin_ + info->begin, path_.string());
  if (info->dtype == at::kBool) {
    const auto* values = static_cast<const unsigned char*>(tensor.data_ptr());
    if (std::any_of(values, values + bytes, [](unsigned char value) { return value > 1; }))
      throw DataError(fmt::format("'{}': tensor '{}' of dtype BOOL has a byte other than 0 and 1",
                                  path_.string(), name));
  }
  return tensor;
}

NamedTensors load_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  NamedTensors out;
  out.reserve(file.tensors().size());
  for (const TensorInfo& info : file.tensors()) out.push_back({info.name, file.load(info.name)});
  return out;
}

void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                      const Metadata& metadata) {
  std::vector<size_t> order;
  const std::string json = write_safetensors_header(lay_out(tensors, metadata, order));
  if (json.size() > kMaxHeaderBytes)
    throw DataError("the names of the tensors to be saved need a header of more than 100 MB");
  const int opened = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (opened < 0)
    throw EnvironmentError(fmt::format("cannot create '{}': {}", path.string(), reason(errno)));
  std::unique_ptr<const int, void (*)(const int*)> file(&opened, [](const int* p) { ::close(*p); });
  const uint64_t header_bytes = json.size();
  write_all(opened, &header_bytes, kLengthBytes, path);
  write_all(opened, json.data(), json.size(), path);
  for (const size_t i : order) {
    const at::Tensor tensor = tensors[i].tensor.detach().cpu().contiguous();
    write_all(opened, tensor.data_ptr(), tensor.nbytes(), path);
  }
  file.release();
  if (::close(opened) != 0)
    throw EnvironmentError(
        fmt::format("cannot write '{}': {}", path.string(), reason(errno)),
        errno == ENOSPC || errno == EDQUOT ? "the disk is full: free some space" : "");
}

}  // namespace lockstep
