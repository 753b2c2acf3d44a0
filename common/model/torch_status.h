#ifndef RECKON_COMMON_MODEL_TORCH_STATUS_H_
#define RECKON_COMMON_MODEL_TORCH_STATUS_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace reckon {

// The status of an exception that LibTorch, c10d or the allocator threw. Its message is one line,
// without LibTorch's backtrace, that starts with the operation that failed, `what`: "forward pass:
// ..".
//   RESOURCE_EXHAUSTED  the device or the host is out of memory
//   UNAVAILABLE         a collective failed: another rank or the network is gone
//   INTERNAL            everything else
absl::Status TorchStatus(absl::string_view what, const std::exception& exception);

// Runs `body`, which returns a Status or StatusOr, and returns its result or the status of what it
// threw. This is the only place where LibTorch's exceptions become a status: actor and learner call
// LibTorch, constructors and the loading of weights included, only inside of it. An exception
// outside would end the process without a message.
template <typename Body>
auto CatchTorchErrors(absl::string_view what, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::exception& exception) {
    return TorchStatus(what, exception);
  }
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_TORCH_STATUS_H_
