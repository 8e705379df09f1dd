#include "report/page_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/files.h"
#include "report/html.h"

namespace lockstep {
namespace {

// Where a YAML comment starts in a line that Lockstep printed, npos if there is none.
size_t comment_start(const std::string& line) {
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (quote != 0) {
      if (line[i] == '\\' && quote == '"')
        ++i;
      else if (line[i] == quote)
        quote = 0;
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line[i] == '#' && (i == 0 || line[i - 1] == ' ')) {
      return i;
    }
  }
  return std::string::npos;
}

void flatten(const Node& node, const std::string& path, Facts& out) {
  for (const auto& [key, value] : node.entries)
    flatten(value, path.empty() ? key : path + "." + key, out);
  bool plain = !node.items.empty();
  std::string list;
  for (const Node& item : node.items) {
    plain = plain && item.type == Node::Type::kScalar;
    list += (list.empty() ? "" : ", ") + item.scalar;
  }
  for (size_t i = 0; i < node.items.size() && !plain; ++i)
    flatten(node.items[i], path + "." + std::to_string(i), out);
  if (plain) out.emplace_back(path, "[" + list + "]");
  if (node.type == Node::Type::kScalar) out.emplace_back(path, node.scalar);
}

}  // namespace

std::vector<std::string> score_names(const std::vector<const Metrics*>& metrics) {
  std::vector<std::string> names;
  for (const Metrics* one : metrics) {
    for (const EvaluationLine& evaluation : one->evaluations) {
      for (const auto& [name, value] : evaluation.scores) {
        if (name != "seconds" && std::find(names.begin(), names.end(), name) == names.end())
          names.push_back(name);
      }
    }
  }
  return names;
}

double score(const EvaluationLine& evaluation, const std::string& name) {
  for (const auto& [key, value] : evaluation.scores)
    if (key == name) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<ChartPoint> points_of(const Metrics& metrics, const std::string& name) {
  std::vector<ChartPoint> points;
  bool any = false;
  for (const StepLine& line : metrics.steps) {
    points.push_back({static_cast<double>(line.step), line.value(name)});
    any = any || std::isfinite(points.back().y);
  }
  if (!any) points.clear();
  return points;
}

std::string chart_with_log(const std::string& id, const std::vector<ChartSeries>& series,
                           const std::vector<ChartMark>& marks, ChartOptions options) {
  const std::string linear = draw_chart(series, marks, options);
  options.log_y = true;
  const std::string log = draw_chart(series, marks, options);
  if (linear.empty() || log.empty()) return linear;
  return "<div class=scale><input type=checkbox id=" + id + "><label class=to-log for=" + id +
         ">log scale</label><label class=to-linear for=" + id +
         ">linear scale</label><div class=linear>" + linear + "</div><div class=log>" + log +
         "</div></div>\n";
}

std::string facts_table(const Facts& facts) {
  if (facts.empty()) return "";
  std::string out = "<div class=scroll><table>";
  for (const auto& [name, value] : facts) {
    out +=
        "<tr><td>" + escape_html(name) + "</td><td class=text>" + escape_html(value) + "</td></tr>";
  }
  return out + "</table></div>\n";
}

std::string inline_picture(const Picture& picture) {
  std::string bytes;
  try {
    bytes = read_file(picture.path, size_t{8} << 20);
  } catch (const Error&) {
    return "";
  }
  if (bytes.rfind("\x89PNG\r\n\x1a\n", 0) != 0) return "";
  const std::string what = picture.step >= 0 ? "samples at step " + std::to_string(picture.step)
                                             : picture.path.filename().string();
  return "<img alt='" + escape_html(what) + "' src='data:image/png;base64," + base64(bytes) + "'>";
}

std::string config_text(const std::string& config) {
  if (config.empty()) return "";
  std::string out = "<pre class=config>";
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = std::min(comment_start(line), line.size());
    out += escape_html(line.substr(0, at));
    if (at < line.size()) out += "<i>" + escape_html(line.substr(at)) + "</i>";
    out += "\n";
  }
  return out + "</pre>\n";
}

Facts config_values(const std::string& config) {
  Facts values;
  try {
    flatten(parse_yaml_text(config, "config.yaml"), "", values);
  } catch (const Error&) {
    return {};  // the page shows its text anyway
  }
  return values;
}

}  // namespace lockstep
