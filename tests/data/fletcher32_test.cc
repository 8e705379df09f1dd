#include "data/shards/fletcher32.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <hdf5.h>

#include "core/philox.h"

namespace lockstep {
namespace {

// HDF5's own filter on one chunk in a file in memory: the last four bytes of the raw chunk.
uint32_t checksum_by_hdf5(const std::vector<uint8_t>& bytes) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fapl_core(access, 1 << 20, false);
  const hid_t file = H5Fcreate("fletcher32_test.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
  const hsize_t size = bytes.size();
  const hid_t space = H5Screate_simple(1, &size, nullptr), plist = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(plist, 1, &size);
  H5Pset_fletcher32(plist);
  const hid_t dataset = H5Dcreate2(file, "a", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  H5Dwrite(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
  H5Dflush(dataset);
  std::vector<uint8_t> raw(bytes.size() + 4);
  const hsize_t offset = 0;
  uint32_t mask = 0;
  EXPECT_GE(H5Dread_chunk(dataset, H5P_DEFAULT, &offset, &mask, raw.data()), 0);
  uint32_t checksum = 0;
  std::memcpy(&checksum, raw.data() + bytes.size(), 4);
  H5Dclose(dataset);
  H5Pclose(plist);
  H5Sclose(space);
  H5Fclose(file);
  H5Pclose(access);
  return checksum;
}

TEST(Fletcher32, GivesThePublishedValue) {
  // The usual example, in big-endian words: "abcd" = 0x6162, 0x6364.
  EXPECT_EQ(fletcher32("abcd", 4), (0x6162u + 0x6162u + 0x6364u) % 65535 << 16 | 0xC4C6u);
  EXPECT_EQ(fletcher32("", 0), 0u);
}

TEST(Fletcher32, AgreesWithHdf5) {
  const Stream stream(1, Purpose::kTest);
  for (const size_t size : {1u, 2u, 3u, 4u, 719u, 720u, 721u, 1000u, 65536u, 100001u}) {
    std::vector<uint8_t> random(size), ones(size, 0xFF), zeros(size, 0);
    for (size_t i = 0; i < size; ++i) random[i] = static_cast<uint8_t>(stream.bits(size, 0, i));
    EXPECT_EQ(fletcher32(random.data(), size), checksum_by_hdf5(random)) << size;
    EXPECT_EQ(fletcher32(ones.data(), size), checksum_by_hdf5(ones)) << size;
    EXPECT_EQ(fletcher32(zeros.data(), size), checksum_by_hdf5(zeros)) << size;
  }
}

TEST(Fletcher32, FindsEveryFlippedBit) {
  std::vector<uint8_t> bytes(64, 0x5A);
  const uint32_t good = fletcher32(bytes.data(), bytes.size());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_NE(fletcher32(bytes.data(), bytes.size()), good) << bit;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace lockstep
