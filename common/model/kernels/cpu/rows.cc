#include "common/model/kernels/cpu/rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/thread_pool.h"
#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/lanes.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

constexpr int64_t kRowsPerTask = 8;
// Rows whose share of a weight's gradient is summed by one task.
constexpr int64_t kRowsPerChunk = 64;

template <typename Body>
void ForRows(int64_t rows, const Body& body) {
  ParallelFor((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    int64_t end = std::min(rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) body(row);
  });
}

inline float Read(uint16_t x) { return FromBf16(x); }
inline float Read(float x) { return x; }
inline void Write(float x, uint16_t* to) { *to = ToBf16(x); }
inline void Write(float x, float* to) { *to = x; }

RECKON_CLONES void RmsNormRow(const float* x, const float* weight, int64_t n, float eps,
                              float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * x[i];
  // `out` holds the squares until here, which saves a buffer.
  float scale = 1.0f / std::sqrt(SumFixed(out, n) / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

// `sign`: of the sines.
template <typename T>
[[gnu::always_inline]] inline void RotatePairs(T* v, int64_t half, const float* table, float sign) {
  for (int64_t d = 0; d < half; ++d) {
    const float a = Read(v[d]), b = Read(v[d + half]);
    const float cosine = table[d], sine = sign * table[d + half];
    Write(a * cosine - b * sine, &v[d]);
    Write(b * cosine + a * sine, &v[d + half]);
  }
}
RECKON_CLONES void Rotate(uint16_t* v, int64_t half, const float* table, float sign) {
  RotatePairs(v, half, table, sign);
}
RECKON_CLONES void Rotate(float* v, int64_t half, const float* table, float sign) {
  RotatePairs(v, half, table, sign);
}

// y = x r w with r = (mean x^2 + eps)^(-1/2):
// dx = r (dy w) - x r^3 / n * sum(dy w x); dw = dy x r. `square`: n floats of scratch. No two of
// the arrays overlap: with `__restrict` the compiler uses whole registers.
RECKON_CLONES void RmsNormRowBackward(const float* __restrict x, const float* __restrict weight,
                                      const float* __restrict dy, int64_t n, float eps,
                                      float* __restrict square, float* __restrict dx,
                                      float* __restrict dw) {
  for (int64_t i = 0; i < n; ++i) square[i] = x[i] * x[i];
  const float r = 1.0f / std::sqrt(SumFixed(square, n) / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) {
    dw[i] += dy[i] * x[i] * r;
    dx[i] = dy[i] * weight[i];
    square[i] = dx[i] * x[i];
  }
  const float c = SumFixed(square, n) * r * r * r / static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) dx[i] = r * dx[i] - c * x[i];
}

RECKON_CLONES void Widen(const uint16_t* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = FromBf16(x[i]);
}

// out = gate * sigmoid(gate) * up.
template <typename T>
RECKON_LANES void GateLanes(const T* gate, const T* up, int64_t count, T* out) {
  // silu by Exp(-gate), which is at most 2^127: for a very negative gate the quotient tends to 0
  // and never becomes inf / inf.
  const Lanes g = LoadLanes(gate, count);
  StoreLanes(g / (1.0f + Exp(-g)) * LoadLanes(up, count), out, count);
}
template <typename T>
RECKON_LANES void GateEach(const T* gate, const T* up, int64_t n, T* out) {
  const int64_t whole = WholeLanes(n);
  for (int64_t i = 0; i < whole; i += kLanes) GateLanes(gate + i, up + i, kLanes, out + i);
  if (whole < n) GateLanes(gate + whole, up + whole, n - whole, out + whole);
}
RECKON_CLONES void Gate(const uint16_t* gate, const uint16_t* up, int64_t n, uint16_t* out) {
  GateEach(gate, up, n, out);
}
RECKON_CLONES void Gate(const float* gate, const float* up, int64_t n, float* out) {
  GateEach(gate, up, n, out);
}

// d_gate and d_up of silu(gate) * up.
template <typename T>
RECKON_LANES void GateLanesBackward(const T* gate, const T* up, const T* d, int64_t count,
                                    T* d_gate, T* d_up) {
  // With s = sigmoid(g):  d/dg (g s) = s + g s (1 - s) = s (1 + g (1 - s)).
  const Lanes g = LoadLanes(gate, count), u = LoadLanes(up, count), dy = LoadLanes(d, count);
  const Lanes sigmoid = 1.0f / (1.0f + Exp(-g));
  StoreLanes(dy * u * sigmoid * (1.0f + g * (1.0f - sigmoid)), d_gate, count);
  StoreLanes(dy * g * sigmoid, d_up, count);
}
template <typename T>
RECKON_LANES void GateEachBackward(const T* gate, const T* up, const T* d, int64_t n, T* d_gate,
                                   T* d_up) {
  const int64_t whole = WholeLanes(n);
  for (int64_t i = 0; i < whole; i += kLanes) {
    GateLanesBackward(gate + i, up + i, d + i, kLanes, d_gate + i, d_up + i);
  }
  if (whole < n) {
    GateLanesBackward(gate + whole, up + whole, d + whole, n - whole, d_gate + whole, d_up + whole);
  }
}
RECKON_CLONES void GateBackward(const uint16_t* gate, const uint16_t* up, const uint16_t* d,
                                int64_t n, uint16_t* d_gate, uint16_t* d_up) {
  GateEachBackward(gate, up, d, n, d_gate, d_up);
}
RECKON_CLONES void GateBackward(const float* gate, const float* up, const float* d, int64_t n,
                                float* d_gate, float* d_up) {
  GateEachBackward(gate, up, d, n, d_gate, d_up);
}

template <typename T>
void SwiGluRowsAs(const T* gate_up, int64_t rows, int64_t n, T* out) {
  ForRows(rows, [&](int64_t row) {
    const T* gate = gate_up + row * 2 * n;
    Gate(gate, gate + n, n, out + row * n);
  });
}
template <typename T>
void SwiGluRowsBackwardAs(const T* gate_up, const T* d, int64_t rows, int64_t n, T* d_gate_up) {
  ForRows(rows, [&](int64_t row) {
    const T* gate = gate_up + row * 2 * n;
    T* d_gate = d_gate_up + row * 2 * n;
    GateBackward(gate, gate + n, d + row * n, n, d_gate, d_gate + n);
  });
}

// x[first .. first+n-1] as fp32: in place, or widened into `buffer`.
const float* ReadFloats(const void* x, Dtype dtype, int64_t first, int64_t n,
                        std::vector<float>& buffer) {
  if (dtype == Dtype::kFp32) return static_cast<const float*>(x) + first;
  buffer.resize(n);
  Widen(static_cast<const uint16_t*>(x) + first, n, buffer.data());
  return buffer.data();
}

// Writes all of `from` to x[first ..], rounded to `dtype`.
void WriteFloats(const std::vector<float>& from, Dtype dtype, int64_t first, void* x) {
  const int64_t n = static_cast<int64_t>(from.size());
  if (dtype == Dtype::kBf16) {
    ToBf16(from.data(), n, static_cast<uint16_t*>(x) + first);
  } else {
    std::copy_n(from.data(), n, static_cast<float*>(x) + first);
  }
}

// Where to compute x[first .. first+n-1] in fp32: in place, or in `buffer`, which FinishOutput then
// rounds into place.
float* BeginOutput(void* x, Dtype dtype, int64_t first, int64_t n, std::vector<float>& buffer) {
  if (dtype == Dtype::kFp32) return static_cast<float*>(x) + first;
  buffer.resize(n);
  return buffer.data();
}

void FinishOutput(void* x, Dtype dtype, int64_t first, int64_t n,
                  const std::vector<float>& buffer) {
  if (dtype == Dtype::kBf16) ToBf16(buffer.data(), n, static_cast<uint16_t*>(x) + first);
}

}  // namespace

void RmsNormRows(const float* x, const float* weight, int64_t rows, int64_t n, float eps,
                 Dtype dtype, void* out) {
  ForRows(rows, [&](int64_t row) {
    thread_local std::vector<float> buffer;
    float* to = BeginOutput(out, dtype, row * n, n, buffer);
    RmsNormRow(x + row * n, weight, n, eps, to);
    FinishOutput(out, dtype, row * n, n, buffer);
  });
}

void RmsNormRowsBackward(const float* x, const float* weight, const void* dy, int64_t rows,
                         int64_t n, float eps, Dtype dtype, float* dx, float* dweight) {
  const int64_t chunks = (rows + kRowsPerChunk - 1) / kRowsPerChunk;
  std::vector<float> partial(chunks * n);
  ParallelFor(chunks, [&](int64_t chunk) {
    thread_local std::vector<float> buffer, square;
    square.resize(n);
    for (int64_t row = chunk * kRowsPerChunk; row < std::min(rows, (chunk + 1) * kRowsPerChunk);
         ++row) {
      RmsNormRowBackward(x + row * n, weight, ReadFloats(dy, dtype, row * n, n, buffer), n, eps,
                         square.data(), dx + row * n, partial.data() + chunk * n);
    }
  });
  if (dweight == nullptr) return;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int64_t i = 0; i < n; ++i) dweight[i] += partial[chunk * n + i];
  }
}

void RopeTableRows(const int32_t* positions, int64_t rows, int64_t dim, const float* frequency,
                   float magnitude, float* table) {
  const int64_t half = dim / 2;
  ForRows(rows, [&](int64_t row) {
    float* to = table + row * dim;
    for (int64_t d = 0; d < half; ++d) {
      // In fp32, as transformers computes it: at long positions the product in double is another
      // angle than the one that models are trained with.
      float angle = static_cast<float>(positions[row]) * frequency[d];
      to[d] = magnitude * std::cos(angle);
      to[d + half] = magnitude * std::sin(angle);
    }
  });
}

void RopeRows(void* x, const float* table, int64_t rows, int64_t heads, int64_t dim, int64_t ld,
              bool inverse, Dtype dtype) {
  const float sign = inverse ? -1.0f : 1.0f;
  ForRows(rows, [&](int64_t row) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = row * ld + h * dim;
      if (dtype == Dtype::kBf16) {
        Rotate(static_cast<uint16_t*>(x) + at, dim / 2, table + row * dim, sign);
      } else {
        Rotate(static_cast<float*>(x) + at, dim / 2, table + row * dim, sign);
      }
    }
  });
}

void HeadNormRows(void* x, int64_t rows, int64_t heads, int64_t dim, int64_t ld,
                  const float* weight, float eps, Dtype dtype) {
  ForRows(rows, [&](int64_t row) {
    thread_local std::vector<float> in, out;
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = row * ld + h * dim;
      const float* from = ReadFloats(x, dtype, at, dim, in);
      out.resize(dim);
      RmsNormRow(from, weight, dim, eps, out.data());
      WriteFloats(out, dtype, at, x);
    }
  });
}

void HeadNormRowsBackward(const void* x, void* d, int64_t rows, int64_t heads, int64_t dim,
                          int64_t ld, const float* weight, float eps, Dtype dtype, float* dweight) {
  const int64_t chunks = (rows + kRowsPerChunk - 1) / kRowsPerChunk;
  std::vector<float> partial(chunks * dim);
  ParallelFor(chunks, [&](int64_t chunk) {
    std::vector<float> in, upstream, square(dim), out(dim);
    for (int64_t row = chunk * kRowsPerChunk; row < std::min(rows, (chunk + 1) * kRowsPerChunk);
         ++row) {
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t at = row * ld + h * dim;
        const float* from = ReadFloats(x, dtype, at, dim, in);
        const float* dy = ReadFloats(d, dtype, at, dim, upstream);
        RmsNormRowBackward(from, weight, dy, dim, eps, square.data(), out.data(),
                           partial.data() + chunk * dim);
        WriteFloats(out, dtype, at, d);
      }
    }
  });
  if (dweight == nullptr) return;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int64_t i = 0; i < dim; ++i) dweight[i] += partial[chunk * dim + i];
  }
}

void SwiGluRows(const void* gate_up, int64_t rows, int64_t n, Dtype dtype, void* out) {
  if (dtype == Dtype::kBf16) {
    SwiGluRowsAs(static_cast<const uint16_t*>(gate_up), rows, n, static_cast<uint16_t*>(out));
  } else {
    SwiGluRowsAs(static_cast<const float*>(gate_up), rows, n, static_cast<float*>(out));
  }
}

void SwiGluRowsBackward(const void* gate_up, const void* d, int64_t rows, int64_t n, Dtype dtype,
                        void* d_gate_up) {
  if (dtype == Dtype::kBf16) {
    SwiGluRowsBackwardAs(static_cast<const uint16_t*>(gate_up), static_cast<const uint16_t*>(d),
                         rows, n, static_cast<uint16_t*>(d_gate_up));
  } else {
    SwiGluRowsBackwardAs(static_cast<const float*>(gate_up), static_cast<const float*>(d), rows, n,
                         static_cast<float*>(d_gate_up));
  }
}

void AddColumnSums(const void* x, int64_t rows, int64_t n, int64_t ld, Dtype dtype, float* sums) {
  std::vector<float> buffer;
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = ReadFloats(x, dtype, row * ld, n, buffer);
    for (int64_t i = 0; i < n; ++i) sums[i] += from[i];
  }
}

}  // namespace reckon
