// The parts of an outcome reward model beside its stage: what is judged, how well, and its head.
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/orm/calibration.h"
#include "learner/orm/reward_head.h"
#include "learner/orm/solution.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kLine = kTinyFirstByte + '\n';

StepTokens TinySteps() {
  const Weights weights = MakeTinyModel();
  return StepTokens(**Tokenizer::Create(weights.manifest.tokenizer_json()));
}

TEST(SolutionTest, EveryPrefixIsJudgedFromThePromptToTheLastToken) {
  const Solution solution = {{5, 6, 7, kLine, 8, 9}, 2};
  const TrainingSequence all = JudgedSequence(solution, 1, nullptr);
  // The row in front of a marked token is judged: those of 6 (the prompt), 7, newline, 8 and 9.
  EXPECT_THAT(all.tokens, ElementsAre(5, 6, 7, kLine, 8, 9, 9));
  EXPECT_THAT(all.loss, ElementsAre(false, false, true, true, true, true, true));
  EXPECT_EQ(all.target, 1);
  const StepTokens steps = TinySteps();
  const TrainingSequence ends = JudgedSequence(solution, 0, &steps);
  EXPECT_THAT(ends.loss, ElementsAre(false, false, true, false, true, false, true));
}

TEST(SolutionTest, StepsEndAtNewlinesAndAtTheEnd) {
  const StepTokens steps = TinySteps();
  EXPECT_THAT(steps.EndsOf({5, 7, kLine, 8, kLine}, 1), ElementsAre(2, 4));
  EXPECT_THAT(steps.EndsOf({5, kLine, kLine, 8}, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(steps.EndsOf({5}, 1), ElementsAre());
}

TEST(CalibrationTest, AreaUnderCurveIsTheShareOfPairsInOrder) {
  EXPECT_EQ(AreaUnderCurve({{0.9, true}, {0.1, false}}), 1);
  EXPECT_EQ(AreaUnderCurve({{0.1, true}, {0.9, false}}), 0);
  EXPECT_EQ(AreaUnderCurve({{0.5, true}, {0.5, false}}), 0.5);
  // Of six pairs four are in order and one is tied.
  EXPECT_DOUBLE_EQ(
      AreaUnderCurve({{0.8, true}, {0.4, true}, {0.2, true}, {0.2, false}, {0.6, false}}),
      (2 + 1 + 0.5) / 6);
  EXPECT_EQ(AreaUnderCurve({{0.9, true}}), 0.5);
  EXPECT_EQ(AreaUnderCurve({}), 0.5);
}

TEST(CalibrationTest, AnHonestModelHasNoCalibrationError) {
  EXPECT_DOUBLE_EQ(CalibrationError({{0.5, true}, {0.5, false}, {1, true}, {0, false}}), 0);
  EXPECT_DOUBLE_EQ(CalibrationError({{0.95, false}, {0.91, false}}), 0.93);
  EXPECT_DOUBLE_EQ(BrierScore({{0.5, true}, {1, false}}), (0.25 + 1) / 2);
}

TEST(RewardHeadTest, IsReadAsItWasWritten) {
  const std::string folder = testing::TempDir() + "/reward_head_" + std::to_string(::getpid());
  ASSERT_TRUE(MakeFolders(folder).ok());
  RewardHead head(4, at::kCPU);
  at::Tensor weight = head.parameters()[0].second.detach();
  for (int i = 0; i < 4; ++i) weight.data_ptr<float>()[i] = 0.1f * static_cast<float>(i);
  ASSERT_TRUE(head.Write(folder).ok());
  auto read = RewardHead::Read(folder, 4, at::kCPU);
  ASSERT_TRUE(read.ok()) << read.status();
  const at::Tensor states = at::ones({2, 4});
  EXPECT_TRUE(read->Forward(states).equal(head.Forward(states)));
  EXPECT_NEAR(head.Forward(states)[0].item<float>(), 0.6, 1e-6);
}

TEST(RewardHeadTest, RefusesWhatIsNoHeadOfThisModel) {
  const std::string folder = testing::TempDir() + "/reward_head_bad_" + std::to_string(::getpid());
  ASSERT_TRUE(MakeFolders(folder).ok());
  EXPECT_EQ(RewardHead::Read(folder, 4, at::kCPU).status().code(), absl::StatusCode::kNotFound);
  for (const char* text : {"", "{", "[]", R"({"reward_head.weight": [1, 2]})",
                           R"({"reward_head.weight": [1, 2, 3, "4"]})",
                           R"({"reward_head.weight": [1, 2, 3, 1e999]})"}) {
    ASSERT_TRUE(WriteFileAtomically(folder + "/reward_head.json", text).ok());
    const absl::Status status = RewardHead::Read(folder, 4, at::kCPU).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("reward_head.json: ")) << text;
  }
}

}  // namespace
}  // namespace reckon
