#ifndef RECKON_COMMON_MODEL_OPS_GEMM_H_
#define RECKON_COMMON_MODEL_OPS_GEMM_H_

#include <cstdint>

#include "common/model/ops/packed_matrix.h"

namespace reckon {

// Matrix products whose every output element is one sum in one fixed order over the contraction:
// the bits of a row never depend on how many other rows there are, where it stands among them, or
// on threads. That is what makes rollouts and training agree bit for bit.
//
// Products of bf16 accumulate in fp32 (AMX or AVX512-BF16
// where the CPU has them, plain C++ elsewhere: the same shape of sum, not the same bits).

enum class Store { kBf16, kFp32, kAddFp32 };

// C [m, n] = A [m, k] * B, or += for kAddFp32. A has B's element type and row stride lda >=
// padded_k (with zeros beyond k); C's row stride is ldc. Uses the thread pool.
void Gemm(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, void* c, int64_t ldc,
          Store store);

// The same with rows first_k .. first_k+k-1 of B alone, and k columns of A; for bf16 both are even.
void GemmRows(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_k,
              int64_t k, void* c, int64_t ldc, Store store);

// Only columns first_panel*32 .. +32*panels of A * B, into c [m, 32*panels], on the caller's
// thread.
void GemmPanels(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_panel,
                int64_t panels, float* c, int64_t ldc);

// True where AVX512 with bf16 products is there and used.
bool HasAvx512Bf16();

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_GEMM_H_
