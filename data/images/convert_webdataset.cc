#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/images/image_files.h"
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
  std::error_code code;
  if (!fs::exists(input, code) && open != std::string::npos && dots != std::string::npos &&
      close != std::string::npos) {
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
    LeftOut others;
    for (const auto& entry : fs::directory_iterator(input)) {
      if (entry.path().extension() == ".tar")
        archives.push_back(entry.path());
      else
        others.add("file(s) or folder(s) not named .tar", entry.path().filename().string());
    }
    std::sort(archives.begin(), archives.end());
    if (!others.empty())
      log_warning(fmt::format("left out of {}: {}; compressed archives are unpacked first", input,
                              others.text()));
  } else {
    archives.emplace_back(input);
  }
  if (archives.empty()) throw DataError("the folder holds no .tar file", help, {input});
  for (const fs::path& archive : archives)
    if (!fs::exists(archive)) throw DataError("there is no such archive", help, {archive.string()});
  return archives;
}

// 0 for what has no size, such as a pipe; opening it will say so.
int64_t archive_bytes(const fs::path& archive) {
  std::error_code code;
  const auto bytes = fs::file_size(archive, code);
  return code ? 0 : static_cast<int64_t>(bytes);
}

// WebDataset's rule: the key is the path up to the first dot of its last component, what stands
// behind that dot is the field ("a/b.left.jpg" is field "left.jpg" of sample "a/b").
std::pair<std::string, std::string> split_name(const std::string& name) {
  const size_t slash = name.rfind('/'), start = slash == std::string::npos ? 0 : slash + 1,
               dot = name.find('.', start);
  if (dot == std::string::npos) return {name, ""};
  std::string field = name.substr(dot + 1);
  std::transform(field.begin(), field.end(), field.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return {name.substr(0, dot), field};
}

// "left.jpg" → ".jpg": what a field holds.
std::string kind_of_field(const std::string& field) {
  return field.empty() ? "" : "." + field.substr(field.rfind('.') + 1);
}

// The members of one sample that are used.
struct Sample {
  std::string key;
  std::vector<std::pair<std::string, TarMember>> pictures, labels;  // by field
};

// Of several fields the one that is only an extension ("jpg" before "left.jpg").
const TarMember& chosen(const std::vector<std::pair<std::string, TarMember>>& members,
                        const Sample& sample, const std::string& archive) {
  const TarMember* plain = nullptr;
  int64_t plains = 0;
  for (const auto& [field, member] : members)
    if (field.find('.') == std::string::npos) plain = &member, ++plains;
  if (members.size() == 1) return members[0].second;
  if (plains != 1)
    throw DataError(
        fmt::format("sample '{}' has two pictures or labels: '{}' and '{}'", sample.key,
                    members[0].second.name, members[1].second.name),
        "a sample's name ends at the first dot of its file's name, as WebDataset has it: "
        "rename the members so that each sample has one picture",
        {archive + ":" + members[1].second.name});
  return *plain;
}

// An archive's members as samples, in the order of their first members. The members of a sample
// need not stand together: labels may come after all pictures. A key that comes again with a field
// that its sample has already is another sample, as in concatenated archives.
class Samples {
 public:
  void add(const TarMember& member, LeftOut& left_out) {
    const auto [key, field] = split_name(member.name);
    const std::string kind = kind_of_field(field);
    const bool label = kind == ".cls";
    if (!is_our_picture(kind) && !label)
      return left_out.add(kind.empty() ? "member(s) without an ending" : "member(s) named " + kind,
                          member.name, is_other_picture(kind));
    Sample& sample = sample_of(key, field);
    (label ? sample.labels : sample.pictures).push_back({field, member});
  }
  const std::vector<Sample>& all() const { return samples_; }

 private:
  Sample& sample_of(const std::string& key, const std::string& field) {
    const auto [found, is_new] = newest_.try_emplace(key, samples_.size());
    if (!is_new) {
      Sample& sample = samples_[found->second];
      const bool has_it = std::any_of(sample.pictures.begin(), sample.pictures.end(),
                                      [&](const auto& other) { return other.first == field; }) ||
                          std::any_of(sample.labels.begin(), sample.labels.end(),
                                      [&](const auto& other) { return other.first == field; });
      if (!has_it) return sample;
      found->second = samples_.size();
    }
    samples_.push_back({key, {}, {}});
    return samples_.back();
  }

  std::vector<Sample> samples_;
  std::map<std::string, size_t> newest_;  // place of a key's newest sample
};

class WebDatasetReader {
 public:
  WebDatasetReader(const fs::path& folder, const ConvertPicturesOptions& options)
      : folder_(folder), options_(options) {}

  void read(const fs::path& archive, const std::function<void(int64_t)>& on_bytes) {
    TarReader reader(archive);
    const TarListing listing = reader.list();
    for (const auto& [name, reason] : listing.unused) left_out_.add("member(s): " + reason, name);
    Samples samples;
    for (const TarMember& member : listing.files) samples.add(member, left_out_);
    for (const Sample& sample : samples.all()) {
      if (sample.pictures.empty()) {
        left_out_.add("label(s) without a picture", sample.labels[0].second.name);
        continue;
      }
      take(sample, reader, archive.string());
      on_bytes(static_cast<int64_t>(sample.pictures[0].second.begin));
    }
  }

  Converted finish(const std::string& source) {
    flush();
    if (!left_out_.empty())
      log_warning(fmt::format("left out of {}: {}", source, left_out_.text()));
    if (!converter_)
      throw DataError("the archives hold no .png, .jpg or .jpeg member", "", {source});
    std::vector<std::string> classes;
    for (int64_t i = 0; *labeled_ && i <= largest_label_; ++i) classes.push_back(std::to_string(i));
    return converter_->finish(source, classes);
  }

 private:
  int64_t label_of(const Sample& sample, TarReader& reader, const std::string& archive) const {
    const char* help = "labels=no leaves labels out";
    if (sample.labels.empty())
      throw DataError("sample '" + sample.key + "' has no .cls member, others have", help,
                      {archive});
    std::string text = reader.read(chosen(sample.labels, sample, archive));
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    if (text.empty() || text.size() > 6 ||
        text.find_first_not_of("0123456789") != std::string::npos)
      throw DataError("the .cls member of sample '" + sample.key + "' is no class number", help,
                      {archive});
    return std::stoll(text);
  }

  void take(const Sample& sample, TarReader& reader, const std::string& archive) {
    const TarMember& picture = chosen(sample.pictures, sample, archive);
    const std::string name = archive + ":" + picture.name;
    if (picture.size == 0) throw DataError("the picture is empty", "", {name});
    if (!labeled_)
      labeled_ = options_.labels == "yes" || (options_.labels == "auto" && !sample.labels.empty());
    if (!*labeled_ && options_.labels == "auto" && !sample.labels.empty())
      throw DataError("sample '" + sample.key + "' has a .cls member, samples before it have none",
                      "labels=no leaves labels out", {archive});
    const int64_t label = *labeled_ ? label_of(sample, reader, archive) : 0;
    largest_label_ = std::max(largest_label_, label);
    block_bytes_ += picture.size;
    block_.push_back({name, reader.read(picture), label});
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
  int64_t largest_label_ = -1;
  LeftOut left_out_;
  std::vector<EncodedPicture> block_;
  size_t block_bytes_ = 0;
};

}  // namespace

Converted convert_webdataset(const std::string& input, const fs::path& folder,
                             const ConvertPicturesOptions& options, bool show_progress) {
  const std::vector<fs::path> archives = archives_of(input);
  int64_t total = 0, before = 0;
  for (const fs::path& archive : archives) total += archive_bytes(archive);
  WebDatasetReader reader(folder, options);
  Progress progress("convert", total, "byte", show_progress);
  for (const fs::path& archive : archives) {
    reader.read(archive, [&](int64_t bytes) { progress.update(before + bytes); });
    before += archive_bytes(archive);
  }
  Converted converted = reader.finish(input);
  progress.finish();
  return converted;
}

}  // namespace lockstep
