// OnnxGraph::write: the graph as a ModelProto, tensors streamed behind it.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/version.h"
#include "interop/onnx_graph.h"

namespace lockstep {
namespace {

constexpr int64_t kIrVersion = 8, kOpset = 17;
constexpr uint64_t kLargestMessage = uint64_t{2} << 30;  // protobuf's limit, less one byte
constexpr uint64_t kQuickBytes = uint64_t{256} << 20;    // written before anybody wonders
constexpr uint64_t kReserve = uint64_t{1} << 20;
constexpr size_t kSmallest = 1024;     // bytes of a tensor that goes outside
constexpr uint64_t kAlignment = 4096;  // of its place there, so that readers can map it

namespace model_field {
constexpr int kIr = 1, kProducer = 2, kProducerVersion = 3, kGraph = 7, kOpset = 8, kMetadata = 14;
}
namespace graph_field {
constexpr int kName = 2, kTensor = 5;
}
namespace tensor_field {
constexpr int kDims = 1, kDtype = 2, kName = 8, kRaw = 9, kExternal = 13, kLocation = 14;
}
constexpr int64_t kOutside = 1;

// A file that is written from front to end.
class Output {
 public:
  explicit Output(const fs::path& path) : path_(path), file_(std::fopen(path.c_str(), "wb")) {
    check(file_ != nullptr);
  }
  ~Output() {
    if (file_ != nullptr) std::fclose(file_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  void write(const void* data, size_t size) {
    check(std::fwrite(data, 1, size, file_) == size);
    written_ += size;
  }
  void write(const std::string& text) { write(text.data(), text.size()); }
  uint64_t written() const { return written_; }
  void close() { check(std::fclose(std::exchange(file_, nullptr)) == 0); }

 private:
  void check(bool good) const {
    if (!good)
      throw EnvironmentError(fmt::format("cannot write '{}': {}", path_.string(),
                                         std::generic_category().message(errno)),
                             errno == ENOSPC ? "free some space, or write to another folder" : "");
  }
  fs::path path_;
  std::FILE* file_;
  uint64_t written_ = 0;
};

ProtoMessage pair(const std::string& key, const std::string& value) {
  ProtoMessage out;
  out.bytes(1, key);
  out.bytes(2, value);
  return out;
}

// Where the bytes of a tensor lie in FILE.data.
struct Outside {
  std::string file;
  uint64_t offset;
};

// TensorProto; without `outside` up to the length of its raw data, which the caller writes next.
ProtoMessage tensor_head(const NamedTensor& entry, const std::optional<Outside>& outside) {
  ProtoMessage out;
  for (const int64_t size : entry.tensor.sizes()) out.integer(tensor_field::kDims, size);
  out.integer(tensor_field::kDtype, onnx_dtype(entry.tensor.scalar_type()));
  out.bytes(tensor_field::kName, entry.name);
  if (outside) {
    out.message(tensor_field::kExternal, pair("location", outside->file));
    out.message(tensor_field::kExternal, pair("offset", std::to_string(outside->offset)));
    out.message(tensor_field::kExternal, pair("length", std::to_string(entry.tensor.nbytes())));
    out.integer(tensor_field::kLocation, kOutside);
  } else {
    out.begin_bytes(tensor_field::kRaw, entry.tensor.nbytes());
  }
  return out;
}

uint64_t aligned(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

// What comes before each tensor's bytes in the .onnx file (with the field's key), and which lie
// outside.
struct Layout {
  std::vector<std::string> heads;
  std::vector<std::optional<Outside>> outside;
  uint64_t tensor_bytes = 0;  // of heads and inner tensors
  bool any_outside = false;
};

Layout lay_out(const NamedTensors& tensors, const std::string& data_file, bool external) {
  Layout layout;
  uint64_t end = 0;
  for (const NamedTensor& entry : tensors) {
    std::optional<Outside> outside;
    if (external && entry.tensor.nbytes() >= kSmallest) {
      outside = Outside{data_file, aligned(end)};
      end = outside->offset + entry.tensor.nbytes();
      layout.any_outside = true;
    }
    const ProtoMessage head = tensor_head(entry, outside);
    ProtoMessage field;
    const uint64_t inner = outside ? 0 : entry.tensor.nbytes();
    field.begin_bytes(graph_field::kTensor, head.text().size() + inner);
    layout.heads.push_back(field.text() + head.text());
    layout.tensor_bytes += layout.heads.back().size() + inner;
    layout.outside.push_back(outside);
  }
  return layout;
}

void write_data(const fs::path& path, const NamedTensors& tensors, const Layout& layout,
                Progress& bar) {
  Output out(path);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!layout.outside[i]) continue;
    out.write(std::string(layout.outside[i]->offset - out.written(), '\0'));
    out.write(tensors[i].tensor.const_data_ptr(), tensors[i].tensor.nbytes());
    bar.update(static_cast<int64_t>(out.written() >> 20));
  }
  out.close();
}

}  // namespace

void OnnxGraph::write(const fs::path& path, const OnnxFileOptions& options) const {
  uint64_t total = nodes_.text().size() + kReserve;
  for (const NamedTensor& entry : tensors_) total += entry.tensor.nbytes() + 256;
  const std::string data_file = path.filename().string() + ".data";
  const Layout layout =
      lay_out(tensors_, data_file, options.external_data || total >= kLargestMessage);
  Progress bar("export", static_cast<int64_t>(total >> 20), "MB", total > kQuickBytes);

  ProtoMessage head, graph;
  head.integer(model_field::kIr, kIrVersion);
  head.bytes(model_field::kProducer, "lockstep");
  head.bytes(model_field::kProducerVersion, kVersion);
  ProtoMessage opset;
  opset.bytes(1, "");
  opset.integer(2, kOpset);
  head.message(model_field::kOpset, opset);
  for (const auto& [key, value] : options.metadata)
    head.message(model_field::kMetadata, pair(key, value));
  graph.bytes(graph_field::kName, name_);
  const std::string small = graph.text() + inputs_.text() + outputs_.text() + nodes_.text();
  head.begin_bytes(model_field::kGraph, small.size() + layout.tensor_bytes);

  const auto write_model = [&](const fs::path& temporary) {
    Output out(temporary);
    out.write(head.text());
    out.write(small);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      out.write(layout.heads[i]);
      if (!layout.outside[i])
        out.write(tensors_[i].tensor.const_data_ptr(), tensors_[i].tensor.nbytes());
      bar.update(static_cast<int64_t>(out.written() >> 20));
    }
    out.close();
  };
  if (layout.any_outside)
    write_atomic(path.parent_path() / data_file,
                 [&](const fs::path& temporary) { write_data(temporary, tensors_, layout, bar); });
  write_atomic(path, write_model);
  bar.finish();
}

}  // namespace lockstep
