#include <cmath>

#include <gtest/gtest.h>

#include "report/html.h"
#include "report/page_parts.h"
#include "report/svg_chart.h"
#include "report/terminal_drawings.h"

namespace lockstep {
namespace {

TEST(Html, EscapesWhatCouldBreakThePage) {
  EXPECT_EQ(escape_html("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
  EXPECT_EQ(escape_html("ä€😀"), "ä€😀");
  EXPECT_EQ(escape_html("a\xff"
                        "b\xc3"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(escape_html(std::string("a\0\x1b"
                                    "b",
                                    4)),
            "a\xEF\xBF\xBD\xEF\xBF\xBD"
            "b");
}

TEST(Base64, IsThatOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string("\xff\x00\xfe", 3)), "/wD+");
}

TEST(Sparkline, HasOneBlockABucket) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({0, 0, 7, 7}, 2), "▁█");
  EXPECT_EQ(sparkline({3, 3}, 5), "▅▅");
  EXPECT_EQ(sparkline({1, std::nan(""), 0}, 3), "█ ▁");
  EXPECT_EQ(sparkline({}, 5), "");
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_EQ(nice_ticks(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(nice_ticks(-3, 12, 3), (std::vector<double>{0, 5, 10}));
  EXPECT_EQ(nice_ticks(5, 5, 4), (std::vector<double>{5}));
  EXPECT_EQ(log_ticks(0.5, 20), (std::vector<double>{0.5, 1, 2, 5, 10, 20}));
  const std::vector<double> decades = log_ticks(1e-8, 1);
  EXPECT_LE(decades.size(), 9u);
  EXPECT_GE(decades.size(), 4u);
}

TEST(Smoothed, IsTheMeanOfAConstantAndSkipsGaps) {
  const std::vector<ChartPoint> out = smoothed({{1, 2}, {2, std::nan("")}, {3, 2}}, 10);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_DOUBLE_EQ(out[0].y, 2);
  EXPECT_DOUBLE_EQ(out[1].y, 2);
  EXPECT_EQ(out[1].x, 3);
  // Span 3 keeps half: (1·½ + 3) / (½ + 1) of the weights ½·½ and ½.
  EXPECT_DOUBLE_EQ(smoothed({{1, 1}, {2, 3}}, 3)[1].y, (0.25 * 1 + 0.5 * 3) / 0.75);
}

TEST(Thinned, KeepsSpikes) {
  std::vector<ChartPoint> points;
  for (int i = 0; i < 10000; ++i)
    points.push_back({static_cast<double>(i), i == 5003 ? 100.0 : i == 7001 ? -100.0 : 0.0});
  const std::vector<ChartPoint> out = thinned(points, 50);
  EXPECT_LE(out.size(), 100u);
  const auto has = [&](double x) {
    return std::any_of(out.begin(), out.end(), [&](const ChartPoint& p) { return p.x == x; });
  };
  EXPECT_TRUE(has(5003));
  EXPECT_TRUE(has(7001));
  EXPECT_TRUE(std::is_sorted(out.begin(), out.end(),
                             [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; }));
}

TEST(Chart, LeavesAGapWhereAValueIsNotFinite) {
  const std::string svg =
      draw_chart({{"", "line s0", {{0, 1}, {1, 2}, {2, std::nan("")}, {3, 1}, {4, 2}}}}, {}, {"t"});
  const size_t path = svg.find("<path class='line s0'");
  ASSERT_NE(path, std::string::npos);
  const std::string data = svg.substr(path, svg.find("/>", path) - path);
  EXPECT_EQ(std::count(data.begin(), data.end(), 'M'), 2);
  EXPECT_EQ(data.find("nan"), std::string::npos);
}

TEST(Chart, OfNothingIsNothing) {
  EXPECT_EQ(draw_chart({}, {}, {"t"}), "");
  EXPECT_EQ(draw_chart({{"", "line s0", {{0, std::nan("")}}}}, {}, {"t"}), "");
  EXPECT_EQ(draw_chart({{"", "line s0", {{0, -1}}}}, {}, {"t", "", true}), "");  // no logarithm
}

TEST(Chart, DrawsASinglePointAsADot) {
  EXPECT_NE(draw_chart({{"", "line s0", {{5, 1}}}}, {}, {"t"}).find("<circle"), std::string::npos);
}

TEST(ConfigValues, AreThePathsOfAConfig) {
  const Facts expected{{"run.name", "x"},
                       {"data.train", "[a, b]"},
                       {"evaluate.0.kind", "fid"},
                       {"evaluate.0.every", "3"}};
  EXPECT_EQ(config_values("run:\n  name: x  # default\ndata: {train: [a, b]}\nevaluate:\n  - kind: "
                          "fid\n    every: 3\n"),
            expected);
  EXPECT_TRUE(config_values("a: [").empty());
}

TEST(ConfigText, DimsCommentsButNotHashesInStrings) {
  EXPECT_EQ(config_text("a: \"# no\"  # yes\n"),
            "<pre class=config>a: &quot;# no&quot;  <i># yes</i>\n</pre>\n");
}

}  // namespace
}  // namespace lockstep
