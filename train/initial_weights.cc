// Takes tensors of another run by name. Strict taking fails at the first thing that does not fit,
// since a network that is silently half fresh trains to worse numbers without a word.
#include "train/initial_weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "tensor/safetensors.h"
#include "train/checkpoint.h"

namespace lockstep {
namespace {

std::string mapped(const std::string& name, const std::vector<std::string>& rules) {
  for (const std::string& rule : rules) {
    const size_t equals = rule.find('=');
    const std::string from = rule.substr(0, equals);
    if (name.starts_with(from)) return rule.substr(equals + 1) + name.substr(from.size());
  }
  return name;
}

struct Source {
  NamedTensors weights, optimizer;
  std::string name;
};

// A folder that scripts/convert wrote: import.json beside plain safetensors files, no manifest.
Source open_import(const fs::path& folder, bool ema, bool optimizer) {
  const std::string file = (folder / "import.json").string();
  const auto facts = nlohmann::json::parse(read_file(file, 1 << 20), nullptr, false);
  if (!facts.is_object() || facts.value("format", "") != "lockstep-import" ||
      facts.value("version", 0) != 1)
    throw CheckpointError("this folder was imported by another version",
                          "import it again with scripts/convert", {file, 0, 0, ""});
  const fs::path averaged = folder / "ema.safetensors";
  if (ema && !fs::exists(averaged))
    throw ConfigError("init.parts asks for ema, and " + folder.string() +
                          " was imported without averaged weights",
                      "use init.parts=[model]");
  const fs::path moments = folder / "optimizer-00000-of-00001.safetensors";
  if (optimizer && !fs::exists(moments))
    throw ConfigError(
        "init.parts asks for the optimizer, and " + folder.string() + " was imported without one",
        "use init.parts=[model]");
  Source source;
  source.weights = load_safetensors(ema ? averaged : folder / "model.safetensors");
  if (optimizer) source.optimizer = load_safetensors(moments);
  source.name = folder.string();
  return source;
}

Source open_source(const InitOptions& options, bool ema, bool optimizer) {
  const fs::path path = options.from;
  if (fs::is_regular_file(path)) {
    if (optimizer)
      throw ConfigError("init.parts asks for the optimizer, and init.from is a single file",
                        "give a run or checkpoint folder");
    return {load_safetensors(path), {}, path.string()};
  }
  if (!fs::is_directory(path))
    throw ConfigError("init.from names no run, checkpoint or file: " + path.string());
  if (fs::exists(path / "import.json")) return open_import(path, ema, optimizer);
  fs::path checkpoint = path;
  if (!fs::exists(path / "MANIFEST.json")) {
    const auto newest = newest_good_checkpoint(RunFolder::find(path));
    if (!newest)
      throw CheckpointError("the run named by init.from has no checkpoint", "",
                            {path.string(), 0, 0, ""});
    checkpoint = *newest;
  }
  CheckpointContent content = load_checkpoint(checkpoint);
  if (ema && content.ema.empty())
    throw ConfigError("init.parts asks for ema, and " + checkpoint.string() + " has none",
                      "use init.parts=[model]");
  return {ema ? content.ema : content.model, content.optimizer, checkpoint.string()};
}

}  // namespace

std::string InitReport::text() const {
  std::string out = fmt::format("initial weights from {}: {} tensors taken", source, taken.size());
  if (!skipped.empty()) out += fmt::format("; skipped {}", fmt::join(skipped, ", "));
  if (!missing.empty()) out += fmt::format("; still fresh {}", fmt::join(missing, ", "));
  return out;
}

InitReport apply_initial_weights(const InitOptions& options, Model& model,
                                 NamedTensors* optimizer_state) {
  bool ema = false, weights = false, optimizer = false;
  for (const std::string& part : options.parts) {
    ema |= part == "ema";
    weights |= part == "model";
    optimizer |= part == "optimizer";
  }
  const Source source = open_source(options, ema, optimizer);
  InitReport report;
  report.source = source.name;
  NamedTensors values;
  for (const NamedTensor& entry : source.weights)
    values.push_back({mapped(entry.name, options.map), entry.tensor});

  if (weights || ema) {
    at::NoGradGuard no_grad;
    NamedTensors targets = model.parameters();
    for (const NamedTensor& buffer : model.buffers()) targets.push_back(buffer);
    for (const NamedTensor& target : targets) {
      const at::Tensor* value = find_tensor(values, target.name);
      if (value == nullptr || value->sizes() != target.tensor.sizes()) {
        report.missing.push_back(target.name);
        continue;
      }
      target.tensor.copy_(*value);
      report.taken.push_back(target.name);
    }
    for (const NamedTensor& value : values) {
      const at::Tensor* target = find_tensor(targets, value.name);
      if (target == nullptr || target->sizes() != value.tensor.sizes())
        report.skipped.push_back(value.name);
    }
  }
  if (options.strict && (!report.missing.empty() || !report.skipped.empty()))
    throw ConfigError("init.strict: not every tensor fits; " + report.text(),
                      "rename prefixes with init.map, or set init.strict=false");
  if (optimizer && optimizer_state != nullptr) *optimizer_state = source.optimizer;
  return report;
}

}  // namespace lockstep
