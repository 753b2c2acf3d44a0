#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_OUTPUT_HEAD_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_OUTPUT_HEAD_H_

#include "ATen/core/Tensor.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// Log-probabilities of tokens from hidden states, without ever holding all logits [rows, vocab]:
//
//   logits = hidden W^T       lse = log(sum_j exp(scale * logits_j))
//   logprob = scale * logits_target - lse

// Sets the columns head.masked of logits [rows, vocab] to minus infinity: exp makes zeros of them.
void MaskColumns(const LinearWeight& head, int64_t rows, int64_t vocab, float* logits);

// hidden [rows, k], targets [rows] int32 -> logprob [rows] fp32. Also fills lse [rows] fp32, which
// the backward needs. Holds the logits of 128 rows at a time.
at::Tensor LogProbForward(const at::Tensor& hidden, const LinearWeight& head,
                          const at::Tensor& targets, float scale, const at::Tensor& lse);

// Returns d_hidden, of hidden's dtype, from d_logprob [rows], and adds to the gradient of the head
// if it is trained. With
//   d_logits = d_logprob * scale * (onehot(target) - exp(scale * logits - lse))
// and lse known, each block of 1024 columns of the vocabulary is independent: its logits are
// computed again, for all rows.
at::Tensor LogProbBackward(const at::Tensor& hidden, const LinearWeight& head,
                           const at::Tensor& targets, float scale, const at::Tensor& lse,
                           const at::Tensor& d_logprob);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_OUTPUT_HEAD_H_
