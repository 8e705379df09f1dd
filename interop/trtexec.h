// TensorRT's `trtexec` for an exported ONNX file: its command line, and running it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "interop/exports.h"

namespace lockstep {

// Rows of a batch that the engine is built for: smallest, the one it is tuned for, largest.
struct BatchProfile {
  int64_t least = 1, best = 8, most = 64;
};

// "1,8,64" → BatchProfile. Throws ConfigError unless 1 ≤ a ≤ b ≤ c.
BatchProfile parse_batch_profile(const std::string& text);

// The words after which `precision` ("", "fp16" or "bf16") is allowed beside float32. Weights and
// layers that lose too much there stay float32 by TensorRT's choice. The engine goes to
// FILE.engine.
std::vector<std::string> trtexec_words(const std::filesystem::path& onnx,
                                       const std::vector<Exported::Input>& inputs,
                                       const BatchProfile& batch, const std::string& precision);

// Words as a person types them in a shell.
std::string shell_text(const std::vector<std::string>& words);

// The program `name` on the PATH; nothing if there is none.
std::optional<std::filesystem::path> find_program(const std::string& name);

// Runs `program` with `words` behind its name, its output on ours; returns its exit code, 128 +
// signal if it was killed. Throws EnvironmentError if it cannot be started.
int run_program(const std::filesystem::path& program, const std::vector<std::string>& words);

}  // namespace lockstep
