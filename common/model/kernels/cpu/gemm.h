#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/model/kernels/cpu/packed_matrix.h"

namespace reckon {

// Matrix products C = A * B with row-invariant results: row i of C is a function of row i of A and
// of B alone, bit for bit. It depends neither on the number of rows of A nor on i, and not on the
// number of threads.
//
// Reckon rests on this. An actor computes a token in a pass with whatever other sequences are in
// flight; the learner computes the same token among thousands of packed rows. Both get the same
// log-probability, so the ratio of new to old policy is exactly 1 before the first update, and a
// resumed run repeats the same weights. Libraries (oneDNN, MKL, what LibTorch calls) promise no
// such thing: they choose the order of summation by the shape of the whole product.
//
// How: C is computed in tiles of at most 192 rows x 32 columns, one task of the thread pool each.
// The contraction is never split: each element of C is one sum over k in increasing order, in fp32,
// by one task (gemm_kernels.h). Tiles divide rows and columns only, so they cannot change a sum.

// What becomes of the fp32 sums.
enum class OutputMode {
  kBf16,            // C is bf16: rounded
  kFp32,            // C is fp32: stored
  kAccumulateFp32,  // C is fp32: C += A * B, each sum added to C once
};

// A second product, a [m, R] * b [R, n], of the dtype of the first: each of its sums, again over R
// in increasing order, is added to that of the first before the result is rounded. For low-rank
// adapters, whose b is block diagonal.
struct AddedProduct {
  const void* a = nullptr;
  int64_t lda = 0;
  const PackedMatrix* b = nullptr;  // null: there is no second product
  // Columns below ends[p], and not below ends[p - 1], are zero but for rows p * rows and the `rows`
  // - 1 after it. R = rows * ends.size(); for bf16 `rows` is even.
  absl::Span<const int64_t> ends = {};
  int64_t rows = 0;
};

// C [m, n] = A [m, k] * B. A has B's dtype and row stride lda >= b.padded_k(), with zeros in the
// columns beyond k; the row stride of C is ldc. Uses the thread pool.
void Gemm(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, void* c, int64_t ldc,
          OutputMode mode, const AddedProduct& added = {});

// C [m, n] = A [m, k] * rows first_k .. first_k+k-1 of B. For bf16 first_k and k are even.
void GemmRows(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_k,
              int64_t k, void* c, int64_t ldc, OutputMode mode, const AddedProduct& added = {});

struct PanelOptions {
  int64_t rows = 0;         // of B that take part, from the first on; 0: all. Even for bf16
  bool accumulate = false;  // c += instead of c =
};

// c [m, 32 * panels] fp32 = A * columns 32 * first_panel .. of B, on the caller's thread: for
// callers that are tasks of the thread pool themselves.
void GemmPanels(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_panel,
                int64_t panels, float* c, int64_t ldc, PanelOptions options = {});

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_H_
