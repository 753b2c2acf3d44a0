#include "common/model/kernels/cpu/gemm.h"

#include <algorithm>

#include "common/base/thread_pool.h"
#include "common/model/kernels/cpu/gemm_kernels.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// With k = 1536, so many rows of A fit the second-level cache together with a panel of B.
constexpr int64_t kMostRows = 192;

// Rows of A in one task. A matrix of few panels, as those of adapters, is divided by more rows, so
// that every thread has a share; in whole blocks of the kernels.
int64_t RowsPerTask(int64_t m, int64_t panels) {
  constexpr int64_t kBlockRows = 12;
  const int64_t shares = std::max<int64_t>(2 * ComputeThreads() / std::max<int64_t>(panels, 1), 1);
  const int64_t rows = std::max<int64_t>((m + shares - 1) / shares, 1);  // A may have none
  return std::min(kMostRows, (rows + kBlockRows - 1) / kBlockRows * kBlockRows);
}

// A larger C than this is written past the caches: its first rows would have left them when the
// last ones are written.
constexpr int64_t kStreamedBytes = 8 << 20;

bool Streams(int64_t m, int64_t n, const void* c, int64_t ldc, OutputMode mode) {
  constexpr int64_t kLineBytes = 64;
  const int64_t row_bytes = ldc * static_cast<int64_t>(sizeof(float));
  return mode == OutputMode::kFp32 &&
         m * n * static_cast<int64_t>(sizeof(float)) > kStreamedBytes &&
         reinterpret_cast<uintptr_t>(c) % kLineBytes == 0 && row_bytes % kLineBytes == 0;
}

constexpr int64_t kNoPanel = -1;

// What a task multiplies: m rows of A by rows first_k .. first_k+k-1 of one panel of B.
struct Factors {
  const void* a = nullptr;
  int64_t lda = 0;
  int64_t m = 0;
  const PackedMatrix& b;
  int64_t panel = 0;
  int64_t next = kNoPanel;  // the panel by which this thread will probably multiply after it
  int64_t first_k = 0;
  int64_t k = 0;
  bool streams = false;  // as PanelProduct's
};

template <typename T>
void MultiplyAs(const Factors& f, PanelKernel<T> kernel, void* c, int64_t ldc, OutputMode mode) {
  const auto rows_of = [&](int64_t panel) {
    return static_cast<const T*>(f.b.panel(panel)) + f.first_k * kPanelColumns;
  };
  kernel({.a = static_cast<const T*>(f.a),
          .lda = f.lda,
          .m = f.m,
          .panel = rows_of(f.panel),
          .k = f.k,
          .c = c,
          .ldc = ldc,
          .mode = mode,
          .streams = f.streams,
          .next = f.next == kNoPanel ? nullptr : rows_of(f.next)});
}

// c [m, 32] is their product, or is added to, as `mode` says.
void Multiply(const Factors& factors, void* c, int64_t ldc, OutputMode mode) {
  static const GemmKernels kernels = ChooseGemmKernels(CpuFeatures::OfThisCpu());
  if (factors.b.dtype() == Dtype::kBf16) {
    MultiplyAs<uint16_t>(factors, kernels.bf16, c, ldc, mode);
  } else {
    MultiplyAs<float>(factors, kernels.fp32, c, ldc, mode);
  }
}

// c += rows first .. of the second product, in the columns of one panel of B.
void AddProduct(const AddedProduct& added, int64_t first, int64_t m, int64_t panel, float* c,
                int64_t ldc) {
  const int64_t column = panel * kPanelColumns;
  const int64_t last = std::min(column + kPanelColumns, added.b->n()) - 1;
  const auto part_of = [&](int64_t j) {
    return std::upper_bound(added.ends.begin(), added.ends.end(), j) - added.ends.begin();
  };
  const int64_t first_k = part_of(column) * added.rows;
  const int64_t k = (part_of(last) + 1) * added.rows - first_k;
  const int64_t at = (first * added.lda + first_k) * BytesOf(added.b->dtype());
  Multiply({.a = static_cast<const char*>(added.a) + at,
            .lda = added.lda,
            .m = m,
            .b = *added.b,
            .panel = panel,
            .first_k = first_k,
            .k = k},
           c, ldc, OutputMode::kAccumulateFp32);
}

}  // namespace

void GemmPanels(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_panel,
                int64_t panels, float* c, int64_t ldc, PanelOptions options) {
  for (int64_t p = 0; p < panels; ++p) {
    Multiply({.a = a,
              .lda = lda,
              .m = m,
              .b = b,
              .panel = first_panel + p,
              .next = p + 1 < panels ? first_panel + p + 1 : kNoPanel,
              .k = options.rows > 0 ? options.rows : b.padded_k()},
             c + p * kPanelColumns, ldc,
             options.accumulate ? OutputMode::kAccumulateFp32 : OutputMode::kFp32);
  }
}

void Gemm(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, void* c, int64_t ldc,
          OutputMode mode, const AddedProduct& added) {
  GemmRows(a, m, lda, b, 0, b.padded_k(), c, ldc, mode, added);
}

void GemmRows(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_k,
              int64_t k, void* c, int64_t ldc, OutputMode mode, const AddedProduct& added) {
  CHECK(lda >= k && first_k + k <= b.padded_k());
  if (b.dtype() == Dtype::kBf16) CHECK(first_k % 2 == 0 && k % 2 == 0);
  if (mode == OutputMode::kBf16) CHECK(b.dtype() == Dtype::kBf16);
  if (added.b != nullptr) CHECK(added.b->dtype() == b.dtype() && added.b->n() == b.n());
  const int64_t rows_per_task = RowsPerTask(m, b.panels());
  const bool streams = added.b == nullptr && Streams(m, b.n(), c, ldc, mode);
  const int64_t row_tasks = (m + rows_per_task - 1) / rows_per_task;
  // Tasks of one panel are neighbours, so threads that run at the same time read the same panel of
  // B.
  ParallelFor(b.panels() * row_tasks, [&](int64_t task) {
    const int64_t panel = task / row_tasks, first = task % row_tasks * rows_per_task;
    const int64_t rows = std::min(rows_per_task, m - first);
    // Threads take tasks in turn.
    int64_t next = (task + ComputeThreads()) / row_tasks;
    if (next == panel || next >= b.panels()) next = kNoPanel;
    const int64_t column = panel * kPanelColumns, columns = std::min(kPanelColumns, b.n() - column);
    const Factors factors = {.a = static_cast<const char*>(a) + first * lda * BytesOf(b.dtype()),
                             .lda = lda,
                             .m = rows,
                             .b = b,
                             .panel = panel,
                             .next = next,
                             .first_k = first_k,
                             .k = k,
                             .streams = streams && columns == kPanelColumns};
    if (columns == kPanelColumns && (mode != OutputMode::kBf16 || added.b == nullptr)) {
      const int64_t element = mode == OutputMode::kBf16 ? sizeof(uint16_t) : sizeof(float);
      char* to = static_cast<char*>(c) + (first * ldc + column) * element;
      Multiply(factors, to, ldc, mode);
      if (added.b != nullptr) {
        AddProduct(added, first, rows, panel, reinterpret_cast<float*>(to), ldc);
      }
      return;
    }
    // The kernels write 32 columns and round at once: a last panel of fewer columns, and what is
    // rounded after a second product, go through a tile.
    alignas(64) float tile[kMostRows * kPanelColumns];
    Multiply(factors, tile, kPanelColumns, OutputMode::kFp32);
    if (added.b != nullptr) AddProduct(added, first, rows, panel, tile, kPanelColumns);
    if (mode == OutputMode::kBf16) {
      ToBf16(tile, rows, columns, kPanelColumns, static_cast<uint16_t*>(c) + first * ldc + column,
             ldc);
      return;
    }
    for (int64_t i = 0; i < rows; ++i) {
      const float* from = tile + i * kPanelColumns;
      float* to = static_cast<float*>(c) + (first + i) * ldc + column;
      for (int64_t j = 0; j < columns; ++j) {
        to[j] = mode == OutputMode::kAccumulateFp32 ? to[j] + from[j] : from[j];
      }
    }
  });
}

}  // namespace reckon
