#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "core/program_name.h"
#include "report/page_parts.h"
#include "report/report.h"
#include "report/terminal_drawings.h"

namespace lockstep {
namespace {

constexpr size_t kSparkWidth = 48;

// Columns that a terminal needs for UTF-8 text without wide characters.
size_t columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  }));
}

std::string scores(const RunFacts& facts) {
  if (facts.metrics.evaluations.empty()) return "";
  const EvaluationLine& last = facts.metrics.evaluations.back();
  const std::map<std::string, double> targets(facts.targets.begin(), facts.targets.end());
  size_t width = 0;
  for (const auto& [name, value] : last.scores) width = std::max(width, columns(name));
  std::string out;
  for (const auto& [name, value] : last.scores) {
    if (name == "seconds") continue;
    const std::string text = score_text(name, value);
    out += "    " + name + std::string(width - columns(name) + 2, ' ') +
           std::string(columns(text) < 10 ? 10 - columns(text) : 0, ' ') + text;
    if (const auto target = targets.find(name); target != targets.end()) {
      const bool smaller = facts.metrics.smaller_is_better.contains(name);
      const bool met = smaller ? value <= target->second : value >= target->second;
      out += fmt::format("   {} {} {}", met ? "✓" : "✗", smaller ? "≤" : "≥",
                         score_text(name, target->second));
    }
    out += "\n";
  }
  return out.empty() ? "" : "  scores at step " + count_text(last.step) + "\n" + out;
}

std::string loss_line(const RunFacts& facts) {
  std::vector<double> losses;
  for (const ChartPoint& point : points_of(facts.metrics, "loss"))
    if (std::isfinite(point.y)) losses.push_back(point.y);
  if (losses.empty()) return "";
  return fmt::format("  loss     {} → {}  {}\n", score_text(losses.front()),
                     score_text(losses.back()), sparkline(losses, kSparkWidth));
}

// Commands that go on from a run, as far as its task has them.
std::string next_line(const RunFacts& facts) {
  const std::string folder = shell_quoted(facts.run.root.string()),
                    kind = fact(config_values(facts.config), "task.kind");
  std::string next = "lockstep sample " + folder;
  if (kind == "image_diffusion") next += " --count 64 --output grid.png";
  if (kind == "sudoku2vec")
    next = "lockstep train CONFIG task.model.embedding=" + folder;  // it draws nothing by itself
  return "  next     " + next + "\n           lockstep evaluate " + folder + "\n";
}

}  // namespace

std::string sparkline(const std::vector<double>& values, size_t width) {
  static const char* const kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const size_t count = std::min(width, values.size());
  std::vector<double> means;
  for (size_t b = 0; b < count; ++b) {
    double sum = 0;
    int finite = 0;
    for (size_t i = b * values.size() / count; i < (b + 1) * values.size() / count; ++i) {
      if (!std::isfinite(values[i])) continue;
      sum += values[i];
      ++finite;
    }
    means.push_back(finite > 0 ? sum / finite : std::nan(""));
  }
  double low = INFINITY, high = -INFINITY;
  for (double mean : means)
    if (std::isfinite(mean)) low = std::min(low, mean), high = std::max(high, mean);
  std::string out;
  for (double mean : means) {
    const double share = high > low ? (mean - low) / (high - low) : 0.5;
    out += std::isfinite(mean) ? kBlocks[std::min(7, static_cast<int>(share * 8))] : " ";
  }
  return out;
}

std::string closing_summary(const RunFolder& run) {
  const RunFacts facts = read_run_facts(run);
  std::string out = fmt::format("{}: {} of {} steps, {} of training\n",
                                facts.state.empty() ? "run" : facts.state, count_text(facts.step),
                                count_text(facts.steps), duration_text(facts.metrics.seconds()));
  out += loss_line(facts) + scores(facts);
  if (!facts.pictures.empty()) out += "  picture  " + facts.pictures.back().path.string() + "\n";
  out += "  report   " + run.report().string() + "\n";
  return out + next_line(facts);
}

}  // namespace lockstep
