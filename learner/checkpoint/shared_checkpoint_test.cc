#include "learner/checkpoint/shared_checkpoint.h"

#include <ATen/ops/zeros.h>

#include <filesystem>
#include <numeric>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/shard_parts.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

class SharedCheckpointTest : public testing::Test {
 protected:
  static constexpr int64_t kElements = 1001;

  // Two ranks' parts of 0.5, 1.5, ..., and of moments beside them.
  Checkpoint Make(bool moments, int64_t elements = kElements) {
    CheckpointManifest manifest;
    manifest.mutable_cursor()->set_step(7);
    manifest.add_parameters()->set_elements(elements);
    if (moments) manifest.set_adam_steps(4);
    const auto folder = BeginCheckpoint(temp_.path(), 7, 1);
    EXPECT_TRUE(folder.ok()) << folder.status();
    for (int rank : {0, 1}) {
      CheckpointPiece piece;
      piece.moments = moments;
      CheckpointPart::Range& range = piece.ranges.emplace_back();
      range.set_begin(rank == 0 ? 0 : 400);
      range.set_end(rank == 0 ? 400 : elements);
      piece.parameters.resize(range.end() - range.begin());
      std::iota(piece.parameters.begin(), piece.parameters.end(), 0.5f + range.begin());
      if (moments) piece.first = piece.second = piece.parameters;
      for (float& value : piece.second) value += 5000;
      EXPECT_TRUE(WritePart(*folder, rank, piece).ok());
    }
    EXPECT_TRUE(CommitCheckpoint(temp_.path(), *folder, manifest, 2, 1).ok());
    auto opened = OpenCheckpoint(temp_.path(), 7);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *opened;
  }

  const TempFolder temp_;
};

TEST_F(SharedCheckpointTest, EveryRankGetsItsOwnElements) {
  for (const bool moments : {false, true}) {
    const Checkpoint expected = Make(moments);
    for (const bool reach : {true, false}) {
      std::stop_source stop;
      AsRanks(3, &stop, [&](Parallel& parallel) {
        std::optional<Checkpoint> checkpoint;
        if (parallel.rank() == 0) checkpoint = expected;
        ASSERT_TRUE(ShareCheckpoint(parallel, &checkpoint).ok());
        ASSERT_TRUE(checkpoint.has_value());
        EXPECT_EQ(checkpoint->path, expected.path);
        EXPECT_EQ(checkpoint->manifest.SerializeAsString(), expected.manifest.SerializeAsString());
        // A rank that does not reach the folder must not try to.
        if (!reach && parallel.rank() > 0) checkpoint->path = "/nowhere";
        const int64_t begin = 300 * parallel.rank();
        std::vector<float> mine(parallel.rank() == 2 ? kElements - 600 : 300);
        for (auto array : {CheckpointArray::kParameters, CheckpointArray::kSecond}) {
          if (array != CheckpointArray::kParameters && !moments) continue;
          const absl::Status read = ReadShared(parallel, reach, *checkpoint, array, 0, kElements,
                                               begin, absl::MakeSpan(mine));
          ASSERT_TRUE(read.ok()) << read;
          const float above = array == CheckpointArray::kSecond ? 5000.5f : 0.5f;
          for (size_t i = 0; i < mine.size(); ++i) ASSERT_EQ(mine[i], above + begin + i);
        }
      });
    }
  }
}

// A rank's elements begin in one piece and end in the next.
TEST_F(SharedCheckpointTest, ALongArrayIsReadPieceByPiece) {
  constexpr int64_t kPiece = 8 << 20, kFirst = kPiece - 1000;
  const int64_t elements = kPiece + 5000;
  const Checkpoint expected = Make(/*moments=*/false, elements);
  std::vector<float> wanted(3000);
  ASSERT_TRUE(expected.Read(CheckpointArray::kParameters, kFirst, absl::MakeSpan(wanted)).ok());
  std::stop_source stop;
  AsRanks(2, &stop, [&](Parallel& parallel) {
    std::vector<float> mine(wanted.size());
    const absl::Status read =
        ReadShared(parallel, /*all_reach=*/false, expected, CheckpointArray::kParameters, 0,
                   elements, kFirst, absl::MakeSpan(mine));
    ASSERT_TRUE(read.ok()) << read;
    EXPECT_EQ(mine, wanted);
  });
}

TEST_F(SharedCheckpointTest, WithoutOneNoRankHasAny) {
  std::stop_source stop;
  AsRanks(2, &stop, [](Parallel& parallel) {
    std::optional<Checkpoint> checkpoint;
    ASSERT_TRUE(ShareCheckpoint(parallel, &checkpoint).ok());
    EXPECT_FALSE(checkpoint.has_value());
  });
}

TEST_F(SharedCheckpointTest, TheFolderIsReachedByAllOrCountsAsReachedByNone) {
  for (const bool last_wants : {true, false}) {
    std::stop_source stop;
    AsRanks(3, &stop, [&](Parallel& parallel) {
      const bool leads = parallel.rank() == 0;
      const auto all = AllReachFolder(parallel, leads ? temp_.path() : "", leads || last_wants);
      ASSERT_TRUE(all.ok()) << all.status();
      EXPECT_EQ(*all, last_wants);
    });
    EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));
  }
}

TEST_F(SharedCheckpointTest, NoFileStaysWhereARankIsGone) {
  std::stop_source stop;
  AsRanks(2, &stop, [&](Parallel& parallel) {
    if (parallel.rank() == 0) {
      EXPECT_FALSE(AllReachFolder(parallel, temp_.path(), true).ok());
      return;
    }
    std::string name;
    EXPECT_TRUE(parallel.Broadcast(&name).ok());
  });
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path()));
}

TEST(ShardPartsTest, TheFirstRankGetsAnArrayOfAllShards) {
  std::stop_source stop;
  AsRanks(2, &stop, [](Parallel& parallel) {
    const bool leads = parallel.rank() == 0;
    // Seven elements, the last one's place padded, then two that the first rank has whole.
    const SentPart parts[] = {{7, 4, true}, {2, leads ? 2 : 0, false}};
    const std::vector<float> mine =
        leads ? std::vector<float>{1, 2, 3, 4, 8, 9} : std::vector<float>{5, 6, 7, 0};
    const auto all = GatherArray(&parallel, parts, mine);
    ASSERT_TRUE(all.ok()) << all.status();
    const std::vector<float> expected = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    EXPECT_EQ(*all, leads ? expected : std::vector<float>());
    EXPECT_EQ(all->capacity(), all->size());
  });
}

// A copy of everything would be there beside it.
TEST(ShardPartsTest, AnArrayWithoutShardsStaysWhereItIs) {
  const SentPart parts[] = {{3, 3, false}, {1, 1, false}};
  std::vector<float> array = {1, 2, 3, 4};
  const float* const memory = array.data();
  const auto all = GatherArray(/*shards=*/nullptr, parts, std::move(array));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(*all, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(all->data(), memory);
}

// Ranks that hold all, those that divide it, and groups that each divide it, write each element
// once.
TEST(ShardPartsTest, WhatRanksWriteIsAllAndNothingTwice) {
  for (int64_t elements : {1, 2, 7, 12}) {
    for (int world : {1, 2, 3, 4, 6}) {
      for (int shards : {0, 1, 2, world}) {
        if (shards > 0 && world % shards != 0) continue;
        std::vector<int> written(elements);
        for (int rank = 0; rank < world; ++rank) {
          TrainedTensor trained = {.tensors = {{"w", {elements}}}, .values = at::zeros({elements})};
          if (shards > 0) {
            trained.values = at::zeros({(elements + shards - 1) / shards});
            trained.sharded = true;
            trained.shard = rank % shards;
            trained.shards = shards;
          }
          const CheckpointPart::Range held = HeldRange(trained, 100);
          const CheckpointPart::Range range = WrittenRange(trained, 100, rank, world);
          EXPECT_GE(range.begin(), held.begin());
          EXPECT_LE(range.end(), held.end());
          for (int64_t i = range.begin(); i < range.end(); ++i) ++written[i - 100];
        }
        EXPECT_EQ(written, std::vector<int>(elements, 1)) << world << " ranks, " << shards;
      }
    }
  }
}

}  // namespace
}  // namespace reckon
