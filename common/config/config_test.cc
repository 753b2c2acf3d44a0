#include "common/config/config.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kGood[] = R"(
model { path: "m" }
data { train: "builtin" }
stage { sft {} }
stage { ei { rounds: 3 } training { epochs: 4 } }
)";

std::string WriteFile(const std::string& name, const std::string& text) {
  static const TempFolder folder;
  std::string path = folder.path() + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
  return path;
}

absl::StatusOr<RunConfig> Load(const std::string& text,
                               const std::vector<std::string>& overrides = {}) {
  return LoadConfig(WriteFile("c.textproto", text), overrides);
}

TEST(LoadConfig, ResolvesNamesTrainingAndEvalData) {
  auto config = Load(std::string(kGood) + "training { learning_rate: 0.01 }");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->stage(0).name(), "sft_1");
  EXPECT_EQ(config->stage(1).name(), "ei_1");
  EXPECT_EQ(config->stage(1).training().epochs(), 4u);
  EXPECT_EQ(config->stage(1).training().learning_rate(), 0.01);
  EXPECT_EQ(config->data().eval(), "builtin");
  EXPECT_EQ(config->stage(1).ei().reward_size(), 1);
}

TEST(LoadConfig, APathThatCannotBeReadIsAnErrorThatNamesIt) {
  const std::string name(300, 'n');  // longer than any file system takes
  const std::string beside = std::filesystem::path(WriteFile("beside", "")).parent_path();
  EXPECT_THAT(LoadConfig(beside + "/" + name, {}).status().message(), HasSubstr(name));
  EXPECT_THAT(Load("base: \"" + name + "\"").status().message(),
              AllOf(HasSubstr("base: "), HasSubstr(name)));
}

TEST(LoadConfig, BaseIsMergedAndARepeatedFieldReplacesItsOwn) {
  WriteFile("sub/base.textproto", R"(
    model { path: "base_model" compute: FP32 } data { train: "builtin" question_key: "q" }
    stage { sft {} } stage { ei {} } stage { eval {} })");
  auto config = Load(R"(base: "sub/base.textproto" model { path: "mine" } stage { eval {} })");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->has_base());
  EXPECT_EQ(config->model().path(), "mine");
  EXPECT_EQ(config->model().compute(), ModelSettings::FP32);
  EXPECT_EQ(config->data().question_key(), "q");
  ASSERT_EQ(config->stage_size(), 1);
  EXPECT_TRUE(config->stage(0).has_eval());
}

TEST(LoadConfig, ErrorsInABaseNameBothFiles) {
  WriteFile("sub/bad.textproto", "model { pth: \"x\" }");
  auto status = Load("base: \"sub/bad.textproto\"").status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("c.textproto: base: "), HasSubstr("sub/bad.textproto:1:"),
                    HasSubstr("did you mean 'path'")));
  EXPECT_THAT(Load("base: \"nowhere\"").status().ToString(), HasSubstr("nowhere"));
  EXPECT_THAT(Load("base: \"c.textproto\"").status().ToString(), HasSubstr("form a cycle"));
}

struct BadText {
  const char* text;
  const char* says;
};
class Texts : public ::testing::TestWithParam<BadText> {};

TEST_P(Texts, ErrorsGiveThePlaceAndTheFixInOneLine) {
  auto status = Load(GetParam().text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("c.textproto:"), HasSubstr(GetParam().says), Not(HasSubstr("\n"))));
}

INSTANTIATE_TEST_SUITE_P(
    All, Texts,
    ::testing::Values(
        BadText{"\n  naem: \"x\"", ":2:7: no field named 'naem'; did you mean 'name'?"},
        BadText{"model { zzzzzz: 1 }", "'zzzzzz'; it has path, compute"},
        BadText{"seed: 1\nseed: 2", ":2:5: 'seed' is given twice"},
        BadText{"model { path: \"a\" } model { path: \"b\" }", "'model' is given twice"},
        BadText{"stage { sft {} ei {} }", "write an entry for each"},
        BadText{"seed: \"x\"", ":1:7: "}, BadText{"seed: -1", ":1:7: "},
        BadText{"model {", ":1:8: "}, BadText{"data { format: XML }", "XML"},
        BadText{"}", ":1:1: "}, BadText{"\x01\xFF", ":1:"},
        BadText{"", "c.textproto: model.path: is required"}));

TEST(LoadConfig, OverridesApplyInOrderAfterTheBase) {
  auto config = Load(kGood, {"training.learning_rate=1", "training.learning_rate=3e-4"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->training().learning_rate(), 3e-4);
  EXPECT_EQ(config->stage(0).training().learning_rate(), 3e-4);
  for (const char* base : {"base=x", "base = x", " base=", "base ="}) {
    EXPECT_THAT(std::string(Load(kGood, {base}).status().message()), HasSubstr("--set base"));
  }
}

TEST(LoadConfig, AMissingFileIsNamed) {
  auto status = LoadConfig("/nowhere/x.textproto", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/x.textproto"));
}

TEST(FormatConfig, ShowsDefaultsAndReadsBackTheSame) {
  auto config = Load(kGood);
  ASSERT_TRUE(config.ok());
  std::string text = FormatConfig(*config);
  EXPECT_THAT(text, AllOf(HasSubstr("lease_ms: 60000"), HasSubstr("learning_rate: 2e-05"),
                          HasSubstr("dedup: EQUATIONS"), HasSubstr("name: \"ei_1\"")));
  EXPECT_THAT(text, Not(HasSubstr("base:")));
  auto again = Load(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(FormatConfig(*again), text);
  EXPECT_EQ(again->stage(1).training().epochs(), 4u);
  EXPECT_EQ(again->stage(0).training().epochs(), 2u);
}

// Without the bases of others, and without sweeps, which sweep_test reads.
std::vector<std::filesystem::path> WholeRecipes() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("recipes")) {
    const std::string folder = entry.path().parent_path().string();
    if (entry.path().extension() == ".textproto" && folder != "recipes/paper" &&
        !absl::StartsWith(folder, "recipes/sweeps")) {
      files.push_back(entry.path());
    }
  }
  return files;
}

TEST(Recipes, AreValidConfigs) {
  int seen = 0;
  for (const std::filesystem::path& path : WholeRecipes()) {
    ++seen;
    std::vector<std::string> set = {"data.train=builtin"};
    const bool from_nothing = path.filename().string().rfind("tiny_", 0) == 0;
    if (!from_nothing) set.push_back("model.path=m");
    auto config = LoadConfig(path.string(), set);
    EXPECT_TRUE(config.ok()) << config.status();
  }
  EXPECT_GT(seen, 0);
}

TEST(Recipes, NoTwoAreEqualButForTheirNames) {
  std::map<std::string, std::string> seen;  // file by content
  for (const std::filesystem::path& path : WholeRecipes()) {
    // What a file leaves to --set is no difference.
    auto config = LoadConfig(path.string(), {});
    for (const std::vector<std::string>& set : {std::vector<std::string>{"model.path=m"},
                                                {"data.train=builtin"},
                                                {"model.path=m", "data.train=builtin"}}) {
      if (!config.ok()) config = LoadConfig(path.string(), set);
    }
    ASSERT_TRUE(config.ok()) << config.status();
    config->clear_name();
    const auto [first, is_new] = seen.emplace(FormatConfig(*config), path.string());
    EXPECT_TRUE(is_new) << path << " is " << first->second;
  }
}

}  // namespace
}  // namespace reckon
