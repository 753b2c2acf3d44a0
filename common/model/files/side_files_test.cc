#include "common/model/files/side_files.h"

#include <filesystem>
#include <fstream>

#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SideFilesTest, CarriesWhatOtherProgramsNeedAndNoWeights) {
  const TempFolder temp;
  const std::string& folder = temp.path();
  std::filesystem::create_directories(folder + "/additional_chat_templates");
  std::filesystem::create_directories(folder + "/checkpoint-1");
  for (const char* name :
       {"special_tokens_map.json", "vocab.json", "merges.txt", "LICENSE", "README.md",
        "added_tokens.json", "chat_template.jinja", "additional_chat_templates/tools.jinja",
        // Not carried.
        "config.json", "generation_config.json", "tokenizer.json", "model.safetensors",
        "model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
        "consolidated.00.pth", "training_args.bin", "optimizer.pt", "adapter_config.json",
        "reward_head.json", "trainer_state.json", ".gitattributes", "checkpoint-1/README.md"}) {
    std::ofstream(folder + "/" + name) << "content of " << name;
  }
  std::filesystem::create_symlink(folder + "/LICENSE", folder + "/USE_POLICY.md");
  std::ofstream(folder + "/huge.txt") << "x";
  std::filesystem::resize_file(folder + "/huge.txt", 65 << 20);
  SideFiles files = {{"README.md", "of the base"}, {"NOTICE", "of the base"}};
  std::vector<std::string> notes;
  ASSERT_TRUE(ReadSideFiles(folder, &files, &notes).ok());
  std::vector<std::string> names;
  for (const auto& [name, content] : files) names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre("LICENSE", "NOTICE", "README.md", "USE_POLICY.md", "added_tokens.json",
                          "additional_chat_templates/tools.jinja", "chat_template.jinja",
                          "merges.txt", "special_tokens_map.json", "vocab.json"));
  EXPECT_EQ(files["README.md"], "content of README.md");
  EXPECT_EQ(files["USE_POLICY.md"], "content of LICENSE");
  EXPECT_EQ(files["additional_chat_templates/tools.jinja"],
            "content of additional_chat_templates/tools.jinja");
  EXPECT_THAT(notes, ElementsAre(HasSubstr("left out huge.txt, which is too large")));
}

}  // namespace
}  // namespace reckon
