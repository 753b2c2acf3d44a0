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
  EXPECT_THAT(Values(micro.tokens), ElementsAre(10, 11, 12, 13, 20, 21, 30, 31));
  EXPECT_THAT(Values(micro.positions), ElementsAre(0, 1, 2, 3, 0, 1, 0, 1));
  EXPECT_THAT(micro.starts, ElementsAre(0, 4, 6, 8));
  EXPECT_THAT(Values(micro.predicting), ElementsAre(1, 2, 4));
  EXPECT_THAT(Values(micro.targets), ElementsAre(12, 13, 21));
  EXPECT_THAT(micro.counts, ElementsAre(2, 1, 0));
  EXPECT_EQ(micro.loss_tokens, 3);
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
        size_t tokens = 0;
        for (size_t i : micro) {
          ++seen[i];
          tokens += sequences[i].tokens.size();
        }
        EXPECT_TRUE(tokens <= kTokens || micro.size() == 1) << tokens;
      }
    }
    EXPECT_EQ(seen, std::vector<int>(sequences.size(), 1)) << world;
  }
}

}  // namespace
}  // namespace reckon
