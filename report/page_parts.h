// The parts of a report page that single runs and comparisons share.
#pragma once

#include <string>
#include <vector>

#include "report/run_facts.h"
#include "report/svg_chart.h"

namespace lockstep {

// Names of all scores, in the order of their first appearance, without the evaluation's own time.
std::vector<std::string> score_names(const std::vector<const Metrics*>& metrics);

// Score of an evaluation; NaN if it has none of that name.
double score(const EvaluationLine& evaluation, const std::string& name);

// All values of one name over the logged steps.
std::vector<ChartPoint> points_of(const Metrics& metrics, const std::string& name);

// A chart with a switch between a linear and a logarithmic axis (no script: a check box).
std::string chart_with_log(const std::string& id, const std::vector<ChartSeries>& series,
                           const std::vector<ChartMark>& marks, ChartOptions options);

// Two columns, name and text; "" if empty.
std::string facts_table(const Facts& facts);

// A .png as a data URL in <img>, "" if it is no PNG or cannot be read.
std::string inline_picture(const Picture& picture);

// config.yaml with its comments dimmed.
std::string config_text(const std::string& config);

// "a.b.c" → value, for every scalar and plain list of a config.yaml; empty if it cannot be read.
Facts config_values(const std::string& config);

}  // namespace lockstep
