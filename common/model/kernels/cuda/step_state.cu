#include "common/base/philox.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/launch.h"
#include "common/model/kernels/cuda/step_state.h"

namespace reckon {
namespace {

constexpr int kThreads = 128;

// By the threads of a block: cosines, then sines, of a row.
__device__ void WriteAngles(int32_t position, const float* frequency, float magnitude, int64_t half,
                            float* table) {
  for (int64_t i = threadIdx.x; i < half; i += kThreads) {
    const float angle = static_cast<float>(position) * frequency[i];
    table[i] = cosf(angle) * magnitude;
    table[half + i] = sinf(angle) * magnitude;
  }
}

// One block a row.
__global__ void RopeTable(RopeTableArgs a) {
  const int32_t position = a.positions[blockIdx.x];
  if (position < 0) return;
  WriteAngles(position, a.frequency, a.magnitude, a.half, a.table + blockIdx.x * 2 * a.half);
}

// One block a row.
__global__ void BeginStep(BeginStepArgs a) {
  const int64_t row = blockIdx.x;
  const int32_t index = a.slot_of[row];
  if (index < 0) {
    if (threadIdx.x == 0) {
      a.tokens[row] = 0;
      a.positions[row] = -1;
      a.draws[row] = {0, 1, 1, 0, -1, /*idle=*/1};
    }
    return;
  }
  const DecodeSlot slot = a.slots[index];
  if (threadIdx.x == 0) {
    a.tokens[row] = slot.token;
    a.positions[row] = slot.position;
    a.draws[row] = {PhiloxUniform(slot.stream, slot.place, 0),
                    slot.top_p,
                    slot.scale,
                    slot.top_k,
                    slot.forced,
                    /*idle=*/0};
  }
  for (int64_t page = threadIdx.x; page <= slot.position / kPageTokens; page += kThreads) {
    a.pages_of[row * a.most_pages + page] = a.slot_pages[index * a.most_pages + page];
  }
  WriteAngles(slot.position, a.frequency, a.magnitude, a.half, a.table + row * 2 * a.half);
}

__global__ void EndStep(EndStepArgs a) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= a.rows || a.slot_of[row] < 0) return;
  DecodeSlot& slot = a.slots[a.slot_of[row]];
  slot.token = a.drawn[row].token;
  slot.forced = -1;
  ++slot.place;
  ++slot.position;
}

}  // namespace

cudaError_t LaunchBeginStep(const BeginStepArgs& args, cudaStream_t stream) {
  return Launch(BeginStep, dim3(static_cast<unsigned>(args.rows)), kThreads, stream, args);
}

cudaError_t LaunchRopeTable(const RopeTableArgs& args, cudaStream_t stream) {
  return Launch(RopeTable, dim3(static_cast<unsigned>(args.rows)), kThreads, stream, args);
}

cudaError_t LaunchEndStep(const EndStepArgs& args, cudaStream_t stream) {
  return Launch(EndStep, dim3(static_cast<unsigned>((args.rows + kThreads - 1) / kThreads)),
                kThreads, stream, args);
}

}  // namespace reckon
