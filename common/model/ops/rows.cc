#include "common/model/ops/rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

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

}  // namespace

void RmsNormRows(const float* x, const float* weight, int64_t rows, int64_t n, float eps,
                 Element element, void* out) {
  ForRows(rows, [&](int64_t row) {
    thread_local std::vector<float> buffer;
    buffer.resize(n);
    const float* from = x + row * n;
    for (int64_t i = 0; i < n; ++i) buffer[i] = from[i] * from[i];
    float scale = 1.0f / std::sqrt(SumFixed(buffer.data(), n) / static_cast<float>(n) + eps);
    for (int64_t i = 0; i < n; ++i) buffer[i] = from[i] * scale * weight[i];
    if (element == Element::kBf16) {
      ToBf16(buffer.data(), n, static_cast<uint16_t*>(out) + row * n);
    } else {
      std::copy(buffer.begin(), buffer.end(), static_cast<float*>(out) + row * n);
    }
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
      int64_t at = row * ld + h * dim;
      for (int64_t d = 0; d < half; ++d) {
        if (element == Element::kBf16) {
          auto* v = static_cast<uint16_t*>(x) + at;
          float a = FromBf16(v[d]), b = FromBf16(v[d + half]);
          v[d] = ToBf16(a * cosine[d] - b * sine[d]);
          v[d + half] = ToBf16(b * cosine[d] + a * sine[d]);
        } else {
          auto* v = static_cast<float*>(x) + at;
          float a = v[d], b = v[d + half];
          v[d] = a * cosine[d] - b * sine[d];
          v[d + half] = b * cosine[d] + a * sine[d];
        }
      }
    }
  });
}

void SwiGluRows(const void* gate_up, int64_t rows, int64_t n, Element element, void* out) {
  ForRows(rows, [&](int64_t row) {
    thread_local std::vector<float> gate, up, e;
    gate.resize(n);
    up.resize(n);
    e.resize(n);
    for (int64_t i = 0; i < n; ++i) {
      if (element == Element::kBf16) {
        const auto* from = static_cast<const uint16_t*>(gate_up) + row * 2 * n;
        gate[i] = FromBf16(from[i]);
        up[i] = FromBf16(from[n + i]);
      } else {
        const auto* from = static_cast<const float*>(gate_up) + row * 2 * n;
        gate[i] = from[i];
        up[i] = from[n + i];
      }
    }
    ExpShifted(gate.data(), n, -1.0f, 0.0f, e.data());
    for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + e[i]) * up[i];
    if (element == Element::kBf16) {
      ToBf16(gate.data(), n, static_cast<uint16_t*>(out) + row * n);
    } else {
      std::copy(gate.begin(), gate.end(), static_cast<float*>(out) + row * n);
    }
  });
}

}  // namespace reckon
