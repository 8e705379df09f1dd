// The formats that a trained model is written in for other programs (`lockstep export --format F`).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "tensor/named.h"

namespace lockstep {

// What is exported. The caller has read and checked it.
struct ExportSource {
  const Choice* task = nullptr;  // the config's sections
  const Choice* sampler = nullptr;
  NamedTensors weights;  // parameters and buffers of the task's model, in its order
  std::string which;     // "ema", "model" or the name of a weights file, for metadata
  int64_t step = 0;      // of the checkpoint; 0 for a file
};

struct ExportRequest {
  std::filesystem::path output;
  bool force = false;          // replace what is there
  bool guidance = false;       // ONNX: the guidance weight as an input
  bool external_data = false;  // ONNX: tensors beside the file
};

// What was written: for the message, and for tools that go on with it.
struct Exported {
  std::vector<std::string> facts;  // lines for people, without a dot
  struct Input {
    std::string name;
    std::vector<int64_t> shape;  // -1: the batch
  };
  std::vector<Input> inputs;  // of an ONNX graph
};

struct ExportFormat {
  const char* name;
  const char* extension;  // "": a folder
  const char* doc;
  // Throws ConfigError for a task or model that the format has no room for, EnvironmentError if it
  // cannot be written.
  Exported (*write)(const ExportSource& source, const ExportRequest& request);
};

// Rows: safetensors, onnx, diffusers.
const std::vector<ExportFormat>& export_formats();

// The format called `name`; without a name, the one whose extension `output` has. Throws
// ConfigError with the nearest name.
const ExportFormat& find_export_format(const std::string& name,
                                       const std::filesystem::path& output);

// What describes the source, as keys and texts for metadata: producer, task, model, step, weights,
// and the task's section as JSON. No path, host or time: the same source gives the same bytes.
std::map<std::string, std::string> export_metadata(const ExportSource& source);

Exported export_safetensors(const ExportSource& source, const ExportRequest& request);
Exported export_onnx(const ExportSource& source, const ExportRequest& request);
Exported export_diffusers(const ExportSource& source, const ExportRequest& request);

// "141 tensors, 50219 numbers (ema)".
std::string weights_fact(const ExportSource& source);

// The diffusers release that exported folders were tried with.
inline constexpr const char* kDiffusersVersion = "0.42.1";

}  // namespace lockstep
