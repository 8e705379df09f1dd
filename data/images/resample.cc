#include "data/images/resample.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr int kBits = 22;  // of a weight's fraction: a sum of bytes still fits 32 bits

struct Kernel {
  double support;
  double (*weight)(double);
};

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= 3.14159265358979323846;
  return std::sin(x) / x;
}

Kernel kernel_of(Filter filter) {
  switch (filter) {
    case Filter::kBox:
      return {0.5, [](double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }};
    case Filter::kBilinear:
      return {1.0, [](double x) { return std::max(0.0, 1.0 - std::abs(x)); }};
    case Filter::kBicubic:  // Keys 1981 with a = −1/2
      return {2.0, [](double x) {
                x = std::abs(x);
                if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
                return x < 2.0 ? ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 : 0.0;
              }};
    default:
      return {3.0, [](double x) { return std::abs(x) < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0; }};
  }
}

// For every output position: the first input position, and the weights from there on.
struct Weights {
  struct Span {
    int64_t first = 0;
    size_t offset = 0, count = 0;
  };
  std::vector<Span> spans;
  std::vector<int32_t> values;
};

Weights make_weights(int64_t in, int64_t out, const Kernel& kernel) {
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               stretch = std::max(scale, 1.0);
  const double support = kernel.support * stretch;
  Weights weights;
  std::vector<double> raw;
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t last = std::min(in, static_cast<int64_t>(center + support + 0.5));
    raw.clear();
    double total = 0.0;
    for (int64_t x = first; x < last; ++x) {
      raw.push_back(kernel.weight((static_cast<double>(x) - center + 0.5) / stretch));
      total += raw.back();
    }
    weights.spans.push_back({first, weights.values.size(), raw.size()});
    for (double w : raw) {
      if (total != 0.0) w /= total;
      weights.values.push_back(static_cast<int32_t>((w < 0 ? -0.5 : 0.5) + w * (1 << kBits)));
    }
  }
  return weights;
}

uint8_t to_byte(int64_t sum) {
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kBits, 0, 255));
}

Pixels resize_rows(const Pixels& image, int64_t width, const Kernel& kernel) {
  const Weights weights = make_weights(image.width, width, kernel);
  Pixels out(width, image.height, image.channels);
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const Weights::Span& span = weights.spans[static_cast<size_t>(x)];
      for (int64_t c = 0; c < image.channels; ++c) {
        const uint8_t* in = image.at(span.first, y) + c;
        int64_t sum = 1 << (kBits - 1);
        for (size_t k = 0; k < span.count; ++k)
          sum += in[static_cast<int64_t>(k) * image.channels] *
                 int64_t{weights.values[span.offset + k]};
        out.at(x, y)[c] = to_byte(sum);
      }
    }
  return out;
}

Pixels resize_columns(const Pixels& image, int64_t height, const Kernel& kernel) {
  const Weights weights = make_weights(image.height, height, kernel);
  Pixels out(image.width, height, image.channels);
  const int64_t row = image.width * image.channels;
  std::vector<int64_t> sums(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; ++y) {
    const Weights::Span& span = weights.spans[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), int64_t{1} << (kBits - 1));
    for (size_t k = 0; k < span.count; ++k) {
      const uint8_t* in = image.at(0, span.first + static_cast<int64_t>(k));
      const int64_t weight = weights.values[span.offset + k];
      for (int64_t i = 0; i < row; ++i) sums[static_cast<size_t>(i)] += in[i] * weight;
    }
    uint8_t* to = out.at(0, y);
    for (int64_t i = 0; i < row; ++i) to[i] = to_byte(sums[static_cast<size_t>(i)]);
  }
  return out;
}

Pixels nearest(const Pixels& image, int64_t width, int64_t height) {
  Pixels out(width, height, image.channels);
  const auto place = [](int64_t i, int64_t in, int64_t out_size) {
    return std::min(
        in - 1, static_cast<int64_t>((static_cast<double>(i) + 0.5) *
                                     (static_cast<double>(in) / static_cast<double>(out_size))));
  };
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      std::copy_n(image.at(place(x, image.width, width), place(y, image.height, height)),
                  image.channels, out.at(x, y));
  return out;
}

// Colours times alpha, and back.
void premultiply(Pixels& image) {
  for (uint8_t* p = image.data.data(); p != image.data.data() + image.data.size(); p += 4)
    for (int c = 0; c < 3; ++c) {
      const unsigned product = p[c] * unsigned{p[3]} + 128;
      p[c] = static_cast<uint8_t>(((product >> 8) + product) >> 8);
    }
}

void unpremultiply(Pixels& image) {
  for (uint8_t* p = image.data.data(); p != image.data.data() + image.data.size(); p += 4)
    if (p[3] != 0 && p[3] != 255)
      for (int c = 0; c < 3; ++c) p[c] = static_cast<uint8_t>(std::min(255u, 255u * p[c] / p[3]));
}

}  // namespace

Filter filter_of(const std::string& name) {
  if (name == "nearest") return Filter::kNearest;
  if (name == "box") return Filter::kBox;
  if (name == "bilinear") return Filter::kBilinear;
  if (name == "bicubic") return Filter::kBicubic;
  if (name == "lanczos") return Filter::kLanczos;
  throw ConfigError("unknown filter '" + name + "'",
                    "it is nearest, box, bilinear, bicubic or lanczos");
}

Pixels resample(const Pixels& image, int64_t width, int64_t height, Filter filter) {
  if (image.width == width && image.height == height) return image;
  if (filter == Filter::kNearest) return nearest(image, width, height);
  const Kernel kernel = kernel_of(filter);
  Pixels out = image;
  if (image.channels == 4) premultiply(out);
  if (out.width != width) out = resize_rows(out, width, kernel);
  if (out.height != height) out = resize_columns(out, height, kernel);
  if (image.channels == 4) unpremultiply(out);
  return out;
}

}  // namespace lockstep
