#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/images/picture_converter.h"
#include "data/images/tar_reader.h"

namespace lockstep {
namespace {

// "a-{000000..000012}.tar" → its thirteen names; a folder → its .tar files, sorted; else the file
// itself.
std::vector<fs::path> archives_of(const std::string& input) {
  const char* help =
      "give a .tar file, a folder of them, or a pattern such as 'data-{000000..000012}.tar'";
  std::vector<fs::path> archives;
  const size_t open = input.find('{'), dots = input.find("..", open), close = input.find('}', dots);
  if (open != std::string::npos && dots != std::string::npos && close != std::string::npos) {
    const std::string low = input.substr(open + 1, dots - open - 1),
                      high = input.substr(dots + 2, close - dots - 2);
    const auto number = [](const std::string& text) {
      return !text.empty() && text.size() < 10 &&
             text.find_first_not_of("0123456789") == std::string::npos;
    };
    if (!number(low) || !number(high) || std::stoll(high) < std::stoll(low) ||
        std::stoll(high) - std::stoll(low) > 1000000)
      throw ConfigError("'" + input + "' is no range of numbers", help);
    for (int64_t i = std::stoll(low); i <= std::stoll(high); ++i)
      archives.emplace_back(input.substr(0, open) + fmt::format("{:0{}}", i, low.size()) +
                            input.substr(close + 1));
  } else if (fs::is_directory(input)) {
    for (const auto& entry : fs::directory_iterator(input))
      if (entry.path().extension() == ".tar") archives.push_back(entry.path());
    std::sort(archives.begin(), archives.end());
  } else {
    archives.emplace_back(input);
  }
  if (archives.empty()) throw DataError("the folder holds no .tar file", help, {input});
  for (const fs::path& archive : archives)
    if (!fs::is_regular_file(archive))
      throw DataError("there is no such archive", help, {archive.string()});
  return archives;
}

// Name without extensions, and the extension in lower case: both up to and behind the first dot of
// the last component, as WebDataset has it.
std::pair<std::string, std::string> split_name(const std::string& name) {
  const size_t slash = name.rfind('/'), start = slash == std::string::npos ? 0 : slash + 1,
               dot = name.find('.', start);
  if (dot == std::string::npos) return {name, ""};
  std::string extension = name.substr(dot + 1);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return {name.substr(0, dot), extension};
}

// One sample while its members come in.
struct Sample {
  std::string key, archive;
  std::string picture, picture_name;
  std::string label;
};

class WebDatasetReader {
 public:
  WebDatasetReader(const fs::path& folder, const ConvertPicturesOptions& options)
      : folder_(folder), options_(options) {}

  void read(const fs::path& archive, const std::function<void(int64_t)>& on_bytes) {
    TarReader reader(archive);
    for (TarMember member; reader.next(member);) {
      take(std::move(member), archive.string());
      on_bytes(reader.bytes_read());
    }
    end_sample();
  }

  Converted finish(const std::string& source) {
    flush();
    if (!converter_)
      throw DataError("the archives hold no .png, .jpg or .jpeg member", "", {source});
    if (left_out_ > 0)
      log_info(
          fmt::format("{} members that are neither pictures nor .cls were left out", left_out_));
    std::vector<std::string> classes;
    for (int64_t i = 0; *labeled_ && i <= largest_label_; ++i) classes.push_back(std::to_string(i));
    return converter_->finish(source, classes);
  }

 private:
  void take(TarMember member, const std::string& archive) {
    auto [key, extension] = split_name(member.name);
    if (key != sample_.key) end_sample();
    sample_.key = key;
    sample_.archive = archive;
    if (extension == "png" || extension == "jpg" || extension == "jpeg") {
      if (!sample_.picture_name.empty())
        throw DataError("sample '" + key + "' has two pictures", "", {archive + ":" + member.name});
      sample_.picture = std::move(member.bytes);
      sample_.picture_name = archive + ":" + member.name;
    } else if (extension == "cls") {
      sample_.label = std::move(member.bytes);
    } else {
      ++left_out_;
    }
  }

  int64_t label_of(const Sample& sample) const {
    std::string text = sample.label;
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    if (text.empty() || text.size() > 6 ||
        text.find_first_not_of("0123456789") != std::string::npos)
      throw DataError(sample.label.empty()
                          ? "sample '" + sample.key + "' has no .cls member, others have"
                          : "the .cls member of sample '" + sample.key + "' is no class number",
                      "labels=no leaves labels out", {sample.archive});
    return std::stoll(text);
  }

  void end_sample() {
    Sample sample = std::move(sample_);
    sample_ = {};
    if (sample.picture_name.empty()) return;
    if (sample.picture.empty()) throw DataError("the picture is empty", "", {sample.picture_name});
    if (!labeled_)
      labeled_ = options_.labels == "yes" || (options_.labels == "auto" && !sample.label.empty());
    if (!*labeled_ && options_.labels == "auto" && !sample.label.empty())
      throw DataError("sample '" + sample.key + "' has a .cls member, samples before it have none",
                      "labels=no leaves labels out", {sample.archive});
    const int64_t label = *labeled_ ? label_of(sample) : 0;
    largest_label_ = std::max(largest_label_, label);
    block_bytes_ += sample.picture.size();
    block_.push_back({std::move(sample.picture_name), std::move(sample.picture), label});
    if (block_.size() == kPictureBlock || block_bytes_ > size_t{256} << 20) flush();
  }

  void flush() {
    if (block_.empty()) return;
    if (!converter_)
      converter_ = std::make_unique<PictureConverter>(folder_, "lockstep data convert webdataset",
                                                      options_, *labeled_);
    converter_->add(block_);
    block_.clear();
    block_bytes_ = 0;
  }

  fs::path folder_;
  ConvertPicturesOptions options_;
  std::unique_ptr<PictureConverter> converter_;
  std::optional<bool> labeled_;
  int64_t largest_label_ = -1, left_out_ = 0;
  Sample sample_;
  std::vector<EncodedPicture> block_;
  size_t block_bytes_ = 0;
};

}  // namespace

Converted convert_webdataset(const std::string& input, const fs::path& folder,
                             const ConvertPicturesOptions& options, bool show_progress) {
  const std::vector<fs::path> archives = archives_of(input);
  int64_t total = 0, before = 0;
  for (const fs::path& archive : archives) total += static_cast<int64_t>(fs::file_size(archive));
  WebDatasetReader reader(folder, options);
  Progress progress("convert", total, "byte", show_progress);
  for (const fs::path& archive : archives) {
    reader.read(archive, [&](int64_t bytes) { progress.update(before + bytes); });
    before += static_cast<int64_t>(fs::file_size(archive));
  }
  Converted converted = reader.finish(input);
  progress.finish();
  return converted;
}

}  // namespace lockstep
