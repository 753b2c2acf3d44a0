#include "learner/experience/reward_head.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;

TEST(RewardHeadTest, IsReadAsItWasWritten) {
  const TempFolder temp;
  const std::string& folder = temp.path();
  RewardHead head(4, at::kCPU);
  at::Tensor weight = head.parameters()[0].second.detach();
  for (int i = 0; i < 4; ++i) weight.data_ptr<float>()[i] = 0.1f * static_cast<float>(i);
  ASSERT_TRUE(head.Write(folder).ok());
  auto read = RewardHead::Parse(*RewardHead::ReadText(folder), folder, 4, at::kCPU);
  ASSERT_TRUE(read.ok()) << read.status();
  const at::Tensor states = at::ones({2, 4});
  EXPECT_TRUE(read->Forward(states).equal(head.Forward(states)));
  EXPECT_NEAR(head.Forward(states)[0].item<float>(), 0.6, 1e-6);
}

TEST(RewardHeadTest, RefusesWhatIsNoHeadOfThisModel) {
  const TempFolder temp;
  const std::string& folder = temp.path();
  EXPECT_EQ(RewardHead::ReadText(folder).status().code(), absl::StatusCode::kNotFound);
  for (const char* text : {"", "{", "[]", R"({"reward_head.weight": [1, 2]})",
                           R"({"reward_head.weight": [1, 2, 3, "4"]})",
                           R"({"reward_head.weight": [1, 2, 3, 1e999]})"}) {
    ASSERT_TRUE(WriteFileAtomically(folder + "/reward_head.json", text).ok());
    const absl::Status status =
        RewardHead::Parse(*RewardHead::ReadText(folder), folder, 4, at::kCPU).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("reward_head.json: ")) << text;
  }
}

}  // namespace
}  // namespace reckon
