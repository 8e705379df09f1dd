// Options with a field of every type, and a table of two kinds: what the config tests read.
#pragma once

#include <string>
#include <vector>

#include "core/config/config_node.h"
#include "core/config/kinds.h"

namespace lockstep {

class Part {
 public:
  explicit Part(std::string text) : text(std::move(text)) {}
  std::string text;
};

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9;
  bool fused = true;
  void fields(FieldVisitor& visit) {
    visit("lr", lr, above(0), "learning rate");
    visit("beta1", beta1, Range{0, 1}, "decay of the mean");
    visit("fused", fused);
  }
};

struct SgdOptions {
  double lr = 0.1, momentum = 0;
  void fields(FieldVisitor& visit) {
    visit("lr", lr, above(0), "learning rate");
    visit("momentum", momentum, Range{0, 1});
  }
};

inline const Table<Part>& part_table() {
  static const Table<Part> table = [] {
    Table<Part> rows("optimizer");
    rows.add<AdamOptions>("adam", "adaptive", [](const AdamOptions& o) {
      return std::make_unique<Part>("adam " + std::to_string(o.beta1));
    });
    rows.add<SgdOptions>("sgd", "plain", [](const SgdOptions& o) {
      return std::make_unique<Part>("sgd " + std::to_string(o.momentum));
    });
    return rows;
  }();
  return table;
}

struct TrainOptions {
  int64_t steps = 100;
  Auto<int64_t> micro_batch;
  std::optional<double> clip_norm;
  std::vector<int64_t> dims = {1, 2};
  void fields(FieldVisitor& visit) {
    visit("steps", steps, Range{1, 1e6}, "updates in all");
    visit("micro_batch", micro_batch, at_least(1));
    visit("clip_norm", clip_norm, above(0));
    visit("dims", dims, at_least(1));
  }
};

struct GroupOptions {
  std::string pattern = ".*";
  double scale = 1;
  void fields(FieldVisitor& visit) {
    visit("pattern", pattern);
    visit("scale", scale);
  }
};

struct SampleOptions {
  std::string name = "run";
  std::string device = "auto";
  bool verbose = false;
  double limit = 1;
  Auto<bool> graph;
  Auto<double> rate{0.5};
  std::optional<int64_t> epochs;
  std::optional<std::string> note;
  std::vector<double> weights;
  std::vector<std::string> files;
  TrainOptions train;
  Choice optimizer{part_table(), "adam"};
  std::vector<Choice> evaluate;
  std::vector<GroupOptions> groups;

  void fields(FieldVisitor& visit) {
    visit("name", name, "of the run");
    visit("device", device, OneOf{{"auto", "cpu", "cuda", "off"}});
    visit("verbose", verbose);
    visit("limit", limit, Range{.infinite = true});
    visit("graph", graph);
    visit("rate", rate, Range{0, 1});
    visit("epochs", epochs, at_least(1));
    visit("note", note);
    visit("weights", weights);
    visit("files", files);
    visit("train", train, "how long");
    visit("optimizer", optimizer);
    visit("evaluate", evaluate, part_table());
    visit("groups", groups);
  }
};

inline std::function<void(FieldVisitor&)> visitor_of(SampleOptions& options) {
  return [&options](FieldVisitor& visit) { options.fields(visit); };
}

// Reads YAML text and overrides into fresh options.
inline SampleOptions read_sample(const std::string& text,
                                 const std::vector<std::string>& overrides = {},
                                 Sources* sources = nullptr) {
  Node root = parse_yaml_text(text, "sample.yaml");
  apply_overrides(root, overrides);
  SampleOptions options;
  read_fields(root, options, "", sources);
  return options;
}

}  // namespace lockstep
