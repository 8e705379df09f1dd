// See row_kernels.h. V is a vector of sixteen floats; sums go through four of them, then over
// lanes.
//
// Compiled once for each instruction set: everything here is a template over V, and nothing inline
// comes from the standard library, so the linker cannot mix the instances up.
#pragma once

#include "kernels/lanes/row_lanes.h"
#include "kernels/language/row_kernels.h"

namespace lockstep {

inline constexpr int64_t kRowLanes = 16;

inline int64_t lanes_left(int64_t n, int64_t i) { return n - i < kRowLanes ? n - i : kRowLanes; }

// Σ term(i, count) over a row of n elements in groups of 16; term's lanes behind `count` are zero.
template <class V, class Term>
inline float sum_row(int64_t n, const Term& term) {
  V sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t i = 0;
  for (; i + 4 * kRowLanes <= n; i += 4 * kRowLanes)
    for (int k = 0; k < 4; ++k) sums[k] = sums[k] + term(i + k * kRowLanes, kRowLanes);
  for (; i < n; i += kRowLanes) sums[0] = sums[0] + term(i, lanes_left(n, i));
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])).first();
}

// ---- SwiGLU

template <class V>
void swiglu_forward_rows(const SwigluShape& s, const void* gate, const void* up, void* y, void*) {
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t row = 0; row < s.rows; ++row) {
      const E *g = static_cast<const E*>(gate) + row * s.input_stride,
              *u = static_cast<const E*>(up) + row * s.input_stride;
      E* to = static_cast<E*>(y) + row * s.columns;
      for (int64_t i = 0; i < s.columns; i += kRowLanes) {
        const int64_t n = lanes_left(s.columns, i);
        const V x = load_some<V, Rows>(g + i, n);
        store_some<V, Rows>(x * sigmoid_lanes(x) * load_some<V, Rows>(u + i, n), to + i, n);
      }
    }
  });
}

template <class V>
void swiglu_backward_rows(const SwigluShape& s, const void* gate, const void* up, const void* dy,
                          void* dgate, void* dup, void*) {
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t row = 0; row < s.rows; ++row) {
      const int64_t in = row * s.input_stride;
      const E *g = static_cast<const E*>(gate) + in, *u = static_cast<const E*>(up) + in;
      const E* d = static_cast<const E*>(dy) + row * s.columns;
      for (int64_t i = 0; i < s.columns; i += kRowLanes) {
        const int64_t n = lanes_left(s.columns, i);
        const V x = load_some<V, Rows>(g + i, n), v = load_some<V, Rows>(u + i, n),
                by = load_some<V, Rows>(d + i, n);
        const V sigma = sigmoid_lanes(x), one = V::all(1.0f);
        store_some<V, Rows>(by * v * sigma * fma(x, one - sigma, one),
                            static_cast<E*>(dgate) + in + i, n);
        store_some<V, Rows>(by * x * sigma, static_cast<E*>(dup) + in + i, n);
      }
    }
  });
}

// ---- RMSNorm and the residual addition

template <class V>
void rms_norm_forward_rows(const RmsNormShape& s, const void* x, const void* residual,
                           const float* weight, void* h, void* y, float* rstds, void*) {
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t row = 0; row < s.rows; ++row) {
      const int64_t at = row * s.columns;
      const E *in = static_cast<const E*>(x) + at,
              *add = static_cast<const E*>(residual) + (residual == nullptr ? 0 : at);
      E *sum = static_cast<E*>(h) + (h == nullptr ? 0 : at), *to = static_cast<E*>(y) + at;
      const float squares = sum_row<V>(s.columns, [&](int64_t i, int64_t n) {
        V v = load_some<V, Rows>(in + i, n);
        if (residual != nullptr) {
          store_some<V, Rows>(v + load_some<V, Rows>(add + i, n), sum + i, n);
          v = load_some<V, Rows>(sum + i, n);  // as it was rounded
        }
        return v * v;
      });
      const float rstd = 1.0f / __builtin_sqrtf(squares / static_cast<float>(s.columns) + s.eps);
      rstds[row] = rstd;
      const E* from = residual == nullptr ? in : sum;
      for (int64_t i = 0; i < s.columns; i += kRowLanes) {
        const int64_t n = lanes_left(s.columns, i);
        V v = load_some<V, Rows>(from + i, n) * V::all(rstd);
        if (weight != nullptr) v = v * load_some<V, Float32Rows<V>>(weight + i, n);
        store_some<V, Rows>(v, to + i, n);
      }
    }
  });
}

template <class V>
void rms_norm_backward_rows(const RmsNormShape& s, const void* h, const float* weight,
                            const float* rstds, const void* dy, const void* dh, void* dx, float* dw,
                            float*, void*) {
  using Floats = Float32Rows<V>;
  if (dw != nullptr)
    for (int64_t i = 0; i < s.columns; ++i) dw[i] = 0.0f;
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t row = 0; row < s.rows; ++row) {
      const int64_t at = row * s.columns;
      const E *from = static_cast<const E*>(h) + at, *d = static_cast<const E*>(dy) + at;
      const V rstd = V::all(rstds[row]);
      const auto through = [&](int64_t i, int64_t n) {
        const V t = load_some<V, Rows>(d + i, n);
        return weight == nullptr ? t : t * load_some<V, Floats>(weight + i, n);
      };
      const float dot = sum_row<V>(s.columns, [&](int64_t i, int64_t n) {
        return through(i, n) * load_some<V, Rows>(from + i, n);
      });
      const V share = V::all(dot / static_cast<float>(s.columns)) * rstd * rstd;
      for (int64_t i = 0; i < s.columns; i += kRowLanes) {
        const int64_t n = lanes_left(s.columns, i);
        const V v = load_some<V, Rows>(from + i, n);
        V t = rstd * fnma(v, share, through(i, n));
        if (dw != nullptr) {
          const V sum = load_some<V, Floats>(dw + i, n);
          store_some<V, Floats>(fma(load_some<V, Rows>(d + i, n), v * rstd, sum), dw + i, n);
        }
        if (dh != nullptr) t = t + load_some<V, Rows>(static_cast<const E*>(dh) + at + i, n);
        store_some<V, Rows>(t, static_cast<E*>(dx) + at + i, n);
      }
    }
  });
}

// ---- Rotary positions and QK norm

template <class V>
struct RotaryRow {
  const float *cosine, *sine;
  RotaryRow(const RotaryShape& s, int64_t token, const float* cosines, const float* sines,
            const int32_t* positions) {
    const int64_t row =
        (positions == nullptr ? token % s.sequence : positions[token]) * (s.head_size / 2);
    cosine = cosines + row;
    sine = sines + row;
  }
};

template <class V>
void rotary_forward_rows(const RotaryShape& s, const void* x, const float* cosines,
                         const float* sines, const int32_t* positions, void* y, float* rstds,
                         void*) {
  const int64_t half = s.head_size / 2;
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t token = 0; token < s.tokens; ++token) {
      const RotaryRow<V> turn(s, token, cosines, sines, positions);
      for (int64_t head = 0; head < s.heads; ++head) {
        const E* in = static_cast<const E*>(x) + token * s.x_stride + head * s.head_size;
        E* to = static_cast<E*>(y) + (token * s.heads + head) * s.head_size;
        const auto rotated = [&](int64_t i, int64_t n, V& first, V& second) {
          const V a = load_some<V, Rows>(in + i, n), b = load_some<V, Rows>(in + half + i, n);
          const V c = load_some<V, Float32Rows<V>>(turn.cosine + i, n),
                  t = load_some<V, Float32Rows<V>>(turn.sine + i, n);
          first = fma(b, t, a * c);
          second = fnma(a, t, b * c);
        };
        float rstd = 1.0f;
        V first, second;
        if (s.normalize) {  // of what was turned: a rounded table does not quite keep lengths
          const float squares = sum_row<V>(half, [&](int64_t i, int64_t n) {
            rotated(i, n, first, second);
            return fma(first, first, second * second);
          });
          rstd = 1.0f / __builtin_sqrtf(squares / static_cast<float>(s.head_size) + s.eps);
          rstds[token * s.heads + head] = rstd;
        }
        for (int64_t i = 0; i < half; i += kRowLanes) {
          const int64_t n = lanes_left(half, i);
          rotated(i, n, first, second);
          store_some<V, Rows>(first * V::all(rstd), to + i, n);
          store_some<V, Rows>(second * V::all(rstd), to + half + i, n);
        }
      }
    }
  });
}

template <class V>
void rotary_backward_rows(const RotaryShape& s, const void* y, const float* rstds,
                          const float* cosines, const float* sines, const int32_t* positions,
                          const void* dy, void* dx, void*) {
  const int64_t half = s.head_size / 2;
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t token = 0; token < s.tokens; ++token) {
      const RotaryRow<V> turn(s, token, cosines, sines, positions);
      for (int64_t head = 0; head < s.heads; ++head) {
        const int64_t number = token * s.heads + head;
        const E *out = static_cast<const E*>(y) + number * s.head_size,
                *d = static_cast<const E*>(dy) + number * s.head_size;
        E* to = static_cast<E*>(dx) + token * s.x_stride + head * s.head_size;
        float rstd = 1.0f, share = 0.0f;
        if (s.normalize) {
          rstd = rstds[number];
          share = sum_row<V>(s.head_size,
                             [&](int64_t i, int64_t n) {
                               return load_some<V, Rows>(out + i, n) * load_some<V, Rows>(d + i, n);
                             }) /
                  static_cast<float>(s.head_size);
        }
        for (int64_t i = 0; i < half; i += kRowLanes) {
          const int64_t n = lanes_left(half, i);
          V a = load_some<V, Rows>(d + i, n), b = load_some<V, Rows>(d + half + i, n);
          if (s.normalize) {
            a = V::all(rstd) * fnma(load_some<V, Rows>(out + i, n), V::all(share), a);
            b = V::all(rstd) * fnma(load_some<V, Rows>(out + half + i, n), V::all(share), b);
          }
          const V c = load_some<V, Float32Rows<V>>(turn.cosine + i, n),
                  t = load_some<V, Float32Rows<V>>(turn.sine + i, n);
          store_some<V, Rows>(fnma(b, t, a * c), to + i, n);
          store_some<V, Rows>(fma(a, t, b * c), to + half + i, n);
        }
      }
    }
  });
}

// ---- Cross-entropy

template <class V>
inline V capped_lanes(V logit, float cap) {
  return cap == 0.0f ? logit : V::all(cap) * tanh_lanes(logit * V::all(1.0f / cap));
}

// A row's maximum and Σ e^(z − maximum), in pieces that stay in the nearest cache: each logit is
// read once.
template <class V, class Rows>
void softmax_of_row(const CrossEntropyShape& s, const typename Rows::Element* row, float& maximum,
                    float& sum) {
  constexpr int64_t kPiece = 1024;
  alignas(64) float z[kPiece];
  maximum = -__builtin_inff();
  sum = 0.0f;
  for (int64_t begin = 0; begin < s.vocabulary; begin += kPiece) {
    const int64_t count = s.vocabulary - begin < kPiece ? s.vocabulary - begin : kPiece;
    V largest = V::all(-__builtin_inff());
    for (int64_t i = 0; i < count; i += kRowLanes) {
      const int64_t n = lanes_left(count, i);
      capped_lanes(load_some<V, Rows>(row + begin + i, n), s.cap).store(z + i);
      for (int64_t k = i + n; k < i + kRowLanes; ++k) z[k] = -__builtin_inff();  // behind the row
      largest = max(V::load(z + i), largest);
    }
    const float piece = max_lanes(largest).first();
    const float next = piece > maximum ? piece : maximum;
    const float reference = next == -__builtin_inff() ? 0.0f : next;
    sum *= exp_lanes(V::all(maximum == -__builtin_inff() ? -100.0f : maximum - reference)).first();
    const int64_t groups = (count + kRowLanes - 1) / kRowLanes * kRowLanes;
    sum += sum_row<V>(groups, [&](int64_t i, int64_t) {
      const V v = V::load(z + i) - V::all(reference);
      // e^−87 is what exp_lanes gives at least: too small for this sum, but lanes behind the row
      // count nothing.
      return choose_less(v, V::all(-87.0f), V::zero(), exp_lanes(v));
    });
    maximum = next;
  }
}

template <class V>
void cross_entropy_forward_rows(const CrossEntropyShape& s, const void* logits,
                                const int64_t* targets, float* losses, float* log_sums, void*) {
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t r = 0; r < s.rows; ++r) {
      losses[r] = log_sums[r] = 0.0f;
      if (targets[r] == kIgnoredTarget) continue;
      const E* row = static_cast<const E*>(logits) + r * s.row_stride;
      float maximum, sum;
      softmax_of_row<V, Rows>(s, row, maximum, sum);
      log_sums[r] = maximum + __builtin_logf(sum);
      const bool word = targets[r] >= 0 && targets[r] < s.vocabulary;
      losses[r] =
          word ? log_sums[r] - capped_lanes(load_some<V, Rows>(row + targets[r], 1), s.cap).first()
               : __builtin_nanf("");
    }
  });
}

template <class V>
void cross_entropy_backward_rows(const CrossEntropyShape& s, const void* logits,
                                 const int64_t* targets, const float* log_sums,
                                 const float* d_losses, void* dlogits, void*) {
  with_rows<V>(s.type, [&]<class Rows>() {
    using E = typename Rows::Element;
    for (int64_t r = 0; r < s.rows; ++r) {
      const E* row = static_cast<const E*>(logits) + r * s.row_stride;
      E* to = static_cast<E*>(dlogits) + r * s.row_stride;
      const int64_t target = targets[r];
      if (target == kIgnoredTarget) {
        for (int64_t i = 0; i < s.vocabulary; i += kRowLanes)
          store_some<V, Rows>(V::zero(), to + i, lanes_left(s.vocabulary, i));
        continue;
      }
      const bool word = target >= 0 && target < s.vocabulary;
      const V factor = V::all(word ? d_losses[r] : __builtin_nanf("")), one = V::all(1.0f);
      const float at_target =
          word ? capped_lanes(load_some<V, Rows>(row + target, 1), s.cap).first() : 0.0f;
      for (int64_t i = 0; i < s.vocabulary; i += kRowLanes) {
        const int64_t n = lanes_left(s.vocabulary, i);
        const V logit = load_some<V, Rows>(row + i, n);
        const V t = s.cap == 0.0f ? V::zero() : tanh_lanes(logit * V::all(1.0f / s.cap));
        const V z = s.cap == 0.0f ? logit : V::all(s.cap) * t;
        const V probability = exp_lanes(z - V::all(log_sums[r]));
        store_some<V, Rows>(factor * probability * fnma(t, t, one), to + i, n);
      }
      if (!word) continue;
      // The target's own entry, from scratch: it may have been rounded.
      const float t = s.cap == 0.0f ? 0.0f : at_target / s.cap;
      const float probability = exp_lanes(V::all(at_target - log_sums[r])).first();
      store_some<V, Rows>(V::all(d_losses[r] * (probability - 1.0f) * (1.0f - t * t)), to + target,
                          1);
    }
  });
}

template <class V>
constexpr RowKernels row_kernels_of(const char* isa) {
  return {isa,
          swiglu_forward_rows<V>,
          swiglu_backward_rows<V>,
          rms_norm_forward_rows<V>,
          rms_norm_backward_rows<V>,
          rotary_forward_rows<V>,
          rotary_backward_rows<V>,
          cross_entropy_forward_rows<V>,
          cross_entropy_backward_rows<V>};
}

}  // namespace lockstep
