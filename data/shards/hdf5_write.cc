#include "data/shards/hdf5_write.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/shards/dataset_index.h"
#include "data/shards/hdf5_library.h"
#include "data/shards/hdf5_types.h"

namespace lockstep {
namespace {

using hdf5::check;
using hdf5::Handle;

void write_text(hid_t file, const char* name, const std::string& value) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "making a text type");
  check(H5Tset_size(type, std::max<size_t>(value.size(), 1)), "making a text type");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "making a text type");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "making a text type");
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "making a space");
  const Handle attribute(H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                         "making an attribute");
  const std::string padded = value.empty() ? std::string(1, '\0') : value;
  check(H5Awrite(attribute, type, padded.data()), "writing an attribute");
}

void write_integer(hid_t file, const char* name, int64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "making a space");
  const Handle attribute(H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose, "making an attribute");
  check(H5Awrite(attribute, H5T_NATIVE_INT64, &value), "writing an attribute");
}

// Chunked in whole rows, checksummed, without times: H5Pset_obj_track_times would put the clock
// into the file.
Handle layout(const at::Tensor& values, const ShardContent& content) {
  Handle plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "making a layout");
  const int64_t rows = values.size(0);
  const int64_t row_bytes =
      values.nbytes() == 0 ? values.element_size() : static_cast<int64_t>(values.nbytes()) / rows;
  const int64_t fitting = std::max<int64_t>(1, content.chunk_kilobytes * 1024 / row_bytes);
  std::vector<hsize_t> chunk(values.sizes().begin(), values.sizes().end());
  chunk[0] = static_cast<hsize_t>(std::clamp<int64_t>(rows, 1, fitting));
  check(H5Pset_chunk(plist, static_cast<int>(chunk.size()), chunk.data()),
        "setting the chunk size");
  if (content.deflate > 0) {
    check(H5Pset_shuffle(plist), "setting the byte shuffle");
    check(H5Pset_deflate(plist, static_cast<unsigned>(content.deflate)), "setting the compression");
  }
  check(H5Pset_fletcher32(plist), "setting the checksum");
  check(H5Pset_obj_track_times(plist, false), "switching times off");
  return plist;
}

void write_values(hid_t file, const std::string& name, const at::Tensor& tensor,
                  at::ScalarType stored, const ShardContent& content) {
  const at::Tensor values = tensor.contiguous();
  const Handle type = hdf5::stored_type(stored);
  const std::vector<hsize_t> dims(values.sizes().begin(), values.sizes().end());
  const Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                     H5Sclose, "making a space");
  const Handle plist = layout(values, content);
  const Handle dataset(H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, plist, H5P_DEFAULT),
                       H5Dclose, "making array " + name);
  if (values.numel() > 0)
    check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.const_data_ptr()),
          "writing array " + name);
}

void check_offsets(const ArrayValues& array, int64_t samples) {
  const at::Tensor& offsets = array.offsets;
  const bool shaped = offsets.defined() && offsets.scalar_type() == at::kLong &&
                      offsets.dim() == 1 && offsets.size(0) == samples + 1 &&
                      offsets.is_contiguous();
  if (!shaped)
    throw DataError(
        fmt::format("offsets of ragged array '{}' are not i64 [{}]", array.info.name, samples + 1));
  const auto* values = offsets.const_data_ptr<int64_t>();
  if (values[0] != 0 || values[samples] != array.values.size(0) ||
      !std::is_sorted(values, values + samples + 1))
    throw DataError(fmt::format("offsets of ragged array '{}' do not rise from 0 to {}",
                                array.info.name, array.values.size(0)));
}

void check_array(const ArrayValues& array, int64_t samples) {
  const ArrayInfo& info = array.info;
  const at::Tensor& values = array.values;
  const bool agrees = values.defined() && values.device().is_cpu() &&
                      values.scalar_type() == info.dtype &&
                      values.dim() == static_cast<int64_t>(info.shape.size()) + 1 &&
                      values.sizes().slice(1) == at::IntArrayRef(info.shape) &&
                      (info.ragged || values.size(0) == samples);
  if (!agrees)
    throw DataError(fmt::format(
        "array '{}' is not declared {} [{}, {}] on the CPU", info.name, c10::toString(info.dtype),
        info.ragged ? "total" : std::to_string(samples), fmt::join(info.shape, ", ")));
  if (info.ragged) check_offsets(array, samples);
}

void write_file(const std::filesystem::path& path, const ShardContent& content) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "making file access");
  // 1.10's format has checksums on all metadata; a newer one would be unreadable for 1.10.
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "choosing the format");
  check(H5Pset_file_locking(access, false, true), "switching file locks off");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "making file creation");
  check(H5Pset_obj_track_times(creation, false), "switching times off");
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose,
              "creating the file");
  write_text(file, "format", kDatasetFormat);
  write_integer(file, "version", kDatasetVersion);
  write_text(file, "kind", content.kind);
  write_integer(file, "samples", content.samples);
  write_text(file, "made_by", content.made_by);
  for (const ArrayValues& array : content.arrays) {
    write_values(file, array.info.name, array.values, array.info.dtype, content);
    if (array.info.ragged)
      write_values(file, array.info.name + "_offsets", array.offsets, at::kUInt64, content);
  }
  check(H5Fflush(file, H5F_SCOPE_GLOBAL), "writing the file");
}

}  // namespace

void write_shard(const std::filesystem::path& path, const ShardContent& content) {
  for (const ArrayValues& array : content.arrays) check_array(array, content.samples);
  const hdf5::Library library;
  try {
    write_file(path, content);
  } catch (const DataError& error) {
    // The arrays were checked above, so what is left is the disk.
    throw EnvironmentError(fmt::format("cannot write the shard: {}", error.fact()),
                           "look at free space and permissions of the folder", {path.string()});
  }
}

}  // namespace lockstep
