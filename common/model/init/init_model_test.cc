#include "common/model/init/init_model.h"

#include <gtest/gtest.h>

#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"

namespace reckon {
namespace {

RunConfig Config() {
  RunConfig config;
  config.set_seed(3);
  config.mutable_data()->set_train("builtin");
  config.mutable_data()->mutable_builtin()->set_train_problems(64);
  config.add_stage()->mutable_init();
  return config;
}

TEST(InitModelTest, IsAFunctionOfSeedAndData) {
  RunConfig config = Config();
  auto made = InitModel(config), again = InitModel(config);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->manifest.SerializeAsString(), again->manifest.SerializeAsString());
  EXPECT_EQ(made->bytes->bytes(), again->bytes->bytes());

  config.set_seed(4);
  auto seeded = InitModel(config);
  EXPECT_EQ(seeded->manifest.texts().tokenizer_json(), made->manifest.texts().tokenizer_json());
  EXPECT_NE(seeded->manifest.chunk_sha256(0), made->manifest.chunk_sha256(0));
  config.mutable_data()->mutable_builtin()->set_seed(1);
  EXPECT_NE(InitModel(config)->manifest.texts().tokenizer_json(),
            made->manifest.texts().tokenizer_json());
}

TEST(InitModelTest, ItsVocabularyShortensTheDataAndKeepsNumbersAsDigits) {
  auto manifest = InitManifest(Config());
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  auto tokenizer = Tokenizer::Create(manifest->texts().tokenizer_json());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_LE((*tokenizer)->vocab_size(), Config().stage(0).init().vocab_size());
  const std::string text = "How many apples are left in the end?";
  EXPECT_LT((*tokenizer)->Encode(text)->size(), text.size() / 2);
  EXPECT_EQ((*tokenizer)->Decode(*(*tokenizer)->Encode(text)), text);
  EXPECT_EQ((*tokenizer)->Encode("1000000")->size(), 7);
  EXPECT_TRUE(ChatTemplate::Create(manifest->texts().tokenizer_config_json()).ok());
}

TEST(InitModelTest, AVocabularyOfBytesAloneHasNoMerges) {
  RunConfig config = Config();
  config.mutable_stage(0)->mutable_init()->set_vocab_size(259);
  auto manifest = InitManifest(config);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ((*Tokenizer::Create(manifest->texts().tokenizer_json()))->Encode("many")->size(), 4);
}

}  // namespace
}  // namespace reckon
