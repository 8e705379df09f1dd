#include "data/shards/hdf5_structure.h"

#include <algorithm>

#include <fmt/format.h>

#include "data/shards/dataset_index.h"
#include "data/shards/hdf5_types.h"

namespace lockstep::hdf5 {
namespace {

constexpr hsize_t kMaxLinks = 512;
constexpr int kMaxRank = 9;
constexpr int64_t kMaxRowBytes = int64_t{1} << 34, kMaxChunkBytes = int64_t{1} << 32,
                  kMaxRows = int64_t{1} << 48;
constexpr uint64_t kMaxDeflateRatio = 1040;  // zlib reaches 1032

Handle open_attribute(hid_t file, const char* name) {
  const std::string missing = fmt::format("attribute '{}' is missing", name);
  if (check(H5Aexists(file, name), missing) == 0) throw DataError(missing);
  Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose, missing);
  const Handle space(H5Aget_space(attribute), H5Sclose, missing);
  if (H5Sget_simple_extent_type(space) != H5S_SCALAR)
    throw DataError(fmt::format("attribute '{}' is no single value", name));
  return attribute;
}

std::string read_text(hid_t file, const char* name) {
  const Handle attribute = open_attribute(file, name);
  const Handle type(H5Aget_type(attribute), H5Tclose, "reading an attribute");
  // Text of variable length lies in HDF5's global heap, which has no checksum.
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || H5Tget_size(type) > 1024)
    throw DataError(fmt::format("attribute '{}' is no short text of fixed length", name));
  std::string text(H5Tget_size(type), '\0');
  check(H5Aread(attribute, type, text.data()), fmt::format("reading attribute '{}'", name));
  return text.substr(0, text.find('\0'));
}

int64_t read_integer(hid_t file, const char* name) {
  const Handle attribute = open_attribute(file, name);
  const Handle type(H5Aget_type(attribute), H5Tclose, "reading an attribute");
  if (element_type(type) != at::kLong)
    throw DataError(fmt::format("attribute '{}' is no 64-bit integer", name));
  int64_t value = 0;
  check(H5Aread(attribute, H5T_NATIVE_INT64, &value), fmt::format("reading attribute '{}'", name));
  return value;
}

// True if the filters compress.
bool read_filters(hid_t plist) {
  bool checksummed = false, compressed = false;
  const int count = check(H5Pget_nfilters(plist), "reading its filters");
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0, config = 0;
    size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(plist, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, 0, nullptr, &config);
    if (filter == H5Z_FILTER_FLETCHER32)
      checksummed = true;
    else if (filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_DEFLATE)
      compressed = true;
    else
      throw DataError(fmt::format("filter {} is not allowed", static_cast<int>(filter)));
  }
  if (!checksummed) throw DataError("its chunks have no Fletcher-32 checksum");
  return compressed;
}

// Rank, sizes and chunk shape; every product is checked before it is formed.
void read_shape(hid_t dataset, hid_t space, hid_t plist, uint64_t file_bytes, StoredArray& array) {
  if (H5Sget_simple_extent_type(space) != H5S_SIMPLE) throw DataError("it is no array");
  const int rank = check(H5Sget_simple_extent_ndims(space), "reading its rank");
  if (rank < 1 || rank > kMaxRank) throw DataError(fmt::format("it has {} dimensions", rank));
  hsize_t dims[kMaxRank] = {}, chunk[kMaxRank] = {};
  check(H5Sget_simple_extent_dims(space, dims, nullptr), "reading its dimensions");
  if (H5Pget_chunk(plist, rank, chunk) != rank) throw DataError("its chunks have another rank");
  array.row_bytes = static_cast<int64_t>(c10::elementSize(array.dtype));
  for (int i = 1; i < rank; ++i) {
    if (dims[i] < 1 || dims[i] > static_cast<hsize_t>(kMaxRowBytes / array.row_bytes))
      throw DataError("its rows are empty or too large");
    if (chunk[i] != dims[i]) throw DataError("its chunks are not made of whole rows");
    array.shape.push_back(static_cast<int64_t>(dims[i]));
    array.row_bytes *= array.shape.back();
  }
  if (dims[0] > static_cast<hsize_t>(kMaxRows))
    throw DataError(fmt::format("it claims {} rows", dims[0]));
  if (chunk[0] < 1 || chunk[0] > static_cast<hsize_t>(kMaxChunkBytes / array.row_bytes))
    throw DataError("its chunks are too large");
  array.rows = static_cast<int64_t>(dims[0]);
  array.rows_per_chunk = static_cast<int64_t>(chunk[0]);
  const auto room =
      static_cast<long double>(file_bytes) * (array.compressed ? kMaxDeflateRatio : 1);
  if (static_cast<long double>(array.rows) * static_cast<long double>(array.row_bytes) > room)
    throw DataError(fmt::format("its {} rows of {} bytes do not fit into the file", array.rows,
                                array.row_bytes));
}

void read_chunks(hid_t dataset, hid_t space, uint64_t file_bytes, StoredArray& array) {
  hsize_t count = 0;
  check(H5Dget_num_chunks(dataset, space, &count), "reading its chunk table");
  if (count != static_cast<hsize_t>(array.num_chunks()))
    throw DataError(fmt::format("it has {} chunks, not {}", count, array.num_chunks()));
  array.chunks.resize(count);
  const auto plain_bytes = static_cast<hsize_t>(array.rows_per_chunk * array.row_bytes + 4);
  for (hsize_t i = 0; i < count; ++i) {
    hsize_t offset[kMaxRank] = {}, bytes = 0;
    unsigned skipped_filters = 0;
    haddr_t address = HADDR_UNDEF;
    check(H5Dget_chunk_info(dataset, space, i, offset, &skipped_filters, &address, &bytes),
          "reading its chunk table");
    const hsize_t index = offset[0] / static_cast<hsize_t>(array.rows_per_chunk);
    const bool whole_rows =
        std::all_of(offset + 1, offset + kMaxRank, [](hsize_t o) { return o == 0; });
    const bool inside = address != HADDR_UNDEF && bytes > 4 && address <= file_bytes &&
                        bytes <= file_bytes - address;
    if (index >= count || !whole_rows || !inside || skipped_filters != 0 ||
        array.chunks[index].bytes != 0 || (!array.compressed && bytes != plain_bytes))
      throw DataError(fmt::format("chunk {} lies outside the file, twice, or has another size", i));
    array.chunks[index] = {address, bytes};
  }
}

StoredArray read_array(hid_t file, const std::string& name, uint64_t file_bytes) {
  const Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, "it is no dataset");
  const Handle plist(H5Dget_create_plist(dataset), H5Pclose, "reading its layout");
  const H5D_layout_t layout = H5Pget_layout(plist);
  if (layout == H5D_VIRTUAL) throw DataError("it is a virtual dataset, which may read other files");
  if (H5Pget_external_count(plist) != 0) throw DataError("its values lie in an external file");
  if (layout != H5D_CHUNKED) throw DataError("it is not chunked");
  StoredArray array;
  array.name = name;
  array.compressed = read_filters(plist);
  const Handle type(H5Dget_type(dataset), H5Tclose, "reading its type");
  const auto dtype = element_type(type);
  if (!dtype) throw DataError("its elements are none of u8 … f64, little-endian");
  array.dtype = *dtype;
  const Handle space(H5Dget_space(dataset), H5Sclose, "reading its shape");
  read_shape(dataset, space, plist, file_bytes, array);
  read_chunks(dataset, space, file_bytes, array);
  return array;
}

// Two chunks that share bytes: one of them is not what was written.
void refuse_overlaps(const std::vector<StoredArray>& arrays) {
  std::vector<StoredArray::Chunk> all;
  for (const StoredArray& array : arrays)
    all.insert(all.end(), array.chunks.begin(), array.chunks.end());
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.address < b.address; });
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i - 1].address + all[i - 1].bytes > all[i].address)
      throw DataError("two chunks overlap");
}

std::string link_name(hid_t file, hsize_t index) {
  const ssize_t length =
      H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, index, nullptr, 0, H5P_DEFAULT);
  if (length < 1 || length > 256) throw DataError("a link in the file has no usable name");
  std::string name(static_cast<size_t>(length) + 1, '\0');
  check(H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, index, name.data(), name.size(),
                           H5P_DEFAULT),
        "reading a link");
  name.resize(static_cast<size_t>(length));
  return name;
}

}  // namespace

ShardStructure read_structure(hid_t file, uint64_t file_bytes) {
  const Handle creation(H5Fget_create_plist(file), H5Pclose, "reading the file's properties");
  hsize_t user_block = 1;
  check(H5Pget_userblock(creation, &user_block), "reading the file's properties");
  if (user_block != 0) throw DataError("the file has a user block");
  ShardStructure shard;
  if (read_text(file, "format") != kDatasetFormat)
    throw DataError(fmt::format("attribute 'format' is not {}", kDatasetFormat));
  if (const int64_t version = read_integer(file, "version"); version != kDatasetVersion)
    throw DataError(fmt::format("shard version {} is not {}", version, kDatasetVersion));
  shard.kind = read_text(file, "kind");
  shard.made_by = read_text(file, "made_by");
  shard.samples = read_integer(file, "samples");
  if (shard.samples < 1) throw DataError(fmt::format("attribute 'samples' is {}", shard.samples));
  H5G_info_t group{};
  check(H5Gget_info(file, &group), "reading the root group");
  if (group.nlinks > kMaxLinks) throw DataError(fmt::format("the file has {} links", group.nlinks));
  for (hsize_t i = 0; i < group.nlinks; ++i) {
    const std::string name = link_name(file, i);
    H5L_info_t link{};
    check(H5Lget_info_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, &link, H5P_DEFAULT),
          "reading a link");
    if (link.type != H5L_TYPE_HARD)
      throw DataError(fmt::format("'{}' is a soft or external link", name));
    shard.arrays.push_back(with_context(fmt::format("reading array '{}'", name),
                                        [&] { return read_array(file, name, file_bytes); }));
  }
  refuse_overlaps(shard.arrays);
  return shard;
}

}  // namespace lockstep::hdf5
