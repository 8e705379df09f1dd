// Line charts as inline SVG: no script, readable in light and dark, sharp at any size.
//
// Colours come from the page's style sheet by class: the series' own class, `grid`, `axis`, `mark`.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

struct ChartPoint {
  double x = 0, y = 0;  // points whose y is not finite are left out, the line has a gap there
};

struct ChartSeries {
  std::string name;                // "" = not in the legend
  std::string css_class;           // "line s0", "raw s0"
  std::vector<ChartPoint> points;  // x ascending
};

// A position on the x axis worth knowing: an evaluation, a new attempt, a damaged line.
struct ChartMark {
  double x = 0;
  std::string css_class;  // "evaluation", "attempt", "bad"
  std::string text;       // shown when the pointer rests on it
};

struct ChartOptions {
  std::string title;
  std::string unit;        // behind the title
  bool log_y = false;      // values ≤ 0 are left out
  bool from_zero = false;  // the y axis starts at 0
  bool percent = false;    // y in shares, labelled in percent
  bool log_x = false;      // x in powers of ten, not in whole steps; values ≤ 0 are left out
  bool dots = false;       // a dot at every point
};

// A figure of about 640 × 240 units; "" if no series has a point.
std::string draw_chart(const std::vector<ChartSeries>& series, const std::vector<ChartMark>& marks,
                       const ChartOptions& options);

// Mean with exponentially falling weights over about `span` points, unbiased at the start; points
// that are not finite are skipped.
std::vector<ChartPoint> smoothed(const std::vector<ChartPoint>& points, double span);

// At most about 2·`buckets` points that keep each bucket's least and greatest value, so that
// spikes stay visible.
std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points, size_t buckets);

// Round numbers that cover [low, high], about `count` of them.
std::vector<double> nice_ticks(double low, double high, int count);
// 1, 2, 5 per decade, or powers of ten where there are many decades.
std::vector<double> log_ticks(double low, double high);

}  // namespace lockstep
