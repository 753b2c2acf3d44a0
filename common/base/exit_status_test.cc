#include "common/base/exit_status.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(ExitStatus, SaysWhetherAnotherStartMayHelp) {
  EXPECT_EQ(ExitStatus(absl::OkStatus()), 0);
  EXPECT_EQ(ExitStatus(absl::InvalidArgumentError("data.train: no such key")), kExitRecurs);
  EXPECT_EQ(ExitStatus(absl::NotFoundError("no such file")), kExitRecurs);
  EXPECT_EQ(ExitStatus(absl::FailedPreconditionError("another config")), kExitRecurs);
  EXPECT_EQ(ExitStatus(absl::AbortedError("an older term")), kExitRecurs);
  EXPECT_EQ(ExitStatus(absl::UnavailableError("no answer")), kExitMayHeal);
  EXPECT_EQ(ExitStatus(absl::DeadlineExceededError("no answer")), kExitMayHeal);
  EXPECT_EQ(ExitStatus(absl::CancelledError("stopped")), kExitMayHeal);
  EXPECT_EQ(ExitStatus(absl::ResourceExhaustedError("no space left on device")), kExitFailed);
  EXPECT_EQ(ExitStatus(absl::DataLossError("a checkpoint is damaged")), kExitFailed);
  EXPECT_EQ(ExitStatus(absl::InternalError("the loss is nan")), kExitFailed);
}

}  // namespace
}  // namespace reckon
