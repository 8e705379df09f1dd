#include "data/shards/hdf5_shard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "data/shards/fletcher32.h"
#include "data/shards/hdf5_library.h"
#include "data/shards/hdf5_structure.h"

namespace lockstep {
namespace {

const char* const kDamagedShardHelp =
    "the shard is damaged or was made by something else; make, convert or copy the dataset again";

// Errors below know what is wrong; this adds where, and what to do.
template <class Body>
auto at_file(const std::filesystem::path& path, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const DataError& error) {
    DataError placed(error.fact(), error.help().empty() ? kDamagedShardHelp : error.help(),
                     {path.string()});
    for (const std::string& context : error.context()) placed.add_context(context);
    throw placed;
  }
}

}  // namespace

struct ShardFile::State {
  std::filesystem::path path;
  int descriptor = -1;
  hdf5::Handle file;  // open only if some array is compressed
  hdf5::ShardStructure structure;

  ~State() {
    if (descriptor >= 0) ::close(descriptor);
    if (file >= 0) {
      const hdf5::Library library;
      file.reset();
    }
  }

  uint64_t open_descriptor() {
    // O_NONBLOCK: a pipe with a shard's name must not hang us.
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
      throw DataError(fmt::format("cannot open the shard: {}", std::strerror(errno)));
    struct stat status{};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
      throw DataError("the shard is no regular file");
    return static_cast<uint64_t>(status.st_size);
  }

  void open() {
    const uint64_t bytes = open_descriptor();
    const hdf5::Library library;
    const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "making file access");
    // Locks fail on network file systems, and readers need none: shards never change.
    hdf5::check(H5Pset_file_locking(access, false, true), "switching file locks off");
    hdf5::Handle opened(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose,
                        "this is no readable HDF5 file");
    structure = hdf5::read_structure(opened, bytes);
    bool compressed = false;
    for (const StoredArray& array : structure.arrays) compressed |= array.compressed;
    if (compressed) file = std::move(opened);
  }

  // Reads exactly chunk.bytes bytes and checks their last four.
  std::vector<uint8_t> read_plain(const StoredArray::Chunk& chunk) const {
    std::vector<uint8_t> bytes(chunk.bytes);
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(descriptor, bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(chunk.address + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw DataError(fmt::format("reading failed: {}", std::strerror(errno)));
      if (got == 0)
        throw DataError("the shard ends in the middle of a chunk: it was cut short while in use");
      done += static_cast<size_t>(got);
    }
    const size_t size = bytes.size() - 4;
    const uint8_t* end = bytes.data() + size;
    const uint32_t stored =
        end[0] | uint32_t{end[1]} << 8 | uint32_t{end[2]} << 16 | uint32_t{end[3]} << 24;
    if (fletcher32(bytes.data(), size) != stored)
      throw DataError("the checksum of a chunk is wrong");
    bytes.resize(size);
    return bytes;
  }

  std::vector<uint8_t> read_compressed(const StoredArray& array, int64_t chunk) const {
    std::vector<uint8_t> bytes(static_cast<size_t>(array.rows_per_chunk * array.row_bytes));
    const hdf5::Library library;
    const hdf5::Handle dataset(H5Dopen2(file, array.name.c_str(), H5P_DEFAULT), H5Dclose,
                               "opening an array");
    const hdf5::Handle type(H5Dget_type(dataset), H5Tclose, "reading a type");
    const hdf5::Handle space(H5Dget_space(dataset), H5Sclose, "reading a shape");
    std::vector<hsize_t> start(array.shape.size() + 1, 0),
        count(array.shape.begin(), array.shape.end());
    start[0] = static_cast<hsize_t>(chunk * array.rows_per_chunk);
    count.insert(count.begin(),
                 static_cast<hsize_t>(
                     std::min(array.rows_per_chunk, array.rows - chunk * array.rows_per_chunk)));
    hdf5::check(
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
        "selecting a chunk");
    const hdf5::Handle memory(
        H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose,
        "making a space");
    hdf5::check(H5Dread(dataset, type, memory, space, H5P_DEFAULT, bytes.data()),
                "reading a compressed chunk failed");
    return bytes;
  }
};

ShardFile::ShardFile(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  at_file(path, [&] { state_->open(); });
}

ShardFile::~ShardFile() = default;

const std::filesystem::path& ShardFile::path() const { return state_->path; }
const std::string& ShardFile::kind() const { return state_->structure.kind; }
const std::string& ShardFile::made_by() const { return state_->structure.made_by; }
int64_t ShardFile::samples() const { return state_->structure.samples; }
const std::vector<StoredArray>& ShardFile::arrays() const { return state_->structure.arrays; }

const StoredArray* ShardFile::find(const std::string& name) const {
  for (const StoredArray& array : arrays())
    if (array.name == name) return &array;
  return nullptr;
}

std::vector<uint8_t> ShardFile::read_chunk(const StoredArray& array, int64_t chunk) const {
  return at_file(path(), [&] {
    return with_context(fmt::format("reading chunk {} of array '{}'", chunk, array.name), [&] {
      if (array.compressed) return state_->read_compressed(array, chunk);
      return state_->read_plain(array.chunks[static_cast<size_t>(chunk)]);
    });
  });
}

void ShardFile::read_all(const StoredArray& array, uint8_t* out) const {
  for (int64_t chunk = 0; chunk < array.num_chunks(); ++chunk) {
    const int64_t first = chunk * array.rows_per_chunk;
    const std::vector<uint8_t> bytes = read_chunk(array, chunk);
    const int64_t rows = std::min(array.rows_per_chunk, array.rows - first);
    std::memcpy(out + first * array.row_bytes, bytes.data(),
                static_cast<size_t>(rows * array.row_bytes));
  }
}

}  // namespace lockstep
