#ifndef RECKON_COMMON_MODEL_TORCH_STATUS_H_
#define RECKON_COMMON_MODEL_TORCH_STATUS_H_

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace reckon {

// The status of an exception that LibTorch, c10d or the allocator threw. Its message is one line,
// without LibTorch's backtrace, that starts with the operation that failed, `what`: "forward pass:
// ..".
//   RESOURCE_EXHAUSTED  the device or the host is out of memory
//   UNAVAILABLE         a collective failed: another rank or the network is gone
//   of a StatusError    the status that it carries, unchanged
//   INTERNAL            everything else
absl::Status TorchStatus(absl::string_view what, const std::exception& exception);

// Carries a status through LibTorch, as out of a backward pass. CatchTorchErrors returns it as it
// is.
class StatusError : public std::exception {
 public:
  explicit StatusError(absl::Status status)
      : status_(std::move(status)), text_(status_.ToString()) {}
  const absl::Status& status() const { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  const absl::Status status_;
  const std::string text_;
};
void ThrowIfError(const absl::Status& status);

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
