#include "report/run_facts.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

std::string read_text(const fs::path& path) {
  std::error_code missing;
  if (!fs::is_regular_file(path, missing)) return "";
  try {
    return read_file(path, size_t{1} << 24);
  } catch (const Error&) {
    return "";
  }
}

Json read_json(const fs::path& path) {
  Json json = Json::parse(read_text(path), nullptr, false);
  return json.is_object() ? json : Json::object();
}

void flatten(const Json& json, const std::string& prefix, Facts& out) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      flatten(value, prefix + key + ".", out);
    } else if (value.is_string()) {
      out.emplace_back(prefix + key, value.get<std::string>());
    } else if (value.is_array()) {
      std::string text;
      for (const Json& item : value)
        text +=
            (text.empty() ? "" : " ") + (item.is_string() ? item.get<std::string>() : item.dump());
      out.emplace_back(prefix + key, text);
    } else {
      out.emplace_back(prefix + key, value.dump());
    }
  }
}

Facts read_facts(const fs::path& path) {
  Facts facts;
  flatten(read_json(path), "", facts);
  return facts;
}

int64_t to_number(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int64_t step_of(const std::string& name) {
  return name.rfind("step-", 0) == 0 ? to_number(name.substr(5)) : -1;
}

std::vector<Picture> find_pictures(const RunFolder& run) {
  std::vector<Picture> pictures;
  std::error_code error;
  for (fs::directory_iterator it(run.samples(), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".png")
      pictures.push_back({step_of(it->path().filename()), it->path()});
  }
  std::sort(pictures.begin(), pictures.end(), [](const Picture& a, const Picture& b) {
    return std::pair(a.step, a.path) < std::pair(b.step, b.path);
  });
  return pictures;
}

std::vector<CheckpointFact> find_checkpoints(const RunFolder& run) {
  std::vector<CheckpointFact> found;
  std::error_code error;
  const fs::path latest = fs::read_symlink(run.latest(), error).filename();
  for (fs::directory_iterator it(run.checkpoints(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.rfind("step-", 0) != 0) continue;
    CheckpointFact one{name, 0, false, name == latest};
    std::error_code ignored;
    for (fs::directory_iterator file(it->path(), ignored), last; !ignored && file != last;
         file.increment(ignored)) {
      std::error_code none;
      const uint64_t size = file->file_size(none);
      if (!none) one.bytes += size;
      one.complete = one.complete || file->path().filename() == "MANIFEST.json";
    }
    found.push_back(one);
  }
  std::sort(found.begin(), found.end(),
            [](const CheckpointFact& a, const CheckpointFact& b) { return a.name < b.name; });
  return found;
}

bool contains(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return text.find(word) != std::string::npos; });
}

}  // namespace

RunFacts read_run_facts(const RunFolder& run) {
  RunFacts facts;
  facts.run = run;
  const fs::path path = fs::absolute(run.root).lexically_normal();
  const fs::path clean = path.has_filename() ? path : path.parent_path();
  facts.name = clean.parent_path().filename().string() + "/" + clean.filename().string();
  const Facts status = read_facts(run.status());
  facts.state = fact(status, "state");
  facts.step = to_number(fact(status, "step"));
  facts.exit_code = static_cast<int>(to_number(fact(status, "exit_code")));
  facts.metrics = read_metrics(run);
  if (!facts.metrics.steps.empty())
    facts.step = std::max(facts.step, facts.metrics.steps.back().step);
  facts.plan = read_facts(run.plan());
  facts.steps = to_number(fact(facts.plan, "steps"));
  facts.environment = read_facts(run.environment());
  facts.error = read_facts(run.error());
  const Json plan = read_json(run.plan());
  if (const auto targets = plan.find("targets"); targets != plan.end() && targets->is_object()) {
    for (const auto& [score, value] : targets->items())
      if (value.is_number()) facts.targets.emplace_back(score, value.get<double>());
  }
  facts.config = read_text(run.config());
  facts.pictures = find_pictures(run);
  facts.checkpoints = find_checkpoints(run);
  return facts;
}

std::string fact(const Facts& facts, const std::string& name) {
  for (const auto& [key, value] : facts)
    if (key == name) return value;
  return "";
}

bool is_share(const std::string& name) {
  return contains(name, {"rate", "validity", "valid", "accuracy", "distinct", "share", "solved",
                         "fill"}) &&
         !contains(name, {"loss"});
}

std::string score_text(const std::string& name, double value) {
  if (!is_share(name) || !(value >= 0 && value <= 1)) return score_text(value);
  return fmt::format("{:.{}f} %", 100 * value, value > 0.99 && value < 1 ? 2 : 1);
}

std::string duration_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string bytes_text(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.2f} GB", bytes / 1e9);
}

std::string count_text(int64_t count) {
  std::string text = std::to_string(count);
  const size_t start = count < 0 ? 1 : 0;
  for (size_t at = text.size(); at > start + 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

}  // namespace lockstep
