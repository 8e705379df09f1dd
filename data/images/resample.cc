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
  size_t longest = 0;  // most weights of one position
};

// Weights of output positions [begin, begin + count) of `out`.
Weights make_weights(int64_t in, int64_t out, int64_t begin, int64_t count, const Kernel& kernel) {
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               stretch = std::max(scale, 1.0);
  const double support = kernel.support * stretch;
  Weights weights;
  std::vector<double> raw;
  for (int64_t i = begin; i < begin + count; ++i) {
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
    weights.longest = std::max(weights.longest, raw.size());
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

// Row `y` of `image` with the widths that `weights` give, into `to`.
void resize_row(const Pixels& image, int64_t y, const Weights& weights, uint8_t* to) {
  for (const Weights::Span& span : weights.spans)
    for (int64_t c = 0; c < image.channels; ++c) {
      const uint8_t* in = image.at(span.first, y) + c;
      int64_t sum = 1 << (kBits - 1);
      for (size_t k = 0; k < span.count; ++k)
        sum +=
            in[static_cast<int64_t>(k) * image.channels] * int64_t{weights.values[span.offset + k]};
      *to++ = to_byte(sum);
    }
}

// Rows of the input after the first of the two passes, made when they are asked for. The second
// pass goes from top to bottom, so only the rows under one output row are kept: memory follows
// their number and not the picture's height.
class NarrowRows {
 public:
  NarrowRows(const Pixels& image, const Window& window, const Kernel& kernel, size_t kept)
      : image_(image),
        row_bytes_(window.columns * image.channels),
        kept_(static_cast<int64_t>(kept)) {
    same_ = window.width == image.width;
    left_ = window.left;
    if (same_) return;
    weights_ = make_weights(image.width, window.width, window.left, window.columns, kernel);
    ring_.resize(kept * static_cast<size_t>(row_bytes_));
    numbers_.assign(kept, -1);
  }

  const uint8_t* row(int64_t y) {
    if (same_) return image_.at(left_, y);
    const auto slot = static_cast<size_t>(y % kept_);
    uint8_t* bytes = ring_.data() + slot * static_cast<size_t>(row_bytes_);
    if (numbers_[slot] != y) resize_row(image_, y, weights_, bytes);
    numbers_[slot] = y;
    return bytes;
  }
  int64_t row_bytes() const { return row_bytes_; }

 private:
  const Pixels& image_;
  bool same_ = false;
  int64_t left_ = 0, row_bytes_, kept_;
  Weights weights_;
  std::vector<uint8_t> ring_;
  std::vector<int64_t> numbers_;  // which row a slot of the ring holds
};

Pixels filtered(const Pixels& image, const Window& window, const Kernel& kernel) {
  Pixels out(window.columns, window.rows, image.channels);
  if (window.height == image.height) {
    NarrowRows narrow(image, window, kernel, 1);
    for (int64_t y = 0; y < window.rows; ++y)
      std::copy_n(narrow.row(window.top + y), narrow.row_bytes(), out.at(0, y));
    return out;
  }
  const Weights weights =
      make_weights(image.height, window.height, window.top, window.rows, kernel);
  NarrowRows narrow(image, window, kernel, std::max<size_t>(1, weights.longest));
  const int64_t row = narrow.row_bytes();
  std::vector<int64_t> sums(static_cast<size_t>(row));
  for (int64_t y = 0; y < window.rows; ++y) {
    const Weights::Span& span = weights.spans[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), int64_t{1} << (kBits - 1));
    for (size_t k = 0; k < span.count; ++k) {
      const uint8_t* in = narrow.row(span.first + static_cast<int64_t>(k));
      const int64_t weight = weights.values[span.offset + k];
      for (int64_t i = 0; i < row; ++i) sums[static_cast<size_t>(i)] += in[i] * weight;
    }
    uint8_t* to = out.at(0, y);
    for (int64_t i = 0; i < row; ++i) to[i] = to_byte(sums[static_cast<size_t>(i)]);
  }
  return out;
}

Pixels nearest(const Pixels& image, const Window& window) {
  Pixels out(window.columns, window.rows, image.channels);
  const auto place = [](int64_t i, int64_t in, int64_t out_size) {
    return std::min(
        in - 1, static_cast<int64_t>((static_cast<double>(i) + 0.5) *
                                     (static_cast<double>(in) / static_cast<double>(out_size))));
  };
  for (int64_t y = 0; y < window.rows; ++y)
    for (int64_t x = 0; x < window.columns; ++x)
      std::copy_n(image.at(place(window.left + x, image.width, window.width),
                           place(window.top + y, image.height, window.height)),
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
  return resample(image, Window{width, height, 0, 0, width, height}, filter);
}

Pixels resample(const Pixels& image, const Window& window, Filter filter) {
  if (filter == Filter::kNearest) return nearest(image, window);
  const Kernel kernel = kernel_of(filter);
  const bool resized = image.width != window.width || image.height != window.height;
  if (image.channels != 4 || !resized) return filtered(image, window, kernel);
  Pixels premultiplied = image;
  premultiply(premultiplied);
  Pixels out = filtered(premultiplied, window, kernel);
  unpremultiply(out);
  return out;
}

}  // namespace lockstep
