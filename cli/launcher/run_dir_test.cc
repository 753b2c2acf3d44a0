#include "cli/launcher/run_dir.h"

#include <cerrno>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LockError, OnlyALockThatIsHeldMeansInUse) {
  const absl::Status held = LockError(EWOULDBLOCK, "/runs/r");
  EXPECT_EQ(held.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(held.message()), HasSubstr("/runs/r is in use by another"));
  for (int error : {ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL, EIO, EINTR}) {
    EXPECT_THAT(std::string(LockError(error, "/runs/r").message()), Not(HasSubstr("in use")));
  }
}

TEST(LockError, AFileSystemWithoutLocksIsNamedWithWhatToDo) {
  const absl::Status none = LockError(ENOSYS, "/mnt/r");
  EXPECT_EQ(none.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(none.message()),
              testing::AllOf(HasSubstr("/mnt/r: its file system does not support locks"),
                             HasSubstr("Function not implemented"), HasSubstr("set output_dir")));
}

}  // namespace
}  // namespace reckon
