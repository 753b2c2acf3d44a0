#include "common/model/ops/rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/model/ops/clones.h"
#include "common/model/ops/softmax.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

constexpr int64_t kRowsPerTask = 8;

template <typename Body>
void ForRows(int64_t rows, const Body& body) {
  ParallelFor((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    int64_t end = std::min(rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) body(row);
  });
}

RECKON_CLONES void RmsNormRow(const float* x, const float* weight, int64_t n, float eps,
                              float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * x[i];
  float scale = 1.0f / std::sqrt(SumFixed(out, n) / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

RECKON_CLONES void Rotate(uint16_t* v, int64_t half, const float* cosine, const float* sine) {
  for (int64_t d = 0; d < half; ++d) {
    float a = FromBf16(v[d]), b = FromBf16(v[d + half]);
    v[d] = ToBf16(a * cosine[d] - b * sine[d]);
    v[d + half] = ToBf16(b * cosine[d] + a * sine[d]);
  }
}

RECKON_CLONES void Rotate(float* v, int64_t half, const float* cosine, const float* sine) {
  for (int64_t d = 0; d < half; ++d) {
    float a = v[d], b = v[d + half];
    v[d] = a * cosine[d] - b * sine[d];
    v[d + half] = b * cosine[d] + a * sine[d];
  }
}

RECKON_CLONES void Widen(const uint16_t* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = FromBf16(x[i]);
}

// gate = gate * sigmoid(gate) * up. `e`: n floats of scratch.
RECKON_CLONES void Gate(float* gate, const float* up, int64_t n, float* e) {
  ExpShifted(gate, n, -1.0f, 0.0f, e);
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + e[i]) * up[i];
}

}  // namespace

void RmsNormRows(const float* x, const float* weight, int64_t rows, int64_t n, float eps,
                 Element element, void* out) {
  ForRows(rows, [&](int64_t row) {
    if (element == Element::kFp32) {
      RmsNormRow(x + row * n, weight, n, eps, static_cast<float*>(out) + row * n);
      return;
    }
    thread_local std::vector<float> buffer;
    buffer.resize(n);
    RmsNormRow(x + row * n, weight, n, eps, buffer.data());
    ToBf16(buffer.data(), n, static_cast<uint16_t*>(out) + row * n);
  });
}

void RopeRows(void* x, const int32_t* positions, int64_t rows, int64_t heads, int64_t dim,
              int64_t ld, double theta, bool inverse, Element element) {
  const int64_t half = dim / 2;
  std::vector<float> frequency(half);
  for (int64_t d = 0; d < half; ++d) {
    frequency[d] = static_cast<float>(1.0 / std::pow(theta, 2.0 * d / dim));
  }
  ForRows(rows, [&](int64_t row) {
    thread_local std::vector<float> cosine, sine;
    cosine.resize(half);
    sine.resize(half);
    for (int64_t d = 0; d < half; ++d) {
      float angle = static_cast<float>(positions[row]) * frequency[d];
      cosine[d] = std::cos(angle);
      sine[d] = inverse ? -std::sin(angle) : std::sin(angle);
    }
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = row * ld + h * dim;
      if (element == Element::kBf16) {
        Rotate(static_cast<uint16_t*>(x) + at, half, cosine.data(), sine.data());
      } else {
        Rotate(static_cast<float*>(x) + at, half, cosine.data(), sine.data());
      }
    }
  });
}

void SwiGluRows(const void* gate_up, int64_t rows, int64_t n, Element element, void* out) {
  ForRows(rows, [&](int64_t row) {
    thread_local std::vector<float> both, e;
    both.resize(2 * n);
    e.resize(n);
    if (element == Element::kBf16) {
      Widen(static_cast<const uint16_t*>(gate_up) + row * 2 * n, 2 * n, both.data());
    } else {
      std::copy_n(static_cast<const float*>(gate_up) + row * 2 * n, 2 * n, both.data());
    }
    Gate(both.data(), both.data() + n, n, e.data());
    if (element == Element::kBf16) {
      ToBf16(both.data(), n, static_cast<uint16_t*>(out) + row * n);
    } else {
      std::copy_n(both.data(), n, static_cast<float*>(out) + row * n);
    }
  });
}

}  // namespace reckon
