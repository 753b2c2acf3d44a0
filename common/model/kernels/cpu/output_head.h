#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_OUTPUT_HEAD_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_OUTPUT_HEAD_H_

#include <vector>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// Log-probabilities of tokens from hidden states, without ever holding all logits [rows, vocab]:
//
//   logits = hidden W^T,   p_j = exp(scale * logits_j - max) / sum,   logprob = log(p_target)
//
// The backward needs the errors p_j - [j = target]. They are rounded to hidden's dtype and kept, in
// blocks of rows and up to a bound; the backward computes those of other blocks again, with the
// same bits. For a block that is kept it needs two products of the largest matrix of most models in
// place of three.
struct HeadRows {
  at::Tensor max, sum;             // [rows] fp32, of the softmax
  std::vector<at::Tensor> errors;  // [block of rows, vocab], or undefined
};

// Sets the columns head.masked of logits [rows, vocab] to minus infinity: exp makes zeros of them.
void MaskColumns(const LinearWeight& head, int64_t rows, int64_t vocab, float* logits);

// hidden [rows, k], targets [rows] int32 -> logprob [rows] fp32. Holds the logits of 128 rows at a
// time. Fills what the backward needs, if `kept` is not null.
at::Tensor LogProbForward(const at::Tensor& hidden, const LinearWeight& head,
                          const at::Tensor& targets, float scale, HeadRows* kept);

// Returns d_hidden, of hidden's dtype, from d_logprob [rows], and adds to the gradient of the head
// if it is trained:
//   d_logits = -d_logprob * scale * error
// Each block of 1024 columns of the vocabulary is independent.
at::Tensor LogProbBackward(const at::Tensor& hidden, const LinearWeight& head,
                           const at::Tensor& targets, float scale, const HeadRows& kept,
                           const at::Tensor& d_logprob);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_OUTPUT_HEAD_H_
