#include "learner/update/micro_batch.h"

#include <vector>

#include "common/base/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;

std::vector<int64_t> Values(const at::Tensor& tensor) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < tensor.numel(); ++i) out.push_back(tensor[i].item<int64_t>());
  return out;
}

std::vector<const TrainingSequence*> Pointers(const std::vector<TrainingSequence>& sequences) {
  std::vector<const TrainingSequence*> out;
  for (const TrainingSequence& sequence : sequences) out.push_back(&sequence);
  return out;
}

TEST(PackSequencesTest, PutsSequencesOneAfterAnotherAndEachTokenIsPredictedByTheRowBefore) {
  const std::vector<TrainingSequence> sequences = {
      MakeSequence({10, 11}, {12, 13}), MakeSequence({20}, {21}), MakeSequence({30, 31}, {})};
  const MicroBatch micro = PackSequences(Pointers(sequences));
  // Without the rows of last tokens, which predict nothing.
  EXPECT_THAT(Values(micro.tokens), ElementsAre(10, 11, 12, 20));
  EXPECT_THAT(Values(micro.positions), ElementsAre(0, 1, 2, 0));
  EXPECT_THAT(micro.segments.starts, ElementsAre(0, 3, 4, 4));
  EXPECT_THAT(Values(micro.predicting), ElementsAre(1, 2, 3));
  EXPECT_THAT(Values(micro.targets), ElementsAre(12, 13, 21));
  EXPECT_THAT(micro.counts, ElementsAre(2, 1, 0));
  EXPECT_EQ(micro.loss_tokens, 3);
}

TEST(PackSequencesTest, NeighboursWithOnePromptShareItsRows) {
  const std::vector<uint32_t> prompt(20, 7), other(20, 8);
  const std::vector<TrainingSequence> sequences = {
      MakeSequence(prompt, {1, 2, 3}), MakeSequence(prompt, {4}), MakeSequence(prompt, {5, 6}),
      MakeSequence(other, {9, 10}), MakeSequence({7, 7}, {11})};
  const MicroBatch micro = PackSequences(Pointers(sequences));
  constexpr int64_t kNone = RowSegments::kNoSegment;
  // The prompt once, its three branches of 2, 0 and 1 rows, and two sequences of their own.
  EXPECT_THAT(micro.segments.starts, ElementsAre(0, 20, 22, 22, 23, 44, 46));
  EXPECT_THAT(micro.segments.after, ElementsAre(kNone, 0, 0, 0, kNone, kNone));
  // The prompt's last row predicts the first token of each branch.
  EXPECT_THAT(Values(micro.predicting), ElementsAre(19, 20, 21, 19, 19, 22, 42, 43, 45));
  EXPECT_THAT(Values(micro.targets), ElementsAre(1, 2, 3, 4, 5, 6, 9, 10, 11));
  EXPECT_THAT(micro.counts, ElementsAre(3, 1, 2, 2, 1));
  EXPECT_EQ(micro.positions[22].item<int>(), 20);
}

TEST(PackSequencesTest, NothingPredictsAFirstToken) {
  const std::vector<TrainingSequence> sequences = {MakeSequence({}, {5, 6})};
  const MicroBatch micro = PackSequences(Pointers(sequences));
  EXPECT_THAT(Values(micro.predicting), ElementsAre(0));
  EXPECT_THAT(Values(micro.targets), ElementsAre(6));
}

TEST(DivideIntoMicroBatchesTest, EverySequenceIsInOneMicroBatchOfOneRankAndNoneIsTooLarge) {
  const CounterRng rng(3);
  std::vector<TrainingSequence> sequences;
  for (uint64_t i = 0; i < 50; ++i) {
    sequences.push_back(MakeSequence(std::vector<uint32_t>(1 + rng.Below(40, i)), {1}));
  }
  constexpr int64_t kTokens = 32;
  for (int world : {1, 3}) {
    std::vector<int> seen(sequences.size());
    for (int rank = 0; rank < world; ++rank) {
      for (const auto& micro : DivideIntoMicroBatches(Pointers(sequences), rank, world, kTokens)) {
        std::vector<const TrainingSequence*> packed;
        for (size_t i : micro) {
          ++seen[i];
          packed.push_back(&sequences[i]);
        }
        const int64_t rows = PackSequences(packed).segments.rows();
        EXPECT_TRUE(rows <= kTokens || micro.size() == 1) << rows;
      }
    }
    EXPECT_EQ(seen, std::vector<int>(sequences.size(), 1)) << world;
  }
}

TEST(DivideIntoMicroBatchesTest, SamplesOfOnePromptStayTogetherAndCountItsRowsOnce) {
  std::vector<TrainingSequence> sequences;
  for (uint32_t i = 0; i < 12; ++i) {
    sequences.push_back(MakeSequence(std::vector<uint32_t>(40, i % 3), {1, 2, 3}));
  }
  // 40 rows of a prompt, and 2 of each of its four samples.
  EXPECT_THAT(
      DivideIntoMicroBatches(Pointers(sequences), 0, 1, 48),
      ElementsAre(ElementsAre(0, 3, 6, 9), ElementsAre(1, 4, 7, 10), ElementsAre(2, 5, 8, 11)));
  EXPECT_THAT(DivideIntoMicroBatches(Pointers(sequences), 0, 1, 47),
              ElementsAre(ElementsAre(0, 3, 6), ElementsAre(9), ElementsAre(1, 4, 7),
                          ElementsAre(10), ElementsAre(2, 5, 8), ElementsAre(11)));
}

// One prompt is not the work of one rank.
TEST(DivideIntoMicroBatchesTest, SamplesOfOnePromptAreDividedAmongRanks) {
  const std::vector<TrainingSequence> sequences(
      8, MakeSequence(std::vector<uint32_t>(16, 5), std::vector<uint32_t>(41, 6)));
  for (int rank : {0, 1}) {
    size_t count = 0;
    for (const auto& micro : DivideIntoMicroBatches(Pointers(sequences), rank, 2, 1000)) {
      count += micro.size();
    }
    EXPECT_EQ(count, 4u);
  }
}

}  // namespace
}  // namespace reckon
