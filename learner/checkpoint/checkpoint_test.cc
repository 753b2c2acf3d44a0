#include "learner/checkpoint/checkpoint.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "common/base/files.h"
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

  void Save(const Cursor& cursor, const AdamMoments* moments = nullptr) {
    absl::Status saved =
        SaveCheckpoint(run_dir_, cursor, {{"w", first_}, {"b", second_}}, moments, /*keep_last=*/2);
    ASSERT_TRUE(saved.ok()) << saved;
  }
  void Save(int64_t step, const AdamMoments* moments = nullptr) { Save(At(step), moments); }

  void Damage(const std::string& file) {
    std::fstream stream(run_dir_ + "/checkpoints/" + file,
                        std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(stream.good()) << file;
    stream.seekp(5);
    stream.put('#');
  }

  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
  const std::vector<float> first_ = {1, 2, 3}, second_ = {-0.5f};
};

TEST_F(CheckpointTest, ASecondSaveOfAStepReplacesItAndClearsWhatACrashLeft) {
  const std::string left = run_dir_ + "/checkpoints/step_3.tmp";
  std::filesystem::create_directories(left);
  Save(10);
  Cursor other = At(10);
  other.set_evals(5);
  Save(other);
  auto loaded = LoadNewestCheckpoint(run_dir_);
  ASSERT_TRUE(loaded.ok() && loaded->has_value()) << loaded.status();
  EXPECT_EQ((*loaded)->cursor.evals(), 5);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir_ + "/checkpoints")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(names, std::vector<std::string>{"step_10"});
}

TEST_F(CheckpointTest, LoadsWhatWasSaved) {
  AdamMoments moments;
  moments.steps = 3;
  moments.first = {1, 2, 3, 4};
  moments.second = {5, 6, 7, 8};
  Save(10, &moments);
  auto loaded = LoadNewestCheckpoint(run_dir_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_TRUE(loaded->has_value());
  EXPECT_EQ((*loaded)->cursor.SerializeAsString(), At(10).SerializeAsString());
  EXPECT_THAT((*loaded)->parameters,
              ElementsAre(testing::Pair("w", first_), testing::Pair("b", second_)));
  ASSERT_TRUE((*loaded)->moments.has_value());
  EXPECT_EQ((*loaded)->moments->steps, 3);
  EXPECT_EQ((*loaded)->moments->first, moments.first);
  EXPECT_EQ((*loaded)->moments->second, moments.second);
}

TEST_F(CheckpointTest, IsNothingInAFreshRun) {
  auto loaded = LoadNewestCheckpoint(run_dir_);
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
  for (const char* file : {"step_9/parameters.bin", "step_9/manifest.json"}) {
    for (int64_t step : {5, 9}) Save(step);
    Damage(file);
    EXPECT_EQ(LoadCheckpoint(run_dir_, 9).status().code(), absl::StatusCode::kDataLoss) << file;
    auto loaded = LoadNewestCheckpoint(run_dir_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->cursor.step(), 5);
  }
}

TEST_F(CheckpointTest, AFileThatHasGrownIsDamaged) {
  Save(5);
  std::ofstream(run_dir_ + "/checkpoints/step_5/parameters.bin", std::ios::app) << "more";
  EXPECT_EQ(LoadCheckpoint(run_dir_, 5).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointTest, AnotherFormatIsRefusedByNumber) {
  Save(5);
  const std::string path = run_dir_ + "/checkpoints/step_5/manifest.json";
  std::string body = *ReadFile(path);
  body.erase(0, body.find('\n') + 1);
  const std::string other = absl::StrReplaceAll(body, {{"\"format\": 2", "\"format\": 3"}});
  ASSERT_NE(other, body);
  std::ofstream(path) << absl::BytesToHexString(Sha256(other)) << "\n" << other;
  const absl::Status status = LoadCheckpoint(run_dir_, 5).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has format 3, not 2"));
}

TEST_F(CheckpointTest, TheNewestIsKeptEvenIfNoneIsAskedFor) {
  for (int64_t step : {5, 9}) {
    ASSERT_TRUE(SaveCheckpoint(run_dir_, At(step), {{"w", first_}}, nullptr, 0).ok());
  }
  EXPECT_THAT(ListCheckpoints(run_dir_), ElementsAre(9));
}

TEST_F(CheckpointTest, IsAnErrorWhenAllAreDamaged) {
  Save(5);
  std::filesystem::resize_file(run_dir_ + "/checkpoints/step_5/parameters.bin", 8);
  auto loaded = LoadNewestCheckpoint(run_dir_);
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(loaded.status().message(), HasSubstr("parameters.bin"));
}

TEST_F(CheckpointTest, RefusesACursorThatCannotBe) {
  std::vector<Cursor> cursors(4, At(5));
  cursors[0].add_folders("one too many");
  cursors[1].set_stage_version(3);
  cursors[2].set_adapted_version(3);
  cursors[3].mutable_replay()->mutable_seen(1)->set_problem(3);
  for (const Cursor& cursor : cursors) {
    Save(cursor);
    EXPECT_EQ(LoadCheckpoint(run_dir_, 5).status().code(), absl::StatusCode::kDataLoss)
        << cursor.ShortDebugString();
  }
}

}  // namespace
}  // namespace reckon
