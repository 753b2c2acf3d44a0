#include "common/model/ops/gemm.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "common/base/log.h"
#include "common/model/ops/gemm_kernels.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

// Rows of A worked on together: with K = 1536 they fit the second-level cache beside a panel.
constexpr int64_t kRowsPerTask = 192;

// A small product by the AMX kernel and by the plain one.
bool AmxAgrees() {
  constexpr int64_t kM = 37, kK = 70;
  std::vector<uint16_t> a(kM * kK), panel(kK * kPackColumns);
  for (size_t i = 0; i < a.size(); ++i) a[i] = ToBf16(static_cast<float>(i % 13) - 6);
  for (size_t i = 0; i < panel.size(); ++i) panel[i] = ToBf16(static_cast<float>(i % 17) - 8);
  // Whole numbers below 2^24: exact in any order.
  std::vector<float> amx(kM * kPackColumns, 1.0f), plain = amx;
  PanelBf16Amx(a.data(), kM, kK, panel.data(), kK / 2, amx.data(), kPackColumns, true);
  PanelBf16Portable(a.data(), kM, kK, panel.data(), kK / 2, plain.data(), kPackColumns, true);
  return amx == plain;
}

Bf16PanelKernel ChooseBf16Kernel() {
  if (!HasAvx512Bf16()) return PanelBf16Portable;
  if (!CpuHasAmx()) return PanelBf16Avx512;
  if (AmxAgrees()) return PanelBf16Amx;
  LOG(WARNING) << "this CPU's AMX gives wrong products; going on without it";
  return PanelBf16Avx512;
}

Bf16PanelKernel Bf16Kernel() {
  static const Bf16PanelKernel kernel = ChooseBf16Kernel();
  return kernel;
}

Fp32PanelKernel Fp32Kernel() {
  static const Fp32PanelKernel kernel = HasAvx512Bf16() ? PanelFp32Avx512 : PanelFp32Portable;
  return kernel;
}

// Rows first_k .. first_k+k-1 of one panel of B.
void Panel(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t panel,
           int64_t first_k, int64_t k, float* c, int64_t ldc, bool add) {
  if (b.element() == Element::kBf16) {
    const auto* rows = static_cast<const uint16_t*>(b.panel(panel)) + first_k * kPackColumns;
    Bf16Kernel()(static_cast<const uint16_t*>(a), m, lda, rows, k / 2, c, ldc, add);
  } else {
    const auto* rows = static_cast<const float*>(b.panel(panel)) + first_k * kPackColumns;
    Fp32Kernel()(static_cast<const float*>(a), m, lda, rows, k, c, ldc, add);
  }
}

}  // namespace

bool HasAvx512Bf16() {
  static const bool has = [] {
    const char* off = std::getenv("RECKON_PORTABLE_KERNELS");
    if (off != nullptr && *off == '1') return false;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16");
  }();
  return has;
}

void GemmPanels(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_panel,
                int64_t panels, float* c, int64_t ldc) {
  for (int64_t p = 0; p < panels; ++p) {
    Panel(a, m, lda, b, first_panel + p, 0, b.padded_k(), c + p * kPackColumns, ldc, false);
  }
}

void Gemm(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, void* c, int64_t ldc,
          Store store) {
  GemmRows(a, m, lda, b, 0, b.padded_k(), c, ldc, store);
}

void GemmRows(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_k,
              int64_t k, void* c, int64_t ldc, Store store) {
  CHECK(lda >= k && first_k + k <= b.padded_k());
  if (b.element() == Element::kBf16) CHECK(first_k % 2 == 0 && k % 2 == 0);
  int64_t element_bytes = b.element() == Element::kBf16 ? 2 : 4;
  int64_t row_tasks = (m + kRowsPerTask - 1) / kRowsPerTask;
  int64_t panels = (b.n() + kPackColumns - 1) / kPackColumns;
  ParallelFor(panels * row_tasks, [&](int64_t task) {
    int64_t panel = task / row_tasks, first = task % row_tasks * kRowsPerTask;
    int64_t rows = std::min(kRowsPerTask, m - first);
    int64_t column = panel * kPackColumns, columns = std::min(kPackColumns, b.n() - column);
    const char* a_rows = static_cast<const char*>(a) + first * lda * element_bytes;
    if (store != Store::kBf16 && columns == kPackColumns) {
      Panel(a_rows, rows, lda, b, panel, first_k, k, static_cast<float*>(c) + first * ldc + column,
            ldc, store == Store::kAddFp32);
      return;
    }
    alignas(64) float tile[kRowsPerTask * kPackColumns];
    Panel(a_rows, rows, lda, b, panel, first_k, k, tile, kPackColumns, false);
    for (int64_t i = 0; i < rows; ++i) {
      const float* from = tile + i * kPackColumns;
      int64_t at = (first + i) * ldc + column;
      if (store == Store::kBf16) {
        ToBf16(from, columns, static_cast<uint16_t*>(c) + at);
      } else {
        float* to = static_cast<float*>(c) + at;
        for (int64_t j = 0; j < columns; ++j) {
          to[j] = store == Store::kAddFp32 ? to[j] + from[j] : from[j];
        }
      }
    }
  });
}

}  // namespace reckon
