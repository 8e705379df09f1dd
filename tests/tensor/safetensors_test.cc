#include "tensor/safetensors.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "tests/core/temporary_folder.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

const char* const kGolden = LOCKSTEP_SOURCE_DIR "/tests/tensor/golden/golden.safetensors";

// The tensors of golden/make_safetensors.py.
NamedTensors golden_tensors() {
  const auto make = [](at::ScalarType dtype, std::vector<int64_t> shape, auto values) {
    at::Tensor out = at::empty(shape, at::TensorOptions().dtype(dtype));
    TORCH_CHECK(out.nbytes() == values.size() * sizeof(values[0]));
    if (!values.empty()) std::memcpy(out.data_ptr(), values.data(), out.nbytes());
    return out;
  };
  return {
      {"bool", make(at::kBool, {1, 3}, std::vector<uint8_t>{1, 0, 1})},
      {"u8", make(at::kByte, {6}, std::vector<uint8_t>{250, 251, 252, 253, 254, 255})},
      {"i8", make(at::kChar, {2}, std::vector<int8_t>{-128, 127})},
      {"u16", make(at::kUInt16, {2}, std::vector<uint16_t>{65535, 1})},
      {"i16", make(at::kShort, {1}, std::vector<int16_t>{-32768})},
      {"u32", make(at::kUInt32, {1}, std::vector<uint32_t>{4294967295u})},
      {"i32", make(at::kInt, {2, 1}, std::vector<int32_t>{std::numeric_limits<int32_t>::min(), 7})},
      {"u64", make(at::kUInt64, {1}, std::vector<uint64_t>{9223372036854775807ull})},
      {"i64", make(at::kLong, {2}, std::vector<int64_t>{std::numeric_limits<int64_t>::min(), 3})},
      {"f16", make(at::kHalf, {2}, std::vector<uint16_t>{0x3800, 0xFBFF})},
      {"bf16", make(at::kBFloat16, {2}, std::vector<uint16_t>{0x3FC0, 0xFF62})},
      {"f32", make(at::kFloat, {1, 2, 1}, std::vector<float>{0.1f, -1e-45f})},
      {"f64", make(at::kDouble, {2}, std::vector<double>{1.0 / 3, 5e-324})},
      {"scalar", make(at::kFloat, {}, std::vector<float>{2.5f})},
      {"empty", make(at::kFloat, {0, 3}, std::vector<float>{})},
      {"n\xC3\xA4me/ \"quoted\"", make(at::kLong, {1}, std::vector<int64_t>{1})},
  };
}

void expect_same_bytes(const at::Tensor& got, const at::Tensor& want, const std::string& name) {
  ASSERT_EQ(got.scalar_type(), want.scalar_type()) << name;
  ASSERT_EQ(got.sizes(), want.sizes()) << name;
  const at::Tensor a = got.contiguous(), b = want.contiguous();
  EXPECT_TRUE(a.nbytes() == 0 || std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0) << name;
}

class Safetensors : public TemporaryFolder {
 protected:
  // A file with this header and this many bytes of data.
  std::filesystem::path craft(const std::string& header, size_t data_bytes,
                              std::optional<uint64_t> length = {}) const {
    const uint64_t header_bytes = length.value_or(header.size());
    return write("crafted.safetensors",
                 std::string(reinterpret_cast<const char*>(&header_bytes), 8) + header +
                     std::string(data_bytes, '\0'));
  }
};

TEST_F(Safetensors, ReadsWhatThePythonPackageWrote) {
  const SafetensorsFile file(kGolden);
  const NamedTensors want = golden_tensors();
  EXPECT_EQ(file.tensors().size(), want.size());
  for (const auto& [name, tensor] : want) expect_same_bytes(file.load(name), tensor, name);
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "pt"}, {"note", "a\n\"b\""}}));
  EXPECT_EQ(file.find("none"), nullptr);
  EXPECT_THROW(file.load("none"), DataError);
}

// golden/make_safetensors.py --check reads the file that this test leaves if LOCKSTEP_KEEP names
// one.
TEST_F(Safetensors, ReadsBackWhatItWrote) {
  const char* keep = std::getenv("LOCKSTEP_KEEP");
  const std::filesystem::path path = keep != nullptr ? keep : folder_ / "a.safetensors";
  save_safetensors(path, golden_tensors(), {{"format", "pt"}});
  const SafetensorsFile file(path);
  for (const auto& [name, tensor] : golden_tensors())
    expect_same_bytes(file.load(name), tensor, name);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(load_safetensors(path).size(), golden_tensors().size());
}

TEST_F(Safetensors, AlignsEveryTensorAndTheDataToTheirElements) {
  const std::filesystem::path path = folder_ / "a.safetensors";
  save_safetensors(path, golden_tensors());
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, read(path).data(), 8);
  EXPECT_EQ((8 + header_bytes) % 8, 0u);
  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors().size(), golden_tensors().size());
  for (const TensorInfo& info : file.tensors())
    EXPECT_EQ(info.begin % c10::elementSize(info.dtype), 0u) << info.name;
}

TEST_F(Safetensors, KeepsTheGivenOrderOfEqualElementSizes) {
  save_safetensors(folder_ / "a",
                   {{"z", at::ones({2})}, {"a", at::ones({3})}, {"m", at::ones({1}, at::kDouble)}});
  const NamedTensors back = load_safetensors(folder_ / "a");
  EXPECT_EQ(back[0].name, "m");
  EXPECT_EQ(back[1].name, "z");
  EXPECT_EQ(back[2].name, "a");
}

TEST_F(Safetensors, GivesTheSameBytesForTheSameTensors) {
  save_safetensors(folder_ / "a", golden_tensors(), {{"b", "1"}, {"a", "2"}});
  save_safetensors(folder_ / "b", golden_tensors(), {{"a", "2"}, {"b", "1"}});
  EXPECT_EQ(read(folder_ / "a"), read(folder_ / "b"));
}

TEST_F(Safetensors, WritesTensorsOfAnyStrides) {
  const at::Tensor whole = at::arange(24, at::kFloat).view({4, 6});
  save_safetensors(folder_ / "a", {{"t", whole.t()},
                                   {"cut", whole.slice(1, 1, 6, 2)},
                                   {"grown", at::ones({1, 3}).expand({2, 3})}});
  const NamedTensors back = load_safetensors(folder_ / "a");
  expect_same_bytes(*find_tensor(back, "t"), whole.t(), "t");
  expect_same_bytes(*find_tensor(back, "cut"), whole.slice(1, 1, 6, 2), "cut");
  expect_same_bytes(*find_tensor(back, "grown"), at::ones({2, 3}), "grown");
}

TEST_F(Safetensors, RefusesToWriteWhatTheFormatLacks) {
  EXPECT_THROW(save_safetensors(folder_ / "a", {{"c", at::ones({1}, at::kComplexFloat)}}),
               DataError);
  EXPECT_THROW(save_safetensors(folder_ / "a", {{"x", at::ones({1})}, {"x", at::ones({1})}}),
               DataError);
  EXPECT_THROW(save_safetensors(folder_ / "a", {{"__metadata__", at::ones({1})}}), DataError);
  EXPECT_THROW(save_safetensors(folder_ / "a", {{"x", at::Tensor()}}), InternalError);
  EXPECT_EQ(count_files(), 0u);
}

TEST_F(Safetensors, OnAFullDiskAreAnEnvironmentErrorWithHelp) {
  try {
    save_safetensors("/dev/full", {{"x", at::ones({1000})}});
    FAIL();
  } catch (const EnvironmentError& error) {
    EXPECT_THAT(error.help(), HasSubstr("the disk is full"));
  }
  EXPECT_THROW(save_safetensors(folder_ / "no/a", {{"x", at::ones({1})}}), EnvironmentError);
}

TEST_F(Safetensors, ThatShrinkWhileOpenAreDataErrors) {
  const std::filesystem::path path = folder_ / "a";
  save_safetensors(path, {{"x", at::ones({1'000'000})}});
  const SafetensorsFile file(path);
  ASSERT_EQ(::truncate(path.c_str(), 5000), 0);
  try {
    file.load("x");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.message(), HasSubstr("has become shorter"));
  }
}

TEST_F(Safetensors, ThatAreReplacedWhileOpenKeepTheirOldContent) {
  const std::filesystem::path path = folder_ / "a";
  save_safetensors(path, {{"x", at::ones({4})}});
  const SafetensorsFile file(path);
  save_safetensors(folder_ / "b", {{"x", at::zeros({4})}});
  std::filesystem::rename(folder_ / "b", path);
  EXPECT_TRUE(file.load("x").equal(at::ones({4})));
}

TEST_F(Safetensors, ThatAreNoFilesAreDataErrors) {
  EXPECT_THROW(SafetensorsFile{folder_}, DataError);
  EXPECT_THROW(SafetensorsFile(folder_ / "none"), DataError);
  EXPECT_THROW(SafetensorsFile(write("short", "1234567")), DataError);
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(SafetensorsFile(folder_ / "fifo"), DataError);
}

TEST_F(Safetensors, AcceptHoleFreeFilesInAnyHeaderOrder) {
  const auto path = craft(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                          R"("a":{"data_offsets":[0,1],"shape":[],"dtype":"I8"}}   )",
                          3);
  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(SafetensorsFile(craft("{}", 0)).tensors().size(), 0u);
  EXPECT_EQ(SafetensorsFile(craft(R"({"e":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]}})", 0))
                .load("e")
                .numel(),
            0);
}

struct BrokenHeader {
  const char* header;
  size_t data_bytes;
  const char* message;
};

class BrokenHeaders : public Safetensors, public testing::WithParamInterface<BrokenHeader> {};

TEST_P(BrokenHeaders, AreDataErrorsThatNameFileAndTensor) {
  const auto path = craft(GetParam().header, GetParam().data_bytes);
  try {
    load_safetensors(path);
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.message(), HasSubstr(GetParam().message));
    EXPECT_THAT(error.message(), HasSubstr("crafted.safetensors"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Safetensors, BrokenHeaders,
    testing::Values(
        BrokenHeader{"", 8, "does not begin with '{'"},
        BrokenHeader{"[]", 0, "does not begin with '{'"},
        BrokenHeader{" {}", 0, "does not begin with '{'"},
        BrokenHeader{"{", 0, "no valid JSON at its byte"}, BrokenHeader{"{} x", 0, "no valid JSON"},
        BrokenHeader{"{}{}", 0, "no valid JSON"},
        BrokenHeader{"{\"\xff\":1}", 0, "byte 2 of the header is not valid UTF-8"},
        BrokenHeader{R"({"a":3})", 0, "tensor 'a' has a number where none belongs"},
        BrokenHeader{R"({"a":null})", 0, "tensor 'a' has null"},
        BrokenHeader{R"({"a":true})", 0, "has true or false"},
        BrokenHeader{R"({"a":[]})", 0, "has a list where none belongs"},
        BrokenHeader{R"({"a":"x"})", 0, "has text where none belongs"},
        BrokenHeader{R"({"a":{}})", 0, "lacks dtype, shape or data_offsets"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1]}})", 1,
                     "lacks dtype, shape or data_offsets"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                     R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                     1, "tensor 'a' is listed twice"},
        BrokenHeader{R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
                     "has the key 'dtype' twice"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1,
                     "has the key 'shape' twice"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"code":"x"}})", 1,
                     "has the unknown key 'code'"},
        BrokenHeader{R"({"a":{"dtype":{"x":1},"shape":[1],"data_offsets":[0,1]}})", 1,
                     "has an object where none belongs"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1,
                     "has a list where none belongs"},
        BrokenHeader{R"({"a":{"dtype":"U7","shape":[1],"data_offsets":[0,1]}})", 1,
                     "has the unknown dtype 'U7'"},
        BrokenHeader{R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1,
                     "unknown dtype 'F8_E4M3'"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
                     "has the negative number -1 in 'shape'"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1,
                     "has 1.0 in 'shape'"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}})",
                     1, "not a whole number below 2^64"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})",
                     1, "has the dimension 9223372036854775808"},
        BrokenHeader{
            R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
            "overflows 64 bits"},
        BrokenHeader{R"({"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}})",
                     4, "overflows 64 bits"},
        BrokenHeader{R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],)"
                     R"("data_offsets":[0,0]}})",
                     0, "overflows 64 bits"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1,
                     "has 1 data_offsets, not 2"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1,
                     "has 3 data_offsets"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1,
                     "negative number -1 in 'data_offsets'"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1,
                     "behind its end"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1,
                     "ends at 2, but the file has 1 bytes"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],)"
                     R"("data_offsets":[18446744073709551615,18446744073709551615]}})",
                     1, "ends at 18446744073709551615"},
        BrokenHeader{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                     "needs 8 bytes, its offsets give 4"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                     R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                     3, "inside the tensor before it"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                     R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                     2, "inside the tensor before it"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                     R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                     3, "1 bytes before tensor 'b'"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2,
                     "1 bytes before tensor 'a'"},
        BrokenHeader{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2,
                     "1 bytes behind the last tensor"},
        BrokenHeader{"{}", 1, "1 bytes behind the last tensor"},
        BrokenHeader{R"({"__metadata__":{"a":1}})", 0, "tensor '__metadata__' has a number"},
        BrokenHeader{R"({"__metadata__":{"a":"1","a":"2"}})", 0, "has the key 'a' twice"},
        BrokenHeader{R"({"__metadata__":{"a":{}}})", 0, "has an object where none belongs"},
        BrokenHeader{R"({"__metadata__":[]})", 0, "has a list where none belongs"}));

TEST_F(Safetensors, WithAnImpossibleHeaderLengthAreDataErrors) {
  for (const uint64_t length :
       {uint64_t{3}, uint64_t{100'000'001}, ~uint64_t{0}, ~uint64_t{0} - 7, uint64_t{1} << 63})
    EXPECT_THROW(SafetensorsFile(craft("{}", 0, length)), DataError) << length;
}

TEST_F(Safetensors, NestedDeeplyOrWithHugeShapesAreDataErrors) {
  EXPECT_THROW(SafetensorsFile(craft(R"({"a":)" + std::string(1'000'000, '['), 0)), DataError);
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += R"({"a":)";
  EXPECT_THROW(SafetensorsFile(craft(objects, 0)), DataError);
  std::string ones = "1";
  for (int i = 0; i < 70; ++i) ones += ",1";
  EXPECT_THROW(SafetensorsFile(craft(
                   R"({"a":{"dtype":"U8","shape":[)" + ones + R"(],"data_offsets":[0,1]}})", 1)),
               DataError);
}

TEST_F(Safetensors, WithBoolsOtherThanZeroAndOneAreDataErrors) {
  auto path = craft(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 0);
  std::ofstream(path, std::ios::app) << '\2';
  EXPECT_THROW(load_safetensors(path), DataError);
}

TEST_F(Safetensors, EndEveryMutantWithTensorsOrADataError) {
  const std::string golden = read(kGolden);
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = golden;
    const size_t header = 1200 < bytes.size() ? 1200 : bytes.size();
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = (random() % 4 == 0 ? random() % 8 : random() % header) % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = "0123456789{}[],:\"- "[random() % 19];
          break;
        case 2:
          bytes.erase(at, 1 + random() % 4);
          break;
        default:
          bytes.resize(std::max<size_t>(1, random() % bytes.size()));
      }
      if (bytes.size() < 16) bytes = golden;
    }
    std::filesystem::remove(folder_ /
                            "mutant");  // some file systems flush a file that is cut and rewritten
    try {
      load_safetensors(write("mutant", bytes));
    } catch (const DataError& error) {
      ASSERT_THAT(error.message(), HasSubstr("mutant"));
    }
  }
}

TEST(ExpectTensors, WidenIntegersAndNameBothShapes) {
  const NamedTensors inputs = {{"grid", at::ones({2, 9}, at::kChar)}, {"t", at::ones({2})}};
  const at::Tensor grid = expect_integer(inputs, "grid", {-1, 9});
  EXPECT_EQ(grid.scalar_type(), at::kLong);
  EXPECT_EQ(expect_float(inputs, "t", {2}).sizes(), at::IntArrayRef({2}));
  const auto message = [](auto body) -> std::string {
    try {
      body();
    } catch (const DataError& error) {
      return error.message();
    }
    return "no error";
  };
  EXPECT_THAT(message([&] { expect_integer(inputs, "grid", {-1, 81}); }),
              HasSubstr("'grid' has shape [2, 9], expected [?, 81]"));
  EXPECT_THAT(message([&] { expect_integer(inputs, "grid", {18}); }), HasSubstr("expected [18]"));
  EXPECT_THAT(message([&] { expect_integer(inputs, "t", {2}); }),
              HasSubstr("'t' [2] has dtype F32, expected I64 [2]"));
  EXPECT_THAT(message([&] { expect_float(inputs, "grid", {2, 9}); }),
              HasSubstr("has dtype I8, expected F32"));
  EXPECT_THAT(message([&] { expect_float(inputs, "x", {1}); }),
              HasSubstr("the inputs have: grid, t"));
  EXPECT_THAT(message([&] { refuse_unknown(inputs, {"grid"}); }),
              HasSubstr("unknown input tensor 't' of shape [2]"));
  refuse_unknown(inputs, {"grid", "t"});
}

}  // namespace
}  // namespace lockstep
