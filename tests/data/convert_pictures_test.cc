#include <algorithm>
#include <fstream>
#include <functional>
#include <numeric>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "data/datasets.h"
#include "data/images/image_commands.h"
#include "tensor/safetensors.h"
#include "tests/data/made_folder.h"
#include "tests/data/memory_bound.h"

namespace lockstep {
namespace {

// A file of golden/make_images.py: 23 × 17 pixels.
std::string picture(const std::string& name) {
  static const SafetensorsFile golden(LOCKSTEP_SOURCE_DIR "/tests/data/golden/images.safetensors");
  const at::Tensor bytes = golden.load("file." + name);
  return {reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()),
          static_cast<size_t>(bytes.numel())};
}

void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

Batch read_all(const fs::path& pattern) {
  const auto dataset = open_dataset("images", {pattern.string()});
  std::vector<int64_t> ids(static_cast<size_t>(dataset->size()));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
  return dataset->read(ids);
}

std::vector<int64_t> labels_of(const Batch& batch) {
  const at::Tensor& labels = batch.array("labels");
  return {labels.const_data_ptr<int64_t>(), labels.const_data_ptr<int64_t>() + labels.numel()};
}

nlohmann::json recipe_of(const fs::path& folder) {
  return nlohmann::json::parse(read_file(folder / "dataset.json")).at("recipe");
}

ConvertPicturesOptions small() {
  ConvertPicturesOptions options;
  options.fit.size = 8;
  options.shards.threads = 2;
  return options;
}

void make_pictures(const fs::path& root) {
  write(root / "dog/b.PNG", picture("png_rgb"));
  write(root / "dog/deep/a.jpeg", picture("jpeg_420"));
  write(root / "cat/x.jpg", picture("jpeg_cmyk"));
  write(root / "cat/.hidden.png", "no picture");
}

TEST(ConvertImageFolder, TakesClassesFromSubFoldersAndRecordsHow) {
  MadeFolder folder;
  make_pictures(folder / "in");
  ConvertPicturesOptions options = small();
  options.fit.resize = "shorter_side";
  const Converted converted = convert_image_folder(folder / "in", folder / "out", options, false);
  EXPECT_EQ(converted.images, 3);
  EXPECT_EQ(converted.classes, 2);
  const Batch batch = read_all(folder / "out");
  EXPECT_EQ(batch.array("images").sizes(), (std::vector<int64_t>{3, 3, 8, 8}));
  EXPECT_EQ(labels_of(batch), (std::vector<int64_t>{0, 1, 1}));
  const nlohmann::json recipe = recipe_of(folder / "out");
  EXPECT_EQ(recipe.at("resize"), "shorter_side");
  EXPECT_EQ(recipe.at("filter"), "bilinear");
  EXPECT_EQ(recipe.at("classes"), (std::vector<std::string>{"cat", "dog"}));
}

TEST(ConvertImageFolder, NamesABrokenFileOrCountsIt) {
  MadeFolder folder;
  make_pictures(folder / "in");
  write(folder / "in/dog/broken.png", picture("png_rgb").substr(0, 300));
  const std::string message =
      data_error([&] { convert_image_folder(folder / "in", folder / "out", small(), false); });
  EXPECT_NE(message.find("damaged"), std::string::npos) << message;
  EXPECT_NE(message.find("dog/broken.png"), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(folder / "out/dataset.json"));
  ConvertPicturesOptions options = small();
  options.shards.skip_broken = true;
  const Converted converted = convert_image_folder(folder / "in", folder / "out", options, false);
  EXPECT_EQ(converted.images, 3);
  EXPECT_EQ(converted.skipped, 1);
  EXPECT_EQ(recipe_of(folder / "out").at("skipped"), 1);
}

TEST(ConvertImageFolder, RefusesPicturesOfSeveralSizesWithoutASize) {
  MadeFolder folder;
  write(folder / "in/a.png", picture("png_rgb"));
  write(folder / "in/b.jpg", picture("jpeg_exif_6"));  // turned upright: 17 × 23
  ConvertPicturesOptions options;
  const std::string message =
      data_error([&] { convert_image_folder(folder / "in", folder / "out", options, false); });
  EXPECT_NE(message.find("17 x 23"), std::string::npos) << message;
  EXPECT_NE(message.find("size=64"), std::string::npos) << message;
}

void expect_words(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words)
    EXPECT_NE(text.find(word), std::string::npos) << word << "\nin\n" << text;
}

std::vector<int64_t> ids_of(const fs::path& pattern, const std::vector<int64_t>& first_bytes) {
  std::vector<int64_t> ids;
  const Batch batch = read_all(pattern);
  for (int64_t i = 0; i < batch.rows(); ++i) {
    const auto value = batch.array("images")[i][0][0][0].item<int64_t>();
    ids.push_back(std::find(first_bytes.begin(), first_bytes.end(), value) - first_bytes.begin());
  }
  return ids;
}

// 200 pictures of MNIST's kind, of one pixel each, whose byte is their number.
void make_numbered(const fs::path& folder) {
  std::string pixels, head = {'\0', '\0', '\x08', '\x03', '\0', '\0', '\0', '\xc8',
                              '\0', '\0', '\0',   '\x01', '\0', '\0', '\0', '\x01'};
  for (int i = 0; i < 200; ++i) pixels += static_cast<char>(i);
  write(folder / "train-images-idx3-ubyte", head + pixels);
}

// By Philox 4x32-10 in plain Python: uniform(id, 0, 0) of Stream(0, kSplit) below 0.1.
const std::vector<int64_t> kHeldOut = {11, 16, 24, 41, 57};

TEST(ConvertPictures, HoldTheSameShareOutEveryTime) {
  MadeFolder folder;
  make_numbered(folder / "in");
  std::vector<int64_t> bytes(200);
  std::iota(bytes.begin(), bytes.end(), 0);
  ConvertRecordsOptions options;
  options.validation = 0.1;
  options.samples_per_shard = 7;
  const Converted converted = convert_mnist(folder / "in", folder / "out", options, false);
  const std::vector<int64_t> held_out = ids_of(folder / "out/validation-*.h5", bytes),
                             kept = ids_of(folder / "out/train-*.h5", bytes);
  EXPECT_EQ(converted.held_out, static_cast<int64_t>(held_out.size()));
  EXPECT_EQ(held_out.size() + kept.size(), 200u);
  EXPECT_GE(held_out.size(), 10u);
  EXPECT_LE(held_out.size(), 32u);
  // The choice is a function of the sample's number, so it must never change between versions.
  EXPECT_EQ(std::vector<int64_t>(held_out.begin(), held_out.begin() + 5), kHeldOut);
  std::vector<int64_t> all = kept;
  all.insert(all.end(), held_out.begin(), held_out.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, bytes);
  EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end()));
}

TEST(ConvertPictures, RefuseASplitWithAnEmptySide) {
  MadeFolder folder;
  make_pictures(folder / "in");
  ConvertPicturesOptions options = small();
  options.shards.validation = 0.01;
  EXPECT_NE(data_error([&] {
              convert_image_folder(folder / "in", folder / "out", options, false);
            }).find("one side of validation=0.01"),
            std::string::npos);
  options.shards.prefix = "validation";
  EXPECT_THROW(convert_image_folder(folder / "in", folder / "out", options, false), ConfigError);
}

TEST(ConvertImageFolder, AddsShardsOfAnotherPrefixWithTheSameClassNumbers) {
  MadeFolder folder;
  make_pictures(folder / "in");
  write(folder / "held/dog/y.png", picture("png_gray"));
  ConvertPicturesOptions options = small();
  convert_image_folder(folder / "in", folder / "out", options, false);
  const std::string before = read_file(folder / "out/train-00000.h5");
  options.shards.prefix = "validation";
  convert_image_folder(folder / "held", folder / "out", options, false);
  EXPECT_EQ(read_file(folder / "out/train-00000.h5"), before);
  EXPECT_EQ(labels_of(read_all(folder / "out/train-*.h5")), (std::vector<int64_t>{0, 1, 1}));
  EXPECT_EQ(labels_of(read_all(folder / "out/validation-*.h5")), (std::vector<int64_t>{1}));
  EXPECT_EQ(read_all(folder / "out").rows(), 4);
  EXPECT_EQ(recipe_of(folder / "out").at("classes"), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(recipe_of(folder / "out").at("added").at("validation").at("source"),
            (folder / "held").string());
  // What does not fit is refused, and the dataset stays as it was.
  const auto message = [&](const fs::path& input) {
    return data_error([&] { convert_image_folder(input, folder / "out", options, false); });
  };
  expect_words(message(folder / "held"), {"'validation-00000.h5'", "overwrite=true"});
  options.shards.prefix = "test";
  options.fit.size = 16;
  expect_words(message(folder / "held"), {"another kind, size or labels"});
  options.fit.size = 8;
  write(folder / "bird/bird/z.png", picture("png_gray"));
  expect_words(message(folder / "bird"), {"'bird' is no class", "cat, dog"});
  EXPECT_EQ(read_all(folder / "out").rows(), 4);
}

// A process that dies while shards are added leaves the old dataset, or one that the next adding
// puts right.
TEST(ConvertImageFolder, ClearsAwayAnAddingThatWasInterrupted) {
  MadeFolder folder;
  make_pictures(folder / "in");
  ConvertPicturesOptions options = small();
  convert_image_folder(folder / "in", folder / "out", options, false);
  fs::copy(folder / "out", folder / "old");
  options.shards.prefix = "validation";
  convert_image_folder(folder / "in", folder / "out", options, false);
  // As after the shard was moved and before dataset.json was.
  fs::create_directory(folder / "out/.making");
  fs::rename(folder / "out/dataset.json", folder / "out/.making/dataset.json");
  fs::copy(folder / "old/dataset.json", folder / "out/dataset.json");
  options.shards.prefix = "test";
  convert_image_folder(folder / "in", folder / "out", options, false);
  EXPECT_FALSE(fs::exists(folder / "out/validation-00000.h5"));
  EXPECT_FALSE(fs::exists(folder / "out/.making"));
  EXPECT_EQ(read_all(folder / "out").rows(), 6);
}

// What the program says while `work` runs.
std::string words_of(const std::function<void()>& work) {
  testing::internal::CaptureStderr();
  work();
  return testing::internal::GetCapturedStderr();
}

TEST(ConvertImageFolder, FollowsLinksAndCountsWhateverItDoesNotUse) {
  MadeFolder folder;
  make_pictures(folder / "elsewhere");
  write(folder / "in/own/a.png", picture("png_rgb"));
  write(folder / "in/own/b.JFIF", picture("jpeg_420"));
  write(folder / "in/own/c.webp", "RIFF");
  write(folder / "in/own/notes.txt", "hello");
  fs::create_directory_symlink(folder / "elsewhere/dog", folder / "in/dog");
  fs::create_symlink(folder / "elsewhere/cat/x.jpg", folder / "in/own/linked.jpg");
  fs::create_symlink(folder / "nowhere.png", folder / "in/own/dangling.png");
  fs::create_directory_symlink(folder / "in", folder / "in/own/up");
  Converted converted;
  const std::string said = words_of(
      [&] { converted = convert_image_folder(folder / "in", folder / "out", small(), false); });
  EXPECT_EQ(converted.images, 5);
  EXPECT_EQ(converted.classes, 2);
  expect_words(said, {"1 file(s) of format .webp ('own/c.webp')",
                      "1 link(s) that lead nowhere ('own/dangling.png')",
                      "1 link(s) back to a folder above ('own/up')",
                      "1 file(s) named .txt ('own/notes.txt')"});
}

std::string tar_header(const std::string& name, size_t size, char type = '0') {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 8, "0000644\0", 8);
  char number[13];
  std::snprintf(number, sizeof number, "%011zo", size);
  block.replace(124, 12, number, 12);
  block[156] = type;
  block.replace(257, 8,
                std::string("ustar\0"
                            "00",
                            8));
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  std::snprintf(number, sizeof number, "%06o", sum);
  block.replace(148, 7, number, 7);
  return block;
}

std::string tar_member(const std::string& name, const std::string& body, char type = '0') {
  return tar_header(name, body.size(), type) + body +
         std::string((512 - body.size() % 512) % 512, '\0');
}

std::string sample(const std::string& key, const std::string& file, int label) {
  return tar_member(key + ".json", "{}") + tar_member(key + ".png", picture(file)) +
         tar_member(key + ".cls", std::to_string(label) + "\n");
}

TEST(ConvertWebdataset, ReadsSamplesOfSeveralArchivesWithPaxNames) {
  MadeFolder folder;
  const std::string end(1024, '\0'), long_name = std::string(120, 'k') + "/0003";
  const std::string record = " path=" + long_name + ".png\n";
  const std::string pax =
      std::to_string(record.size() + 3) + record;  // the length counts its own digits
  write(folder / "in/s-00.tar", sample("0001", "png_rgb", 4) + sample("0002", "png_gray", 0) + end);
  write(folder / "in/s-01.tar",
        tar_member("pax", pax, 'x') + tar_member("short.png", picture("png_palette")) +
            tar_member("L", long_name + ".cls", 'L') + tar_member("cut", "7") + end);
  const Converted converted =
      convert_webdataset((folder / "in/s-{00..01}.tar").string(), folder / "out", small(), false);
  EXPECT_EQ(converted.images, 3);
  EXPECT_EQ(labels_of(read_all(folder / "out")), (std::vector<int64_t>{4, 0, 7}));
}

std::string tar_link(const std::string& name, const std::string& target, char type) {
  std::string block = tar_header(name, 0, type);
  block.replace(157, target.size(), target);
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  char number[13];
  std::snprintf(number, sizeof number, "%06o", sum);
  block.replace(148, 7, number, 7);
  return block;
}

Batch converted_tar(const MadeFolder& folder, const std::string& tar, std::string* said = nullptr) {
  write(folder / "in.tar", tar);
  fs::remove_all(folder / "out");
  const std::string words = words_of(
      [&] { convert_webdataset((folder / "in.tar").string(), folder / "out", small(), false); });
  if (said != nullptr) *said = words;
  return read_all(folder / "out");
}

TEST(ConvertWebdataset, UsesLinksLateLabelsAndArchivesBehindTheFirst) {
  MadeFolder folder;
  const std::string end(1024, '\0');
  const std::string a = tar_member("d/a.png", picture("png_rgb")), la = tar_member("d/a.cls", "3"),
                    b = tar_member("d/b.png", picture("png_gray")), lb = tar_member("d/b.cls", "1");
  const Batch plain = converted_tar(folder, a + la + b + lb + end);
  EXPECT_EQ(labels_of(plain), (std::vector<int64_t>{3, 1}));
  // Labels behind all pictures.
  EXPECT_EQ(labels_of(converted_tar(folder, a + b + la + lb + end)), (std::vector<int64_t>{3, 1}));
  // A hard link to the first picture, and symbolic links to a picture and a label that come later.
  const Batch linked = converted_tar(
      folder, a + la + tar_link("d/x.png", "d/a.png", '1') + tar_member("d/x.cls", "5") +
                  tar_link("e/y.png", "../d/b.png", '2') + tar_link("e/y.cls", "../d/b.cls", '2') +
                  b + lb + end);
  EXPECT_EQ(labels_of(linked), (std::vector<int64_t>{3, 5, 1, 1}));
  EXPECT_TRUE(linked.array("images")[1].equal(linked.array("images")[0]));
  EXPECT_TRUE(linked.array("images")[2].equal(plain.array("images")[1]));
  // `cat one.tar two.tar`, with the same names in both.
  EXPECT_EQ(labels_of(converted_tar(folder, a + la + end + a + tar_member("d/a.cls", "2") + end)),
            (std::vector<int64_t>{3, 2}));
}

TEST(ConvertWebdataset, CountsMembersThatItDoesNotUse) {
  MadeFolder folder;
  std::string said;
  converted_tar(folder,
                tar_member("a.png", picture("png_rgb")) + tar_member("a.json", "{}") +
                    tar_member("b.webp", "x") + tar_link("c.png", "/gone.png", '2') +
                    tar_member("fifo", "", '6'),
                &said);
  expect_words(said, {"1 member(s) named .json ('a.json')", "1 member(s) named .webp ('b.webp')",
                      "a link to '/gone.png', which the archive does not hold",
                      "neither a file nor a link"});
}

TEST(ConvertWebdataset, CutsNamesAtTheirFirstDot) {
  MadeFolder folder;
  // n.7/a.left.jpg is field `left.jpg` of sample `n.7/a`.
  const Batch batch = converted_tar(
      folder, tar_member("n.7/a.left.png", picture("png_rgb")) + tar_member("n.7/a.cls", "4") +
                  tar_member("b.png", picture("png_gray")) +
                  tar_member("b.mask.png", picture("png_rgb")) + tar_member("b.cls", "0"));
  EXPECT_EQ(labels_of(batch), (std::vector<int64_t>{4, 0}));
  write(folder / "two.tar",
        tar_member("c.1.png", picture("png_rgb")) + tar_member("c.2.png", picture("png_rgb")));
  const std::string message = data_error(
      [&] { convert_webdataset((folder / "two.tar").string(), folder / "no", small(), false); });
  expect_words(message, {"'c.1.png' and 'c.2.png'", "first dot"});
}

TEST(ConvertWebdataset, RefusesDamagedArchives) {
  MadeFolder folder;
  std::string tar = sample("0001", "png_rgb", 4);
  const auto message = [&](const std::string& bytes) {
    write(folder / "in/a.tar", bytes);
    return data_error(
        [&] { convert_webdataset((folder / "in").string(), folder / "out", small(), false); });
  };
  EXPECT_NE(message(tar.substr(0, 1200)).find("cut short"), std::string::npos);
  std::string flipped = tar;
  flipped[10] ^= 1;
  EXPECT_NE(message(flipped).find("no valid tar header"), std::string::npos);
  EXPECT_NE(
      message(tar_member("a.png", picture("png_rgb")) + sample("0001", "png_rgb", 4)).find("0001"),
      std::string::npos);
  EXPECT_NE(
      message(sample("b", "png_rgb", 1) + tar_member("c.png", picture("png_rgb"))).find("no .cls"),
      std::string::npos);
}

TEST(ConvertCifar, ReadsBothKindsAndRefusesCutFiles) {
  MadeFolder folder;
  std::string ten, hundred;
  for (int i = 0; i < 6; ++i) {
    const std::string body = std::string(1024, static_cast<char>(i)) +
                             std::string(1024, static_cast<char>(i + 50)) +
                             std::string(1024, static_cast<char>(i + 100));
    ten += std::string(1, static_cast<char>(9 - i)) + body;
    hundred +=
        std::string(1, static_cast<char>(i)) + std::string(1, static_cast<char>(90 + i)) + body;
  }
  write(folder / "ten/data_batch_1.bin", ten);
  write(folder / "ten/data_batch_2.bin", ten);
  write(folder / "ten/test_batch.bin", ten);
  write(folder / "hundred/train.bin", hundred);
  EXPECT_EQ(convert_cifar(folder / "ten", folder / "out10", {}, false).images, 18);
  const Batch train = read_all(folder / "out10/train-*.h5");
  EXPECT_EQ(train.rows(), 12);
  EXPECT_EQ(labels_of(train)[7], 8);
  EXPECT_EQ(train.array("images")[3][2][31][31].item<int>(), 103);
  EXPECT_EQ(read_all(folder / "out10/test-*.h5").rows(), 6);
  EXPECT_EQ(convert_cifar(folder / "hundred", folder / "out100", {}, false).classes, 100);
  EXPECT_EQ(labels_of(read_all(folder / "out100"))[5], 95);
  write(folder / "ten/test_batch.bin", ten.substr(1));
  EXPECT_NE(data_error([&] {
              convert_cifar(folder / "ten", folder / "cut", {}, false);
            }).find("records of 3073"),
            std::string::npos);
  write(folder / "ten/test_batch.bin", std::string(1, '\x0a') + ten.substr(1));
  EXPECT_NE(data_error([&] {
              convert_cifar(folder / "ten", folder / "bad", {}, false);
            }).find("label 10"),
            std::string::npos);
}

std::string idx(const std::vector<uint8_t>& sizes, const std::string& body) {
  std::string head = {'\0', '\0', '\x08', static_cast<char>(sizes.size())};
  for (const uint8_t size : sizes) head += std::string{'\0', '\0', '\0', static_cast<char>(size)};
  return head + body;
}

std::string gzip(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(content.size() + 200, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(ConvertMnist, ReadsPlainAndZippedFilesAndRefusesWrongOnes) {
  MadeFolder folder;
  const std::string pixels = "abcdefghijkl";  // 3 pictures of 2 × 2
  write(folder / "in/train-images-idx3-ubyte.gz", gzip(idx({3, 2, 2}, pixels)));
  write(folder / "in/train-labels-idx1-ubyte", idx({3}, std::string("\x02\x00\x01", 3)));
  const Converted converted = convert_mnist(folder / "in", folder / "out", {}, false);
  EXPECT_EQ(converted.images, 3);
  EXPECT_EQ(converted.classes, 3);
  const Batch batch = read_all(folder / "out/train-*.h5");
  EXPECT_EQ(batch.array("images")[1][0][1][1].item<int>(), 'h');
  EXPECT_EQ(labels_of(batch), (std::vector<int64_t>{2, 0, 1}));
  const auto message = [&](const std::string& bytes) {
    write(folder / "in/train-images-idx3-ubyte.gz", bytes);
    return data_error([&] { convert_mnist(folder / "in", folder / "again", {}, false); });
  };
  const std::string zipped = gzip(idx({3, 2, 2}, pixels));
  EXPECT_NE(message(zipped.substr(0, zipped.size() - 9)).find("damaged or cut short"),
            std::string::npos);
  EXPECT_NE(message(idx({3}, "abc")).find("not with 00000803"), std::string::npos);
  EXPECT_NE(message(idx({3, 3, 2}, pixels)).find("announces 18 bytes"), std::string::npos);
  EXPECT_NE(message(idx({2, 2, 2}, "abcdefgh")).find("3 labels for 2 pictures"), std::string::npos);
}

TEST(ConvertMnist, TakesNoMemoryForWhatASmallFileUnpacksTo) {
  MadeFolder folder;
  // The header of 200 pictures of 1000 x 1000, then far more zero bytes.
  std::string head = idx({200, 0, 0}, "");
  head.replace(8, 8, std::string("\0\0\x03\xe8\0\0\x03\xe8", 8));
  std::string bomb = gzip(head);
  const std::string zeros = gzip(std::string(size_t{64} << 20, '\0'));
  for (int i = 0; i < 8; ++i) bomb += zeros;
  write(folder / "in/train-images-idx3-ubyte.gz", bomb);
  ConvertRecordsOptions options;
  options.samples_per_shard = 10;
  EXPECT_EQ(
      status_within(128, [&] { convert_mnist(folder / "in", folder / "out", options, false); }), 2);
}

}  // namespace
}  // namespace lockstep
