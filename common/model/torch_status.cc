#include "common/model/torch_status.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace reckon {
namespace {

// LibTorch's CPU allocator throws a c10::Error of no particular type.
constexpr char kCpuOutOfMemory[] = "DefaultCPUAllocator: ";

// LibTorch appends a C++ backtrace and hints about environment variables to the message.
std::string FirstLine(const std::exception& exception) {
  const auto* error = dynamic_cast<const c10::Error*>(&exception);
  const std::string text = error != nullptr ? error->what_without_backtrace() : exception.what();
  return std::string(*absl::StrSplit(text, '\n').begin());
}

}  // namespace

void ThrowIfError(const absl::Status& status) {
  if (!status.ok()) throw StatusError(status);
}

absl::Status TorchStatus(absl::string_view what, const std::exception& exception) {
  if (const auto* carrier = dynamic_cast<const StatusError*>(&exception)) return carrier->status();
  const std::string message = absl::StrCat(what, ": ", FirstLine(exception));
  if (dynamic_cast<const c10::OutOfMemoryError*>(&exception) != nullptr ||
      dynamic_cast<const std::bad_alloc*>(&exception) != nullptr ||
      absl::StrContains(message, kCpuOutOfMemory)) {
    return absl::ResourceExhaustedError(absl::StrCat(message, " (out of memory)"));
  }
  if (dynamic_cast<const c10::DistError*>(&exception) != nullptr) {
    return absl::UnavailableError(message);
  }
  return absl::InternalError(message);
}

}  // namespace reckon
