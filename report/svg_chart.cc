#include "report/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "report/html.h"

namespace lockstep {
namespace {

constexpr double kWidth = 640, kHeight = 240, kLeft = 62, kRight = 16, kTop = 12, kBottom = 26;

struct Frame {
  double low_x = 0, high_x = 1, low_y = 0, high_y = 1;
  bool log_y = false, log_x = false;

  double x(double value) const {
    const double v = log_x ? std::log10(value) : value;
    return kLeft + (v - low_x) / (high_x - low_x) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    const double v = log_y ? std::log10(value) : value;
    return kHeight - kBottom - (v - low_y) / (high_y - low_y) * (kHeight - kTop - kBottom);
  }
};

bool is_shown(const ChartPoint& point, bool log_x, bool log_y) {
  return std::isfinite(point.y) && (!log_y || point.y > 0) && (!log_x || point.x > 0);
}

// False if there is nothing to draw.
bool fit(const std::vector<ChartSeries>& series, const ChartOptions& options, Frame& frame) {
  const double infinity = std::numeric_limits<double>::infinity();
  double low_x = infinity, high_x = -infinity, low_y = infinity, high_y = -infinity;
  for (const ChartSeries& one : series) {
    for (const ChartPoint& point : one.points) {
      if (!is_shown(point, options.log_x, options.log_y)) continue;
      const double x = options.log_x ? std::log10(point.x) : point.x,
                   y = options.log_y ? std::log10(point.y) : point.y;
      low_x = std::min(low_x, x), high_x = std::max(high_x, x);
      low_y = std::min(low_y, y), high_y = std::max(high_y, y);
    }
  }
  if (low_x > high_x) return false;
  if (options.from_zero && !options.log_y) low_y = std::min(low_y, 0.0);
  if (high_x == low_x) low_x -= 0.5, high_x += 0.5;
  if (options.log_x) low_x -= 0.02 * (high_x - low_x), high_x += 0.02 * (high_x - low_x);
  const double span = high_y - low_y;
  const double room =
      span > 0 ? 0.05 * span : std::max(0.05 * std::fabs(high_y), options.log_y ? 0.2 : 1e-12);
  const bool at_zero = options.from_zero && low_y == 0;
  frame = {low_x, high_x, at_zero ? 0 : low_y - room, high_y + room, options.log_y, options.log_x};
  return true;
}

std::string tick_text(double value, double step, bool percent) {
  if (percent) return fmt::format("{:.{}f} %", 100 * value, step < 0.0099 ? 1 : 0);
  const double size = std::fabs(value);
  if (value == 0) return "0";
  if (size >= 1e9) return fmt::format("{:g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  if (size < 1e-3) return fmt::format("{:.3g}", value);
  return fmt::format("{:.6g}", value);
}

std::string axes(const Frame& frame, const ChartOptions& options) {
  std::string out;
  const std::vector<double> ys =
      options.log_y ? log_ticks(std::pow(10, frame.low_y), std::pow(10, frame.high_y))
                    : nice_ticks(frame.low_y, frame.high_y, 5);
  const double step = ys.size() > 1 ? ys[1] - ys[0] : 1;
  for (double value : ys) {
    out += fmt::format("<line class=grid x1={:.1f} x2={:.1f} y1={:.1f} y2={:.1f} />", kLeft,
                       kWidth - kRight, frame.y(value), frame.y(value));
    out += fmt::format("<text class=axis x={:.1f} y={:.1f} text-anchor=end>{}</text>", kLeft - 6,
                       frame.y(value) + 4.5, tick_text(value, step, options.percent));
  }
  const std::vector<double> xs =
      options.log_x ? log_ticks(std::pow(10, frame.low_x), std::pow(10, frame.high_x))
                    : nice_ticks(frame.low_x, frame.high_x, 6);
  for (double value : xs) {
    if (!options.log_x && value != std::floor(value)) continue;  // steps are whole
    const bool at_edge = frame.x(value) > kWidth - kRight - 20;
    out += fmt::format("<text class=axis x={:.1f} y={:.1f} text-anchor={}>{}</text>",
                       at_edge ? kWidth - 2 : frame.x(value), kHeight - 7,
                       at_edge ? "end" : "middle", tick_text(value, 1, false));
  }
  return out;
}

std::string path(const ChartSeries& series, const Frame& frame, bool dotted) {
  std::string data;
  bool pen_down = false;
  size_t run = 0;  // points since the pen went down
  std::string dots;
  const auto lift = [&](const ChartPoint* last) {
    if (run == 1 && last != nullptr && !dotted) {
      dots += fmt::format("<circle class='dot {}' cx={:.1f} cy={:.1f} r=2.5 />", series.css_class,
                          frame.x(last->x), frame.y(last->y));
    }
    pen_down = false;
    run = 0;
  };
  const ChartPoint* last = nullptr;
  for (const ChartPoint& point : series.points) {
    if (!is_shown(point, frame.log_x, frame.log_y)) {
      lift(last);
      continue;
    }
    data +=
        fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', frame.x(point.x), frame.y(point.y));
    if (dotted)
      dots += fmt::format("<circle class='dot {}' cx={:.1f} cy={:.1f} r=3 />", series.css_class,
                          frame.x(point.x), frame.y(point.y));
    pen_down = true;
    ++run;
    last = &point;
  }
  lift(last);
  return fmt::format("<path class='{}' d='{}' />", series.css_class, data) + dots;
}

std::string mark(const ChartMark& mark, const Frame& frame) {
  if (mark.x < frame.low_x || mark.x > frame.high_x) return "";
  const double x = frame.x(mark.x), bottom = kHeight - kBottom;
  const std::string title = "<title>" + escape_html(mark.text) + "</title>";
  if (mark.css_class == "evaluation") {
    return fmt::format("<path class='mark evaluation' d='M{:.1f} {:.1f}l-4 7h8z'>{}</path>", x,
                       bottom - 7, title);
  }
  const double end = mark.css_class == "bad" ? kTop + 24 : bottom;
  return fmt::format("<line class='mark {}' x1={:.1f} x2={:.1f} y1={:.1f} y2={:.1f}>{}</line>",
                     mark.css_class, x, x, kTop, end, title);
}

}  // namespace

std::string draw_chart(const std::vector<ChartSeries>& series, const std::vector<ChartMark>& marks,
                       const ChartOptions& options) {
  Frame frame;
  if (!fit(series, options, frame)) return "";
  std::string out = "<figure><figcaption><b>" + escape_html(options.title) + "</b>";
  if (!options.unit.empty()) out += " <small>" + escape_html(options.unit) + "</small>";
  for (const ChartSeries& one : series) {
    if (!one.name.empty() && !one.points.empty()) {
      out += fmt::format(" <span class='key'><i class='{}'></i>{}</span>", one.css_class,
                         escape_html(one.name));
    }
  }
  out += fmt::format("</figcaption><svg viewBox='0 0 {} {}' role=img aria-label='{}'>", kWidth,
                     kHeight, escape_html(options.title));
  out += axes(frame, options);
  for (const ChartMark& one : marks) out += mark(one, frame);
  for (const ChartSeries& one : series) out += path(one, frame, options.dots);
  return out + "</svg></figure>\n";
}

std::vector<ChartPoint> smoothed(const std::vector<ChartPoint>& points, double span) {
  const double keep = std::max(0.0, 1 - 2 / (span + 1));
  double sum = 0, weight = 0;
  std::vector<ChartPoint> out;
  for (const ChartPoint& point : points) {
    if (!std::isfinite(point.y)) continue;
    sum = keep * sum + (1 - keep) * point.y;
    weight = keep * weight + (1 - keep);
    out.push_back({point.x, sum / weight});
  }
  return out;
}

std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points, size_t buckets) {
  if (points.size() <= 2 * buckets) return points;
  std::vector<ChartPoint> out;
  for (size_t b = 0; b < buckets; ++b) {
    const size_t first = b * points.size() / buckets, end = (b + 1) * points.size() / buckets;
    size_t low = first, high = first;
    for (size_t i = first; i < end; ++i) {
      // NaN is neither less nor greater: a bucket that starts with one is shown as a gap.
      if (points[i].y < points[low].y) low = i;
      if (points[i].y > points[high].y) high = i;
    }
    out.push_back(points[std::min(low, high)]);
    if (low != high) out.push_back(points[std::max(low, high)]);
  }
  return out;
}

std::vector<double> nice_ticks(double low, double high, int count) {
  const double raw = (high - low) / std::max(1, count);
  if (!(raw > 0)) return {low};
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double factor : {5.0, 2.0, 1.0})
    if (factor * power >= raw * 0.7) step = factor * power;
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k)
    ticks.push_back(k == 0 ? 0 : k * step);
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low))),
            last = static_cast<int>(std::ceil(std::log10(high)));
  const int stride = std::max(1, (last - first) / 6);
  std::vector<double> ticks;
  for (int exponent = first; exponent <= last; ++exponent) {
    if ((exponent - first) % stride != 0) continue;
    for (double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10, exponent);
      if (last - first > 3 && factor != 1.0) continue;
      if (value >= low && value <= high) ticks.push_back(value);
    }
  }
  if (ticks.size() < 2) return nice_ticks(low, high, 4);
  return ticks;
}

}  // namespace lockstep
