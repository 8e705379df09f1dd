#include "data/images/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lockstep {
namespace {

using Rgb = std::array<double, 3>;

// Hue in turns; saturation and value in [0, 1].
Rgb from_hsv(double hue, double saturation, double value) {
  Rgb rgb;
  for (size_t i = 0; i < 3; ++i) {
    const double k = std::fmod(5.0 - 2.0 * static_cast<double>(i) + hue * 6.0, 6.0);
    rgb[i] = value - value * saturation * std::clamp(std::min(k, 4.0 - k), 0.0, 1.0);
  }
  return rgb;
}

bool in_star(double x, double y) {
  // Between two circles the border runs along ten straight edges: compare with the edge of this
  // sector.
  const double pi = 3.14159265358979323846, sector = 2 * pi / 5;
  const double angle = std::atan2(x, y) + 10 * pi;
  double a = std::fmod(angle, sector);
  a = std::min(a, sector - a);  // from a tip (0) to a notch (sector / 2)
  const double inner = 0.45, r = std::hypot(x, y);
  const double px = r * std::cos(a), py = r * std::sin(a);
  const double nx = inner * std::cos(sector / 2), ny = inner * std::sin(sector / 2);
  return (px - 1) * ny - py * (nx - 1) <= 0;  // on the tip–notch edge's inner side
}

// Whether (x, y), the shape's own coordinates with radius about 1, lies in it.
bool inside(int shape, double x, double y) {
  const double r2 = x * x + y * y;
  switch (shape) {
    case 0:
      return r2 <= 0.81;
    case 1:
      return std::max(std::abs(x), std::abs(y)) <= 0.78;
    case 2:
      return y >= -0.55 && y <= 1.1 - 1.8 * std::abs(x);
    case 3:
      return r2 <= 1.0 && r2 >= 0.3;
    case 4:
      return std::min(std::abs(x), std::abs(y)) <= 0.3 &&
             std::max(std::abs(x), std::abs(y)) <= 0.95;
    case 5:
      return in_star(x, y);
    case 6:
      return r2 <= 1.0 && y >= -0.15;
    default: {
      const double u = x * 1.2, v = y * 1.2 + 0.15, a = u * u + v * v - 1;
      return a * a * a - u * u * v * v * v <= 0;
    }
  }
}

struct Scene {
  int shape;
  double x, y, radius, cosine, sine;  // in pixels
  Rgb front, back;
};

Scene draw_scene(const Stream& stream, uint64_t id, const ShapeRange& range, int64_t size) {
  uint64_t element = 0;
  const auto uniform = [&] { return static_cast<double>(stream.uniform(id, 0, element++)); };
  Scene scene{};
  scene.shape =
      range.kinds[stream.below(id, 0, element++, static_cast<uint32_t>(range.kinds.size()))];
  const auto extent = static_cast<double>(size);
  scene.radius = extent * (range.smallest + (range.largest - range.smallest) * uniform());
  const double room = extent - 2 * scene.radius;
  scene.x = scene.radius + room * uniform();
  scene.y = scene.radius + room * uniform();
  const double turn = (2 * uniform() - 1) * range.turn;
  scene.cosine = std::cos(turn);
  scene.sine = std::sin(turn);
  if (!range.any_colors) {
    const bool white = uniform() < 0.5;
    scene.back = white ? Rgb{1, 1, 1} : Rgb{0, 0, 0};
    scene.front = from_hsv(std::floor(6 * uniform()) / 6, 1, white ? 0.8 : 1);
    return scene;
  }
  const double hue = uniform();
  const bool dark = uniform() < 0.35;
  scene.back = from_hsv(uniform(), 0.15 + 0.3 * uniform(),
                        dark ? 0.1 + 0.2 * uniform() : 0.85 + 0.15 * uniform());
  scene.front =
      from_hsv(hue, 0.75 + 0.25 * uniform(), dark ? 0.8 + 0.2 * uniform() : 0.4 + 0.45 * uniform());
  return scene;
}

// Share of pixel (column, row) that the shape covers.
double coverage(const Scene& scene, int64_t column, int64_t row) {
  constexpr int kSide = 4;
  int hits = 0;
  for (int i = 0; i < kSide * kSide; ++i) {
    const double dx = static_cast<double>(column) + (i % kSide + 0.5) / kSide - scene.x;
    const double dy =
        scene.y - static_cast<double>(row) - (i / kSide + 0.5) / kSide;  // up is positive
    const double u = (dx * scene.cosine + dy * scene.sine) / scene.radius;
    const double v = (dy * scene.cosine - dx * scene.sine) / scene.radius;
    hits += inside(scene.shape, u, v);
  }
  return hits / static_cast<double>(kSide * kSide);
}

}  // namespace

int draw_shape(const Stream& stream, uint64_t id, const ShapeRange& range, int64_t size,
               int64_t channels, uint8_t* out) {
  const Scene scene = draw_scene(stream, id, range, size);
  for (int64_t row = 0; row < size; ++row)
    for (int64_t column = 0; column < size; ++column) {
      const double share = coverage(scene, column, row);
      Rgb color;
      for (size_t i = 0; i < 3; ++i)
        color[i] = scene.back[i] + share * (scene.front[i] - scene.back[i]);
      if (channels == 1) color[0] = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2];
      for (int64_t c = 0; c < channels; ++c)
        out[(c * size + row) * size + column] =
            static_cast<uint8_t>(std::lround(255 * color[static_cast<size_t>(c)]));
    }
  return scene.shape;
}

}  // namespace lockstep
