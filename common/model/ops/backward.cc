#include "common/model/ops/backward.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/model/ops/softmax.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

// Rows whose logits are held at once: large enough that adding to the head's gradient is not bound
// by memory, small enough that fp32 logits of a 49,152-word vocabulary take 50 MB.
constexpr int64_t kHeadRows = 256;

float Value(const void* data, Element element, int64_t i) {
  return element == Element::kBf16 ? FromBf16(static_cast<const uint16_t*>(data)[i])
                                   : static_cast<const float*>(data)[i];
}

// x [rows, n] -> [n, rows rounded up to even], zeros behind.
template <typename T>
at::Tensor TransposedAs(const at::Tensor& x) {
  int64_t rows = x.size(0), n = x.size(1), padded = (rows + 1) / 2 * 2;
  at::Tensor out = at::empty({n, padded}, x.scalar_type());
  const T* from = static_cast<const T*>(x.const_data_ptr());
  T* to = static_cast<T*>(out.mutable_data_ptr());
  constexpr int64_t kTile = 32;
  ParallelFor((n + kTile - 1) / kTile, [&](int64_t task) {
    int64_t first = task * kTile, end = std::min(n, first + kTile);
    for (int64_t row = 0; row < rows; row += kTile) {
      int64_t row_end = std::min(rows, row + kTile);
      for (int64_t j = first; j < end; ++j) {
        for (int64_t i = row; i < row_end; ++i) to[j * padded + i] = from[i * n + j];
      }
    }
    for (int64_t j = first; j < end; ++j) {
      for (int64_t i = rows; i < padded; ++i) to[j * padded + i] = T(0);
    }
  });
  return out;
}

at::Tensor Transposed(const at::Tensor& x) {
  return ElementOf(x) == Element::kBf16 ? TransposedAs<uint16_t>(x) : TransposedAs<float>(x);
}

// weight.parts' gradients += dy^T x.
void AddWeightGrad(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy) {
  at::Tensor left = Transposed(dy);
  Element element = ElementOf(x);
  PackedMatrix right;
  right.Reset(element, x.size(0), x.size(1));
  if (element == Element::kBf16) {
    right.PackRows(static_cast<const uint16_t*>(x.const_data_ptr()), x.size(0), 0, x.stride(0));
  } else {
    right.PackRows(x.const_data_ptr<float>(), x.size(0), 0, x.stride(0));
  }
  int64_t bytes = element == Element::kBf16 ? 2 : 4, first = 0;
  for (const at::Tensor& part : weight.parts) {
    at::Tensor grad = GradOf(part);
    const char* rows =
        static_cast<const char*>(left.const_data_ptr()) + first * left.size(1) * bytes;
    Gemm(rows, part.size(0), left.size(1), right, grad.mutable_data_ptr(), grad.size(1),
         Store::kAddFp32);
    first += part.size(0);
  }
}

at::Tensor InputGrad(const LinearWeight& weight, const at::Tensor& dy) {
  at::Tensor dx = at::empty({dy.size(0), weight.backward.n()}, dy.scalar_type());
  Gemm(dy.const_data_ptr(), dy.size(0), dy.size(1), weight.backward, dx.mutable_data_ptr(),
       dx.size(1), ElementOf(dy) == Element::kBf16 ? Store::kBf16 : Store::kFp32);
  return dx;
}

// Calls each(first, rows, logits [rows, vocab]) over chunks of rows.
template <typename Each>
void ForHeadChunks(const at::Tensor& hidden, const LinearWeight& head, const Each& each) {
  int64_t rows = hidden.size(0), vocab = head.forward.n();
  int64_t bytes = ElementOf(hidden) == Element::kBf16 ? 2 : 4;
  std::vector<float> logits(std::min(rows, kHeadRows) * vocab);
  for (int64_t first = 0; first < rows; first += kHeadRows) {
    int64_t count = std::min(kHeadRows, rows - first);
    Gemm(static_cast<const char*>(hidden.const_data_ptr()) + first * hidden.stride(0) * bytes,
         count, hidden.stride(0), head.forward, logits.data(), vocab, Store::kFp32);
    each(first, count, logits.data());
  }
}

}  // namespace

at::Tensor GradOf(const at::Tensor& leaf) {
  if (!leaf.grad().defined()) leaf.mutable_grad() = at::zeros(leaf.sizes(), at::kFloat);
  return leaf.grad();
}

void AddRows(const at::Tensor& d, const at::Tensor& tokens, const at::Tensor& grad) {
  const int32_t* ids = tokens.const_data_ptr<int32_t>();
  const float* from = d.const_data_ptr<float>();
  float* to = grad.mutable_data_ptr<float>();
  int64_t n = d.size(1);
  for (int64_t i = 0; i < d.size(0); ++i) {
    for (int64_t j = 0; j < n; ++j) to[ids[i] * n + j] += from[i * n + j];
  }
}

at::Tensor RmsNormBackward(const at::Tensor& x, const TableWeight& weight, double eps,
                           const at::Tensor& dy) {
  // y = x r w with r = (mean x^2 + eps)^(-1/2):
  // dx = r (dy w) - x r^3 / n * sum(dy w x); dw = sum over rows of dy x r.
  constexpr int64_t kChunk = 64;
  int64_t rows = x.size(0), n = x.size(1), chunks = (rows + kChunk - 1) / kChunk;
  Element element = ElementOf(dy);
  at::Tensor dx = at::empty(x.sizes(), at::kFloat);
  std::vector<float> partial(chunks * n);
  const float* w = weight.values.const_data_ptr<float>();
  const float* from = x.const_data_ptr<float>();
  float* to = dx.mutable_data_ptr<float>();
  ParallelFor(chunks, [&](int64_t chunk) {
    std::vector<float> g(n), square(n);
    float* dw = partial.data() + chunk * n;
    for (int64_t row = chunk * kChunk; row < std::min(rows, (chunk + 1) * kChunk); ++row) {
      const float* xr = from + row * n;
      for (int64_t i = 0; i < n; ++i) square[i] = xr[i] * xr[i];
      float r = 1.0f / std::sqrt(SumFixed(square.data(), n) / static_cast<float>(n) +
                                 static_cast<float>(eps));
      for (int64_t i = 0; i < n; ++i) {
        g[i] = Value(dy.const_data_ptr(), element, row * n + i);
        dw[i] += g[i] * xr[i] * r;
        g[i] *= w[i];
        square[i] = g[i] * xr[i];
      }
      float c = SumFixed(square.data(), n) * r * r * r / static_cast<float>(n);
      for (int64_t i = 0; i < n; ++i) to[row * n + i] = r * g[i] - c * xr[i];
    }
  });
  if (weight.leaf.defined()) {
    float* grad = GradOf(weight.leaf).mutable_data_ptr<float>();
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      for (int64_t i = 0; i < n; ++i) grad[i] += partial[chunk * n + i];
    }
  }
  return dx;
}

at::Tensor LinearBackward(const at::Tensor& x, const LinearWeight& weight, const at::Tensor& dy) {
  if (weight.trainable()) AddWeightGrad(x, weight, dy);
  return InputGrad(weight, dy);
}

at::Tensor SwiGluBackward(const at::Tensor& gate_up, const at::Tensor& d) {
  int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  Element element = ElementOf(gate_up);
  at::Tensor out = at::empty(gate_up.sizes(), gate_up.scalar_type());
  ParallelFor(rows, [&](int64_t row) {
    thread_local std::vector<float> gate, e;
    gate.resize(n);
    e.resize(n);
    const int64_t at = row * 2 * n;
    for (int64_t i = 0; i < n; ++i) gate[i] = Value(gate_up.const_data_ptr(), element, at + i);
    ExpShifted(gate.data(), n, -1.0f, 0.0f, e.data());
    for (int64_t i = 0; i < n; ++i) {
      float sigmoid = 1.0f / (1.0f + e[i]);
      float up = Value(gate_up.const_data_ptr(), element, at + n + i);
      float g = Value(d.const_data_ptr(), element, row * n + i);
      float d_gate = g * up * sigmoid * (1.0f + gate[i] * (1.0f - sigmoid));
      float d_up = g * gate[i] * sigmoid;
      if (element == Element::kBf16) {
        auto* to = static_cast<uint16_t*>(out.mutable_data_ptr()) + at;
        to[i] = ToBf16(d_gate);
        to[n + i] = ToBf16(d_up);
      } else {
        float* to = out.mutable_data_ptr<float>() + at;
        to[i] = d_gate;
        to[n + i] = d_up;
      }
    }
  });
  return out;
}

at::Tensor HeadForward(const at::Tensor& hidden, const LinearWeight& head,
                       const at::Tensor& targets, double scale, const at::Tensor& lse) {
  int64_t vocab = head.forward.n();
  at::Tensor out = at::empty({hidden.size(0)}, at::kFloat);
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  float* to = out.mutable_data_ptr<float>();
  float* lses = lse.mutable_data_ptr<float>();
  const float s = static_cast<float>(scale);
  ForHeadChunks(hidden, head, [&](int64_t first, int64_t count, const float* logits) {
    ParallelFor(count, [&](int64_t i) {
      thread_local std::vector<float> scratch;
      scratch.resize(vocab);
      float max, sum;
      const float* row = logits + i * vocab;
      lses[first + i] = LogSumExp(row, vocab, s, &max, &sum, scratch.data());
      to[first + i] = s * row[ids[first + i]] - lses[first + i];
    });
  });
  return out;
}

at::Tensor HeadBackward(const at::Tensor& hidden, const LinearWeight& head,
                        const at::Tensor& targets, double scale, const at::Tensor& lse,
                        const at::Tensor& dlogprob) {
  // d logits = g * scale * (onehot(target) - softmax(scale * logits)).
  // Rows of d are a left operand of Gemm, which reads pairs: an odd vocabulary is padded.
  int64_t vocab = head.forward.n(), width = (vocab + 1) / 2 * 2;
  at::Tensor dx = at::empty(hidden.sizes(), hidden.scalar_type());
  const int32_t* ids = targets.const_data_ptr<int32_t>();
  const float* lses = lse.const_data_ptr<float>();
  const float* g = dlogprob.const_data_ptr<float>();
  const float s = static_cast<float>(scale);
  ForHeadChunks(hidden, head, [&](int64_t first, int64_t count, float* logits) {
    at::Tensor d = at::zeros({count, width}, hidden.scalar_type());
    ParallelFor(count, [&](int64_t i) {
      float* row = logits + i * vocab;
      ExpShifted(row, vocab, s, lses[first + i], row);
      const float factor = -g[first + i] * s;
      for (int64_t j = 0; j < vocab; ++j) row[j] *= factor;
      row[ids[first + i]] -= factor;
      if (ElementOf(d) == Element::kBf16) {
        ToBf16(row, vocab, static_cast<uint16_t*>(d.mutable_data_ptr()) + i * width);
      } else {
        std::copy(row, row + vocab, d.mutable_data_ptr<float>() + i * width);
      }
    });
    at::Tensor part = LinearBackward(hidden.narrow(0, first, count), head, d);
    dx.narrow(0, first, count).copy_(part);
  });
  return dx;
}

}  // namespace reckon
