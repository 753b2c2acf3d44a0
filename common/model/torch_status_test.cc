#include "common/model/torch_status.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

template <typename Throw>
absl::Status StatusOf(Throw&& thrower) {
  return CatchTorchErrors("forward pass", [&]() -> absl::Status {
    thrower();
    return absl::OkStatus();
  });
}

TEST(TorchStatusTest, WithoutAnExceptionTheResultIsTheBodys) {
  EXPECT_TRUE(StatusOf([] {}).ok());
  const auto body = [] { return absl::StatusOr<int>(7); };
  EXPECT_EQ(CatchTorchErrors("forward pass", body).value(), 7);
}

TEST(TorchStatusTest, AnErrorIsOneLineWithoutBacktrace) {
  const absl::Status status =
      StatusOf([] { TORCH_CHECK(false, "sizes differ\nset TORCH_SHOW to see more"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "forward pass: sizes differ");
}

TEST(TorchStatusTest, OutOfMemoryIsResourceExhausted) {
  const absl::Status device =
      StatusOf([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory.\nSee docs"); });
  EXPECT_EQ(device.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(device.message(), "forward pass: CUDA out of memory. (out of memory)");
  const absl::Status tensor = StatusOf([] { at::empty({int64_t{1} << 50}, at::kFloat); });
  EXPECT_EQ(tensor.code(), absl::StatusCode::kResourceExhausted) << tensor;
  EXPECT_EQ(tensor.message().find('\n'), absl::string_view::npos) << tensor;
  const absl::Status host = StatusOf([] { throw std::bad_alloc(); });
  EXPECT_EQ(host.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(host.message(), "forward pass: std::bad_alloc (out of memory)");
}

TEST(TorchStatusTest, AFailedCollectiveIsUnavailable) {
  const absl::Status status =
      StatusOf([] { TORCH_CHECK_WITH(DistError, false, "connection closed by peer"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "forward pass: connection closed by peer");
}

TEST(TorchStatusTest, AnyOtherExceptionIsInternal) {
  const absl::Status status = StatusOf([] { throw std::runtime_error("broken"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "forward pass: broken");
}

}  // namespace
}  // namespace reckon
