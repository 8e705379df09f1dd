// `pack`: a packing plan of a list of lengths, with its fill (design.md 5).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/errors.h"
#include "core/files.h"
#include "packing/length_file.h"
#include "packing/packers.h"
#include "tensor/safetensors.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

struct PackResult {
  std::string algorithm;
  int64_t capacity = 0, documents = 0, tokens = 0, packs = 0, lower_bound = 0;
  double seconds = 0;  // planning alone
  double fill() const {
    return static_cast<double>(tokens) /
           (static_cast<double>(packs) * static_cast<double>(capacity));
  }
};

// Documents by length in equal ranges, and rows by the share of them that holds tokens.
std::string histogram(const std::string& title, const std::vector<std::string>& labels,
                      const std::vector<int64_t>& counts) {
  constexpr int64_t kWidth = 50;
  const int64_t most = std::max<int64_t>(1, *std::max_element(counts.begin(), counts.end()));
  std::string text = title + "\n";
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t bar = (counts[i] * kWidth + most - 1) / most;
    std::string line;
    for (int64_t j = 0; j < bar; ++j) line += "█";
    text += fmt::format("  {:>21}  {:>10}  {}\n", labels[i], counts[i], line);
  }
  return text;
}

std::string length_histogram(const std::vector<int32_t>& lengths, int64_t capacity) {
  const int64_t bins = std::min<int64_t>(10, capacity);
  std::vector<int64_t> counts(bins);
  for (const int64_t length : lengths) ++counts[(length - 1) * bins / capacity];
  std::vector<std::string> labels;
  for (int64_t bin = 0; bin < bins; ++bin) {
    // Lengths with ⌊(length − 1)·bins / capacity⌋ = bin.
    const auto first = [&](int64_t b) { return (b * capacity + bins - 1) / bins + 1; };
    labels.push_back(fmt::format("{} to {}", first(bin), first(bin + 1) - 1));
  }
  return histogram("Documents by tokens", labels, counts);
}

std::string fill_histogram(const std::vector<int32_t>& lengths, const PackPlan& plan,
                           int64_t capacity) {
  std::vector<int64_t> counts(10);
  for (int64_t row = 0; row < plan.rows(); ++row) {
    int64_t tokens = 0;
    for (int64_t i = plan.offsets[row]; i < plan.offsets[row + 1]; ++i)
      tokens += lengths[plan.order[i]];
    ++counts[(tokens - 1) * 10 / capacity];
  }
  std::vector<std::string> labels;
  for (int tenth = 0; tenth < 10; ++tenth)
    labels.push_back(fmt::format("{} to {} %", 10 * tenth, 10 * (tenth + 1)));
  return histogram("Packs by fill", labels, counts);
}

std::string table(const PackResult& result) {
  return fmt::format(
      "{}: {} documents, {} tokens, {} a pack\n"
      "  packs        {}\n"
      "  lower bound  {}{}\n"
      "  fill         {:.3f} % ({} tokens of padding)\n"
      "  planned in   {:.4g} s\n",
      result.algorithm, result.documents, result.tokens, result.capacity, result.packs,
      result.lower_bound,
      result.packs == result.lower_bound
          ? " (reached)"
          : fmt::format(" (+{:.3f} %)", 100.0 * (result.packs - result.lower_bound) /
                                            static_cast<double>(result.lower_bound)),
      100 * result.fill(), result.packs * result.capacity - result.tokens, result.seconds);
}

void save_plan(const fs::path& output, PackPlan& plan) {
  const auto tensor = [](std::vector<int64_t>& values) {
    return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kLong);
  };
  const NamedTensors tensors{{"order", tensor(plan.order)}, {"offsets", tensor(plan.offsets)}};
  write_atomic(output, [&](const fs::path& path) { save_safetensors(path, tensors); });
}

}  // namespace

int pack_command(const Words& words) {
  const Arguments arguments(words, {{"--lengths", true},
                                    {"--capacity", true},
                                    {"--algorithm", true},
                                    {"--max-documents", true},
                                    {"--output", true},
                                    {"--threads", true},
                                    {"--json"}});
  arguments.no_positionals();
  arguments.no_overrides();
  const std::string path = arguments.required("--lengths", "pack");
  arguments.required("--capacity", "pack");
  const PackLimits limits{*arguments.integer("--capacity"),
                          arguments.integer("--max-documents").value_or(0)};
  if (limits.capacity < 1 || limits.capacity > INT32_MAX)
    throw ConfigError("--capacity takes 1 to 2147483647");
  if (arguments.has("--max-documents") && limits.max_documents < 1)
    throw ConfigError("--max-documents takes at least 1");
  const Packer& packer =
      find_packer(arguments.value("--algorithm").value_or("best_fit_decreasing"));
  const auto threads = static_cast<int>(std::min<int64_t>(arguments.threads(), 1024));

  const std::vector<int32_t> lengths = read_lengths(path, limits.capacity, threads);
  const auto begin = std::chrono::steady_clock::now();
  PackPlan plan = make_plan(packer, lengths, limits, threads);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;

  const PackResult result{packer.name,
                          limits.capacity,
                          static_cast<int64_t>(lengths.size()),
                          std::accumulate(lengths.begin(), lengths.end(), int64_t{0}),
                          plan.rows(),
                          lower_bound_of_rows(lengths, limits.capacity),
                          seconds.count()};
  if (const auto output = arguments.value("--output")) save_plan(*output, plan);
  if (!arguments.has("--json")) {
    std::fputs((table(result) + length_histogram(lengths, limits.capacity) +
                fill_histogram(lengths, plan, limits.capacity))
                   .c_str(),
               stdout);
    return 0;
  }
  nlohmann::ordered_json json;
  json["packs"] = result.packs;
  json["fill"] = result.fill();
  json["lower_bound"] = result.lower_bound;
  json["seconds"] = result.seconds;
  std::puts(json.dump().c_str());
  return 0;
}

}  // namespace lockstep
