// Damaged and hostile shards: each is a DataError that names the file, before a sample is used.
#include <fstream>
#include <functional>

#include <gtest/gtest.h>
#include <hdf5.h>

#include "data/commands.h"
#include "data/datasets.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

constexpr const char* kShard = "grids-0.h5";

std::string text_of(const fs::path& path) { return read_file(path); }

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void replace_in_index(const fs::path& folder, const std::string& from, const std::string& to) {
  std::string text = text_of(folder / "dataset.json");
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from << " in " << text;
  text.replace(at, from.size(), to);
  write(folder / "dataset.json", text);
}

// Makes dataset.json agree with the changed shard: what is found then is the damage itself.
void list_again(const fs::path& folder) {
  DatasetIndex index = read_index(folder);
  index.shards.front().bytes = static_cast<int64_t>(fs::file_size(folder / kShard));
  index.shards.front().hash = hash_file(folder / kShard);
  write_index(folder, index);
}

// Opens the shard for changes by the HDF5 library, as an attacker would.
void with_hdf5(const fs::path& folder, const std::function<void(hid_t file)>& change) {
  const hid_t file = H5Fopen((folder / kShard).c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  change(file);
  H5Fclose(file);
  list_again(folder);
}

void set_text(hid_t file, const char* name, const std::string& value) {
  H5Adelete(file, name);
  const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, value.size());
  const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, value.data());
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void set_integer(hid_t file, const char* name, int64_t value) {
  H5Adelete(file, name);
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_INT64, &value);
  H5Aclose(attribute);
  H5Sclose(space);
}

// Puts another dataset in the place of `solution`.
void put_solution(hid_t file, hid_t type, std::vector<hsize_t> dims,
                  const std::function<void(hid_t plist)>& lay_out) {
  H5Ldelete(file, "solution", H5P_DEFAULT);
  const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
              plist = H5Pcreate(H5P_DATASET_CREATE);
  lay_out(plist);
  const hid_t dataset = H5Dcreate2(file, "solution", type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  if (dataset >= 0) H5Dclose(dataset);
  H5Pclose(plist);
  H5Sclose(space);
}

void chunked(hid_t plist, hsize_t rows, hsize_t columns) {
  const hsize_t chunk[] = {rows, columns};
  H5Pset_chunk(plist, 2, chunk);
}

void checksummed(hid_t plist, hsize_t rows, hsize_t columns) {
  chunked(plist, rows, columns);
  H5Pset_fletcher32(plist);
}

struct Damage {
  const char* name;
  std::function<void(const fs::path& folder)> apply;
  const char* names = kShard;  // what the message must name
};

// Twelve samples of kind `grids` in one shard.
const std::vector<Damage>& damages() {
  static const auto resize = [](const fs::path& f, double share) {
    fs::resize_file(f / kShard,
                    static_cast<uintmax_t>(static_cast<double>(fs::file_size(f / kShard)) * share));
  };
  static const auto flip = [](const fs::path& f, double where) {
    std::string bytes = text_of(f / kShard);
    bytes[static_cast<size_t>(static_cast<double>(bytes.size() - 1) * where)] ^= 4;
    write(f / kShard, bytes);
  };
  static const std::vector<Damage> all = {
      {"the shard is missing", [](const fs::path& f) { fs::remove(f / kShard); }},
      {"the shard is empty", [](const fs::path& f) { write(f / kShard, ""); }},
      {"cut in the middle", [](const fs::path& f) { resize(f, 0.5); }},
      {"cut by one byte",
       [](const fs::path& f) { fs::resize_file(f / kShard, fs::file_size(f / kShard) - 1); }},
      {"cut in the middle and listed so",
       [](const fs::path& f) {
         resize(f, 0.5);
         list_again(f);
       }},
      {"cut in the superblock and listed so",
       [](const fs::path& f) {
         fs::resize_file(f / kShard, 20);
         list_again(f);
       }},
      {"bytes appended",
       [](const fs::path& f) { write(f / kShard, text_of(f / kShard) + "more"); }},
      {"a bit flipped in the signature", [](const fs::path& f) { flip(f, 0); }},
      {"a bit flipped in the signature and listed so",
       [](const fs::path& f) {
         flip(f, 0);
         list_again(f);
       }},
      {"a bit flipped in the middle", [](const fs::path& f) { flip(f, 0.5); }},
      {"a bit flipped at the end", [](const fs::path& f) { flip(f, 1); }},
      {"text instead of HDF5",
       [](const fs::path& f) {
         write(f / kShard, "puzzle,solution\n");
         list_again(f);
       }},
      {"a folder instead of the shard",
       [](const fs::path& f) {
         fs::remove(f / kShard);
         fs::create_directory(f / kShard);
       }},
      {"attribute format missing",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { H5Adelete(h, "format"); }); }},
      {"attribute format another",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { set_text(h, "format", "other"); }); }},
      {"attribute version another",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { set_integer(h, "version", 99); }); }},
      {"attribute version as text",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { set_text(h, "version", "1"); }); }},
      {"attribute kind missing",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { H5Adelete(h, "kind"); }); }},
      {"attribute kind another",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { set_text(h, "kind", "images"); }); }},
      {"attribute samples negative",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { set_integer(h, "samples", -12); }); }},
      {"attribute samples too many",
       [](const fs::path& f) { with_hdf5(f, [](hid_t h) { set_integer(h, "samples", 13); }); }},
      {"an array missing",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) { H5Ldelete(h, "solution", H5P_DEFAULT); });
       }},
      {"a soft link",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           H5Lmove(h, "solution", h, "hidden", H5P_DEFAULT, H5P_DEFAULT);
           H5Lcreate_soft("/hidden", h, "solution", H5P_DEFAULT, H5P_DEFAULT);
         });
       }},
      {"an external link",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           H5Ldelete(h, "solution", H5P_DEFAULT);
           H5Lcreate_external("/etc/passwd", "/x", h, "solution", H5P_DEFAULT, H5P_DEFAULT);
         });
       }},
      {"an external file as storage",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {12, 81},
                        [](hid_t p) { H5Pset_external(p, "/etc/passwd", 0, 12 * 81); });
         });
       }},
      {"a virtual dataset",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {12, 81}, [](hid_t p) {
             const hsize_t dims[] = {12, 81};
             const hid_t source = H5Screate_simple(2, dims, nullptr);
             H5Pset_virtual(p, source, "/etc/passwd", "x", source);
             H5Sclose(source);
           });
         });
       }},
      {"contiguous storage",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) { put_solution(h, H5T_STD_U8LE, {12, 81}, [](hid_t) {}); });
       }},
      {"no checksum",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {12, 81}, [](hid_t p) { chunked(p, 12, 81); });
         });
       }},
      {"a filter that is not allowed",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {12, 81}, [](hid_t p) {
             checksummed(p, 12, 81);
             H5Pset_scaleoffset(p, H5Z_SO_INT, 0);
           });
         });
       }},
      {"chunks that were never written",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {12, 81}, [](hid_t p) { checksummed(p, 12, 81); });
         });
       }},
      {"another dtype",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_IEEE_F32LE, {12, 81}, [](hid_t p) { checksummed(p, 12, 81); });
         });
       }},
      {"big-endian numbers",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_I32BE, {12, 81}, [](hid_t p) { checksummed(p, 12, 81); });
         });
       }},
      {"another width",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {12, 64}, [](hid_t p) { checksummed(p, 12, 64); });
         });
       }},
      {"more rows than bytes",
       [](const fs::path& f) {
         with_hdf5(f, [](hid_t h) {
           put_solution(h, H5T_STD_U8LE, {hsize_t{1} << 40, 81},
                        [](hid_t p) { checksummed(p, 12, 81); });
         });
       }},
      {"dataset.json missing", [](const fs::path& f) { fs::remove(f / "dataset.json"); }, ""},
      {"dataset.json empty", [](const fs::path& f) { write(f / "dataset.json", ""); },
       "dataset.json"},
      {"dataset.json cut",
       [](const fs::path& f) {
         fs::resize_file(f / "dataset.json", fs::file_size(f / "dataset.json") / 2);
       },
       "dataset.json"},
      {"dataset.json is a list", [](const fs::path& f) { write(f / "dataset.json", "[1, 2]"); },
       "dataset.json"},
      {"dataset.json of another version",
       [](const fs::path& f) { replace_in_index(f, "\"version\": 1", "\"version\": 9"); },
       "dataset.json"},
      {"dataset.json with a path that leads out",
       [](const fs::path& f) { replace_in_index(f, kShard, "../../etc/passwd"); }, "dataset.json"},
      {"dataset.json with another kind",
       [](const fs::path& f) { replace_in_index(f, "\"grids\"", "\"arrays\""); }, ""},
      {"dataset.json with another count",
       [](const fs::path& f) { replace_in_index(f, "\"samples\": 12", "\"samples\": 11"); },
       "dataset.json"},
      {"a shard that is not listed",
       [](const fs::path& f) { fs::copy_file(f / kShard, f / "grids-1.h5"); }, "grids-1.h5"},
  };
  return all;
}

TEST(BrokenShards, AreAtLeastThirty) { EXPECT_GE(damages().size(), 30u); }

TEST(BrokenShards, AreEachADataErrorNamingTheFile) {
  for (const Damage& damage : damages()) {
    SCOPED_TRACE(damage.name);
    MadeFolder temporary;
    const fs::path folder = temporary / "data";
    make_grids(folder, 12);
    damage.apply(folder);
    const std::string message =
        data_error([&] { open_dataset("grids", {(folder / "*.h5").string()}); });
    EXPECT_NE(message.find(folder.string()), std::string::npos) << message;
    EXPECT_NE(message.find(damage.names), std::string::npos) << message;
    EXPECT_EQ(message.find("root:"), std::string::npos)
        << "the content of a foreign file was shown: " << message;
  }
}

TEST(BrokenShards, AGoodFolderOpensAndVerifies) {
  MadeFolder temporary;
  make_grids(temporary / "data", 12);
  EXPECT_EQ(open_dataset("grids", {(temporary / "data" / "*.h5").string()})->size(), 12);
  EXPECT_NO_THROW(verify_data((temporary / "data").string(), /*show_progress=*/false));
}

TEST(BrokenShards, AFlippedBitAnywhereIsFoundOrHarmless) {
  MadeFolder temporary;
  const fs::path folder = temporary / "data";
  make_grids(folder, 12);
  const std::string good = text_of(folder / kShard);
  const Batch expected =
      open_dataset("grids", {(folder / "*.h5").string()})->read(std::vector<int64_t>{0, 5, 11});
  int found = 0, tried = 0;
  for (size_t at = 0; at < good.size(); at += 1 + good.size() / 400) {
    std::string bytes = good;
    bytes[at] ^= static_cast<char>(1 << (at % 8));
    write(folder / kShard, bytes);
    list_again(folder);  // dataset.json's hash does not help: the file's own checks must
    ++tried;
    try {
      const Batch batch =
          open_dataset("grids", {(folder / "*.h5").string()})->read(std::vector<int64_t>{0, 5, 11});
      for (const auto& [name, array] : expected.arrays)
        EXPECT_TRUE(array.equal(batch.array(name))) << "byte " << at;
    } catch (const DataError&) {
      ++found;
    }
  }
  EXPECT_GT(found, tried / 2);
}

}  // namespace
}  // namespace lockstep
