#include "learner/checkpoint/checkpoint.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "common/base/files.h"
#include "common/config/run_folder.h"
#include "common/model/files/manifest.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CheckpointTest : public testing::Test {
 protected:
  Cursor At(int64_t step) {
    Cursor cursor;
    cursor.set_stage(1);
    cursor.set_round(2);
    cursor.set_phase(Cursor::TRAIN);
    cursor.set_train_step(3);
    cursor.set_step(step);
    cursor.set_evals(4);
    cursor.set_version(2);
    cursor.set_stage_version(1);
    cursor.set_kl_coef(0.1);
    cursor.set_batches(9);
    cursor.set_adapted_version(1);
    cursor.mutable_replay()->set_fresh(7);
    for (int i = 0; i < 2; ++i) {
      ReplayState::Seen* seen = cursor.mutable_replay()->add_seen();
      seen->set_problem(3 + 2 * i);
      seen->set_score(i == 0 ? 0.1 : 1e-17);
      seen->set_step(2 + 2 * i);
    }
    cursor.add_folders("sft1");
    cursor.add_folders("ei1_round1");
    cursor.add_lines("a \"line\"");
    return cursor;
  }

  CheckpointManifest ManifestOf(const Cursor& cursor, bool moments) {
    CheckpointManifest manifest;
    *manifest.mutable_cursor() = cursor;
    for (const auto& [name, elements] : {std::pair("w", 3), std::pair("b", 1)}) {
      CheckpointManifest::Parameter* parameter = manifest.add_parameters();
      parameter->set_name(name);
      parameter->set_elements(elements);
    }
    if (moments) manifest.set_adam_steps(3);
    return manifest;
  }
  // What rank `rank` of `world` writes of {1, 2, 3, -0.5} and moments that differ by 10 and 20:
  // every world-th element, which no rank really does.
  CheckpointPiece PieceOf(int rank, int world, bool moments) {
    CheckpointPiece piece;
    piece.moments = moments;
    for (int i = rank; i < 4; i += world) {
      CheckpointPart::Range& range = piece.ranges.emplace_back();
      range.set_begin(i);
      range.set_end(i + 1);
      piece.parameters.push_back(values_[i]);
      if (moments) piece.first.push_back(values_[i] + 10);
      if (moments) piece.second.push_back(values_[i] + 20);
    }
    return piece;
  }
  void Save(const Cursor& cursor, bool moments = false, int world = 1, int keep_last = 2) {
    const auto folder = BeginCheckpoint(run_dir_, cursor.step(), /*term=*/7);
    ASSERT_TRUE(folder.ok()) << folder.status();
    for (int rank = world - 1; rank >= 0; --rank) {
      EXPECT_FALSE(HasPart(*folder, rank));
      const absl::Status written = WritePart(*folder, rank, PieceOf(rank, world, moments));
      ASSERT_TRUE(written.ok()) << written;
      EXPECT_TRUE(HasPart(*folder, rank));
    }
    const absl::Status saved =
        CommitCheckpoint(run_dir_, *folder, ManifestOf(cursor, moments), world, keep_last);
    ASSERT_TRUE(saved.ok()) << saved;
  }
  void Save(int64_t step) { Save(At(step)); }
  std::vector<float> Read(const Checkpoint& from, CheckpointArray array, int64_t begin,
                          int64_t count) {
    std::vector<float> out(count);
    const absl::Status read = from.Read(array, begin, absl::MakeSpan(out));
    EXPECT_TRUE(read.ok()) << read;
    return out;
  }

  void Damage(const std::string& file) {
    std::fstream stream(run_dir_ + "/checkpoints/" + file,
                        std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(stream.good()) << file;
    stream.seekp(5);
    stream.put('#');
  }

  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
  const std::vector<float> values_ = {1, 2, 3, -0.5f};
};

TEST_F(CheckpointTest, ASecondSaveOfAStepReplacesItAndClearsWhatACrashLeft) {
  const std::string left = run_dir_ + "/checkpoints/step_3.6.tmp";
  std::filesystem::create_directories(left);
  Save(10);
  Cursor other = At(10);
  other.set_evals(5);
  Save(other);
  auto loaded = OpenNewestCheckpoint(run_dir_);
  ASSERT_TRUE(loaded.ok() && loaded->has_value()) << loaded.status();
  EXPECT_EQ((*loaded)->cursor().evals(), 5);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir_ + "/checkpoints")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(names, std::vector<std::string>{"step_10"});
}

TEST_F(CheckpointTest, HasWhatWasSavedByAnyNumberOfRanks) {
  for (int world : {1, 2, 3, 6}) {
    for (bool moments : {false, true}) {
      SCOPED_TRACE(testing::Message() << world << " ranks, moments " << moments);
      Save(At(10), moments, world);
      const auto loaded = OpenNewestCheckpoint(run_dir_);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      ASSERT_TRUE(loaded->has_value());
      const Checkpoint& checkpoint = **loaded;
      EXPECT_EQ(checkpoint.cursor().SerializeAsString(), At(10).SerializeAsString());
      EXPECT_EQ(checkpoint.manifest.parameters(0).name(), "w");
      EXPECT_EQ(checkpoint.elements(), 4);
      EXPECT_THAT(Read(checkpoint, CheckpointArray::kParameters, 0, 4), ElementsAre(1, 2, 3, -0.5));
      EXPECT_THAT(Read(checkpoint, CheckpointArray::kParameters, 1, 2), ElementsAre(2, 3));
      EXPECT_EQ(checkpoint.has_moments(), moments);
      if (!moments) continue;
      EXPECT_EQ(checkpoint.manifest.adam_steps(), 3);
      EXPECT_THAT(Read(checkpoint, CheckpointArray::kFirst, 0, 4), ElementsAre(11, 12, 13, 9.5));
      EXPECT_THAT(Read(checkpoint, CheckpointArray::kSecond, 3, 1), ElementsAre(19.5));
    }
  }
}

// A crash at any point: the checkpoint before is the newest, and the next save clears what is left.
TEST_F(CheckpointTest, IsNotThereBeforeItIsCommitted) {
  Save(5);
  const auto folder = BeginCheckpoint(run_dir_, 9, /*term=*/7);
  ASSERT_TRUE(folder.ok()) << folder.status();
  for (int rank : {0, 1}) {
    EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(5));
    ASSERT_TRUE(WritePart(*folder, rank, PieceOf(rank, 2, false)).ok());
  }
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(5));
  EXPECT_EQ((*OpenNewestCheckpoint(run_dir_))->cursor().step(), 5);
  // A part that is missing, or that another division made, is no checkpoint.
  EXPECT_FALSE(CommitCheckpoint(run_dir_, *folder, ManifestOf(At(9), false), 3, 2).ok());
  EXPECT_EQ(CommitCheckpoint(run_dir_, *folder, ManifestOf(At(9), false), 1, 2).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(5));
  Save(6);
  EXPECT_FALSE(std::filesystem::exists(*folder));
}

TEST_F(CheckpointTest, AReadNamesAFileThatHasBecomeShorter) {
  Save(5);
  const auto checkpoint = OpenCheckpoint(run_dir_, 5);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  std::filesystem::resize_file(run_dir_ + "/checkpoints/step_5/parameters_0.bin", 8);
  std::vector<float> to(3);
  EXPECT_THAT(checkpoint->Read(CheckpointArray::kParameters, 0, absl::MakeSpan(to)).message(),
              HasSubstr("parameters_0.bin is cut short"));
}

TEST_F(CheckpointTest, IsNothingInAFreshRun) {
  auto loaded = OpenNewestCheckpoint(run_dir_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(loaded->has_value());
}

TEST_F(CheckpointTest, KeepsTheLastOnes) {
  for (int64_t step : {5, 9, 10, 100}) Save(step);
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(10, 100));
}

TEST_F(CheckpointTest, DeletesThoseOfAnAbandonedAttempt) {
  for (int64_t step : {5, 9}) Save(step);
  Save(7);
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(5, 7));
  Save(7);
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(5, 7));
}

TEST_F(CheckpointTest, LoadsAnOlderOneWhenTheNewestIsDamaged) {
  for (const char* file : {"step_9/parameters_0.bin", "step_9/manifest.json"}) {
    for (int64_t step : {5, 9}) Save(step);
    Damage(file);
    EXPECT_EQ(OpenCheckpoint(run_dir_, 9).status().code(), absl::StatusCode::kDataLoss) << file;
    auto loaded = OpenNewestCheckpoint(run_dir_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->cursor().step(), 5);
  }
}

TEST_F(CheckpointTest, AFileThatHasGrownIsDamaged) {
  Save(5);
  std::ofstream(run_dir_ + "/checkpoints/step_5/parameters_0.bin", std::ios::app) << "more";
  EXPECT_EQ(OpenCheckpoint(run_dir_, 5).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointTest, AnotherFormatIsRefusedByNumber) {
  Save(5);
  const std::string path = run_dir_ + "/checkpoints/step_5/manifest.json";
  std::string body = *ReadFile(path);
  body.erase(0, body.find('\n') + 1);
  const std::string other = absl::StrReplaceAll(body, {{"\"format\": 4", "\"format\": 5"}});
  ASSERT_NE(other, body);
  std::ofstream(path) << absl::BytesToHexString(Sha256(other)) << "\n" << other;
  const absl::Status status = OpenCheckpoint(run_dir_, 5).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has format 5, not 4"));
}

TEST_F(CheckpointTest, TheNewestIsKeptEvenIfNoneIsAskedFor) {
  for (int64_t step : {5, 9}) {
    Save(At(step), /*moments=*/false, /*world=*/1, /*keep_last=*/0);
  }
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(9));
}

TEST_F(CheckpointTest, IsAnErrorWhenAllAreDamaged) {
  Save(5);
  std::filesystem::resize_file(run_dir_ + "/checkpoints/step_5/parameters_0.bin", 8);
  auto loaded = OpenNewestCheckpoint(run_dir_);
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(loaded.status().message(), HasSubstr("parameters_0.bin"));
}

// In JSON, which is read up to 64 MiB, the problems would have more.
TEST_F(CheckpointTest, HoldsTheReplayOfAMillionProblemsAndMore) {
  Cursor cursor = At(5);
  for (uint64_t problem = 10; problem < 1'300'000; ++problem) {
    ReplayState::Seen* seen = cursor.mutable_replay()->add_seen();
    seen->set_problem(problem);
    seen->set_score(0.1);
  }
  Save(cursor);
  const auto opened = OpenCheckpoint(run_dir_, 5);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(opened->cursor().SerializeAsString() == cursor.SerializeAsString());
  Damage("step_5/replay.bin");
  EXPECT_EQ(OpenCheckpoint(run_dir_, 5).status().code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(run_dir_ + "/checkpoints/step_5/replay.bin");
  EXPECT_EQ(OpenCheckpoint(run_dir_, 5).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointTest, WhatCouldNotBeReadAgainIsNotSaved) {
  Save(5);
  Cursor cursor = At(9);
  cursor.add_lines(std::string(65 << 20, 'x'));
  const auto folder = BeginCheckpoint(run_dir_, 9, /*term=*/7);
  ASSERT_TRUE(folder.ok()) << folder.status();
  ASSERT_TRUE(WritePart(*folder, 0, PieceOf(0, 1, false)).ok());
  const absl::Status saved = CommitCheckpoint(run_dir_, *folder, ManifestOf(cursor, false), 1, 2);
  EXPECT_EQ(saved.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(saved.message(), HasSubstr("manifest.json would have"));
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(5));
}

TEST_F(CheckpointTest, RefusesACursorThatCannotBe) {
  std::vector<Cursor> cursors(4, At(5));
  cursors[0].add_folders("one too many");
  cursors[1].set_stage_version(3);
  cursors[2].set_adapted_version(3);
  cursors[3].mutable_replay()->mutable_seen(1)->set_problem(3);
  for (const Cursor& cursor : cursors) {
    Save(cursor);
    EXPECT_EQ(OpenCheckpoint(run_dir_, 5).status().code(), absl::StatusCode::kDataLoss)
        << cursor.ShortDebugString();
  }
}

}  // namespace
}  // namespace reckon
