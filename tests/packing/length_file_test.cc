#include "packing/length_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "core/errors.h"

namespace lockstep {
namespace {

std::vector<int32_t> lines(const std::string& text, int threads = 1) {
  return parse_length_lines(text, "L.txt", 100, threads);
}

std::string message_of(const std::string& text) {
  try {
    lines(text, 4);
  } catch (const DataError& error) {
    return error.message();
  }
  return "no error";
}

// A version 1 .npy file as numpy writes it.
std::string npy(const std::string& descr, const std::string& shape, const std::string& data,
                const std::string& order = "False") {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xFF);
  out += static_cast<char>(header.size() >> 8);
  return out + header + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string out(values.size() * sizeof(T), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

std::vector<int32_t> read_npy(const std::string& bytes) {
  return parse_npy_lengths(bytes, "L.npy", 100, 2);
}

TEST(LengthLines, AreWholeNumbersOneALine) {
  EXPECT_EQ(lines("1\n100\n7"), (std::vector<int32_t>{1, 100, 7}));
  EXPECT_EQ(lines("5\r\n6\r\n"), (std::vector<int32_t>{5, 6}));
  std::string many;
  std::vector<int32_t> expected;
  for (int i = 0; i < 100'000; ++i) {
    expected.push_back(i % 100 + 1);
    many += std::to_string(expected.back()) + "\n";
  }
  EXPECT_EQ(lines(many, 4), expected);
}

TEST(LengthLines, ThatAreWrongAreNamed) {
  for (const char* line : {"0", "-3", "101", "x", "1.5", "", "99999999999999999999"}) {
    const std::string said = message_of("4\n" + std::string(line) + "\n5\n");
    EXPECT_NE(said.find("L.txt:2"), std::string::npos) << line << ": " << said;
  }
}

TEST(NpyLengths, AreReadInEveryIntegerType) {
  const std::vector<int32_t> expected{1, 100, 7};
  EXPECT_EQ(read_npy(npy("<i4", "(3,)", bytes_of<int32_t>({1, 100, 7}))), expected);
  EXPECT_EQ(read_npy(npy("<i8", "(3,)", bytes_of<int64_t>({1, 100, 7}))), expected);
  EXPECT_EQ(read_npy(npy("<u2", "(3,)", bytes_of<uint16_t>({1, 100, 7}))), expected);
  EXPECT_EQ(read_npy(npy("<u4", "(3,)", bytes_of<uint32_t>({1, 100, 7}))), expected);
  EXPECT_EQ(read_npy(npy("<u8", "(3,)", bytes_of<uint64_t>({1, 100, 7}))), expected);
  EXPECT_EQ(read_npy(npy(">i4", "(1,)", std::string("\0\0\0\x07", 4))), (std::vector<int32_t>{7}));
}

TEST(NpyLengths, ThatAreNoListOfLengthsAreRefused) {
  const std::string good = bytes_of<int32_t>({1, 2});
  for (const std::string& bytes :
       {npy("<f4", "(2,)", good), npy("<i4", "(2, 1)", good), npy("<i4", "(3,)", good),
        npy("<i4", "(1,)", good), npy("<i4", "(-2,)", good), npy("|O", "(2,)", good),
        npy("<i4", "(9999999999999,)", good), npy("<i4", "(2,)", bytes_of<int32_t>({1, 101})),
        npy("<i4", "(2,)", bytes_of<int32_t>({0, 1})), std::string("PK\x03\x04"), std::string()})
    EXPECT_THROW(read_npy(bytes), DataError);
  const std::string whole = npy("<i4", "(2,)", good);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(read_npy(whole.substr(0, size)), DataError) << size;
}

}  // namespace
}  // namespace lockstep
