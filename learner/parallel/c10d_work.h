#ifndef RECKON_LEARNER_PARALLEL_C10D_WORK_H_
#define RECKON_LEARNER_PARALLEL_C10D_WORK_H_

#include <c10/util/Exception.h>

#include <exception>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/stop_token.h"

namespace reckon {

// Runs `body`; c10d's exceptions become UNAVAILABLE, named `what`.
template <typename F>
absl::Status Guarded(const char* what, F&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    return absl::UnavailableError(absl::StrCat(what, ": ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(what, ": ", error.what()));
  }
}

// Until the operation ends, whose error it throws, or `stop` comes: CANCELLED.
absl::Status Await(const c10::intrusive_ptr<c10d::Work>& work, const StopToken& stop);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_C10D_WORK_H_
