#ifndef RECKON_COMMON_MODEL_BROADCAST_GLOO_GROUP_H_
#define RECKON_COMMON_MODEL_BROADCAST_GLOO_GROUP_H_

#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "absl/strings/string_view.h"

namespace reckon {

// How a group of c10d's Gloo is connected.
struct GlooGroupOptions {
  int rank = 0, world = 1;
  // Name or address of this member, where the others reach it; its interface alone is used.
  absl::string_view host;
  std::chrono::milliseconds timeout;  // of an operation that sets none
  int threads = 1;                    // of collectives
};

// Connects the members, who find each other by `store`, over TCP; blocks until all have called it.
// Throws as c10d does.
//
// Of every group of this process, because Gloo writes to connections whose other end is closed:
// from the first group on SIGPIPE has a handler that does nothing, so such a write is an error and
// not the end of the process. A handler and not SIG_IGN, which programs that this process starts
// would inherit.
c10::intrusive_ptr<c10d::ProcessGroupGloo> MakeGlooGroup(
    const GlooGroupOptions& options, const c10::intrusive_ptr<c10d::Store>& store);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_BROADCAST_GLOO_GROUP_H_
