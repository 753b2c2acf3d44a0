#include "learner/run/inputs.h"

#include <filesystem>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(InputsTest, AChangedFileOrModelIsRefusedByName) {
  const TempFolder temp;
  const std::string& folder = temp.path();
  const std::string train = folder + "/train.jsonl";
  ASSERT_TRUE(WriteFileAtomically(train, "one").ok());
  RunConfig config;
  config.mutable_data()->set_train(train);
  config.mutable_data()->set_eval("builtin");
  config.mutable_model()->set_path("/models/m");
  WeightManifest model;
  model.mutable_texts()->set_config_json("{}");
  model.add_chunk_sha256("digest");
  const auto keep = [&] {
    const absl::StatusOr<RunInputs> inputs = InputsOf(config, model);
    EXPECT_TRUE(inputs.ok()) << inputs.status();
    EXPECT_EQ(inputs->files_size(), 2);
    return KeepInputs(folder, *inputs);
  };
  EXPECT_TRUE(keep().ok());
  EXPECT_TRUE(std::filesystem::exists(folder + "/inputs.json"));
  model.set_version(7);  // of the run, not of the model
  EXPECT_TRUE(keep().ok());

  ASSERT_TRUE(WriteFileAtomically(train, "two").ok());
  absl::Status status = keep();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("data.train: " + train + " has changed"), HasSubstr("then, ")));
  ASSERT_TRUE(WriteFileAtomically(train, "one").ok());
  EXPECT_TRUE(keep().ok());

  // A folder changes with each of its files, and with their names.
  const std::string set = folder + "/set";
  ASSERT_TRUE(MakeFolders(set).ok());
  ASSERT_TRUE(WriteFileAtomically(set + "/a.jsonl", "one").ok());
  RunConfig mixture = config;
  mixture.mutable_data()->clear_train();
  mixture.mutable_data()->add_set()->set_train(set);
  const auto keep_mixture = [&] {
    const absl::StatusOr<RunInputs> inputs = InputsOf(mixture, model);
    EXPECT_TRUE(inputs.ok()) << inputs.status();
    return KeepInputs(folder, *inputs);
  };
  EXPECT_TRUE(keep_mixture().ok());
  EXPECT_TRUE(keep_mixture().ok());
  ASSERT_TRUE(WriteFileAtomically(set + "/b.jsonl", "two").ok());
  EXPECT_THAT(std::string(keep_mixture().message()),
              HasSubstr("data.set[0].train: " + set + " has changed"));

  const std::string more = folder + "/more.jsonl";  // as a stage that was added brings one
  ASSERT_TRUE(WriteFileAtomically(more, "one").ok());
  config.mutable_data()->set_eval(more);
  absl::StatusOr<RunInputs> inputs = InputsOf(config, model);
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_TRUE(KeepInputs(folder, *inputs).ok());
  ASSERT_TRUE(WriteFileAtomically(more, "two").ok());
  inputs = InputsOf(config, model);
  EXPECT_THAT(std::string(KeepInputs(folder, *inputs).message()), HasSubstr("data.eval: " + more));
  config.mutable_data()->set_eval("builtin");

  model.set_chunk_sha256(0, "another");
  EXPECT_THAT(std::string(keep().message()), HasSubstr("model.path: /models/m has changed"));
}

}  // namespace
}  // namespace reckon
