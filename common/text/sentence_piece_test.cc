#include "common/text/sentence_piece.h"

#include <functional>
#include <limits>

#include "absl/strings/str_format.h"
#include "common/testing/cpu_time.h"
#include "common/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/sentence_piece.pb.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Piece = SentencePieceModel::Piece;

constexpr char kSpace[] = "\xe2\x96\x81";

void Add(const std::string& text, float score, Piece::Type type, SentencePieceModel* model) {
  Piece* piece = model->add_pieces();
  piece->set_piece(text);
  piece->set_score(score);
  piece->set_type(type);
}

// Ids 0 to 2 are <unk>, <s>, </s>; 3 + b is byte b; then, from 259 on, the pieces.
SentencePieceModel Model() {
  SentencePieceModel model;
  model.mutable_trainer_spec()->set_model_type(SentencePieceModel::TrainerSpec::BPE);
  model.mutable_trainer_spec()->set_byte_fallback(true);
  model.mutable_normalizer_spec()->set_remove_extra_whitespaces(false);
  Add("<unk>", 0, Piece::UNKNOWN, &model);
  Add("<s>", 0, Piece::CONTROL, &model);
  Add("</s>", 0, Piece::CONTROL, &model);
  for (int b = 0; b < 256; ++b) Add(absl::StrFormat("<0x%02X>", b), 0, Piece::BYTE, &model);
  float score = 0;
  for (const char* text : {"ab", "bc", "abc", "a", "b", "c", kSpace}) {
    Add(text, score--, Piece::NORMAL, &model);
  }
  return model;
}
enum : uint32_t { kAb = 259, kBc, kAbc, kA, kB, kC, kBlank };

std::unique_ptr<Tokenizer> MakeTokenizer(const SentencePieceModel& model) {
  auto tokenizer = Tokenizer::Create("", model.SerializeAsString());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

TEST(SentencePieceTest, ThePairWithTheBestScoreIsJoinedFirst) {
  auto tokenizer = MakeTokenizer(Model());
  EXPECT_THAT(*tokenizer->Encode("abc"), ElementsAre(kAbc));
  EXPECT_THAT(*tokenizer->Encode("bcab"), ElementsAre(kBc, kAb));
  EXPECT_THAT(*tokenizer->Encode("cc aab"), ElementsAre(kC, kC, kBlank, kA, kAb));
}

TEST(SentencePieceTest, ATextBeginsWithBosAndASpaceAPieceOfItDoesNot) {
  auto tokenizer = MakeTokenizer(Model());
  EXPECT_THAT(*tokenizer->EncodeBeginning("ab"), ElementsAre(1, kBlank, kAb));
  EXPECT_THAT(*tokenizer->EncodeBeginning(""), ElementsAre(1));
  EXPECT_THAT(*tokenizer->Encode("ab"), ElementsAre(kAb));
  SentencePieceModel model = Model();
  model.mutable_normalizer_spec()->set_add_dummy_prefix(false);
  EXPECT_THAT(*MakeTokenizer(model)->EncodeBeginning("ab"), ElementsAre(1, kAb));
}

TEST(SentencePieceTest, CharactersWithoutAPieceBecomeBytesAndBrokenOnesTheReplacement) {
  auto tokenizer = MakeTokenizer(Model());
  EXPECT_THAT(*tokenizer->Encode("é"), ElementsAre(3 + 0xc3, 3 + 0xa9));
  EXPECT_THAT(*tokenizer->Encode("\xe2\x96"),
              ElementsAre(3 + 0xef, 3 + 0xbf, 3 + 0xbd, 3 + 0xef, 3 + 0xbf, 3 + 0xbd));
  const std::string text = " aé\nb \xf0\x9f\x8d\x8e c";
  EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode(text)), text);
  EXPECT_EQ(tokenizer->Decode({3 + 0xf0, 3 + 0x9f, kA}),
            "\xef\xbf\xbd\xef\xbf\xbd"
            "a");
}

TEST(SentencePieceTest, SpecialTokensAreReadOnlyWhenAskedFor) {
  auto tokenizer = MakeTokenizer(Model());
  EXPECT_THAT(*tokenizer->Encode("a</s>b", true), ElementsAre(kA, 2, kB));
  EXPECT_EQ(tokenizer->Encode("a</s>b", false)->size(), 6);
  EXPECT_EQ(tokenizer->Decode({1, kA, 2}), "a");
  EXPECT_EQ(tokenizer->Decode({1, kA, 2}, false), "<s>a</s>");
  EXPECT_EQ(tokenizer->TokenId("</s>"), 2u);
}

TEST(SentencePieceTest, UserDefinedPiecesAreNeverCutOrJoined) {
  SentencePieceModel model = Model();
  Add("bca", 0, Piece::USER_DEFINED, &model);
  EXPECT_THAT(*MakeTokenizer(model)->Encode("abcab"), ElementsAre(kA, 266, kB));
}

TEST(SentencePieceTest, WithoutBytesARunOfUnknownCharactersIsOneUnknown) {
  SentencePieceModel model = Model();
  model.mutable_trainer_spec()->set_byte_fallback(false);
  auto* pieces = model.mutable_pieces();
  pieces->DeleteSubrange(3, 256);
  EXPECT_THAT(*MakeTokenizer(model)->Encode("xyazz"), ElementsAre(0, kA - 256, 0));
}

TEST(SentencePieceTest, ManyOfOneLetterTakeTimeInProportion) {
  SentencePieceModel model = Model();
  for (const char* text : {"aa", "aaaa", "aaaaaaaa"}) Add(text, 1, Piece::NORMAL, &model);
  auto tokenizer = MakeTokenizer(model);
  const auto cost = [&](size_t size) {
    const absl::Duration begin = ThreadCpuTime();
    EXPECT_EQ(tokenizer->Encode(std::string(size, 'a'))->size(), size / 8);
    EXPECT_EQ(tokenizer->Encode(std::string(size, '\xff'))->size(), 3 * size);
    return ThreadCpuTime() - begin;
  };
  const absl::Duration little = cost(1 << 14);
  EXPECT_LT(cost(1 << 17), 24 * little);  // eight times the text
}

TEST(SentencePieceTest, ModelsThatAreWrongOrUnknownAreRefusedByName) {
  struct Case {
    std::function<void(SentencePieceModel*)> change;
    const char* message;
  };
  const Case cases[] = {
      {[](auto* m) { m->clear_pieces(); }, "pieces: none"},
      {[](auto* m) { m->mutable_pieces(9)->set_piece("<s>"); }, "pieces[9]: \"<s>\" appears twice"},
      {[](auto* m) { m->mutable_pieces(9)->set_piece("<0xZZ>"); }, "names no byte"},
      {[](auto* m) { m->mutable_pieces(9)->set_type(Piece::NORMAL); }, "255 of type BYTE"},
      {[](auto* m) { m->mutable_pieces(0)->set_type(Piece::CONTROL); }, "none has type UNKNOWN"},
      {[](auto* m) { m->mutable_pieces(1)->set_type(Piece::UNKNOWN); }, "a second piece"},
      {[](auto* m) { m->mutable_pieces(kAb)->set_piece("\xff"); }, "pieces[259]: should be 1 to"},
      {[](auto* m) { m->mutable_pieces(kAb)->set_piece(std::string(1 << 20, 'a')); }, "256 bytes"},
      {[](auto* m) { m->mutable_pieces(kAb)->set_score(std::numeric_limits<float>::quiet_NaN()); },
       "score is not finite"},
      {[](auto* m) { m->mutable_normalizer_spec()->set_precompiled_charsmap("x"); }, "harsmap"},
      {[](auto* m) {
         m->mutable_trainer_spec()->set_model_type(SentencePieceModel::TrainerSpec::WORD);
       },
       "model_type WORD"},
  };
  for (const Case& c : cases) {
    SentencePieceModel model = Model();
    c.change(&model);
    auto tokenizer = Tokenizer::Create("", model.SerializeAsString());
    ASSERT_FALSE(tokenizer.ok()) << c.message;
    EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr(c.message));
    EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("tokenizer.model: "));
  }
}

TEST(SentencePieceTest, NoPrefixOfAModelCrashesAndNoiseIsRefused) {
  const std::string bytes = Model().SerializeAsString();
  for (size_t size = 1; size < bytes.size(); size += 3) {
    Tokenizer::Create("", bytes.substr(0, size)).IgnoreError();
  }
  // Six million empty pieces.
  std::string many;
  for (int i = 0; i < 6 << 20; ++i) many += std::string("\x0a\x00", 2);
  const absl::Duration begin = ThreadCpuTime();
  auto refused = Tokenizer::Create("", many);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("pieces: 6291456, should be"));
  EXPECT_LT(ThreadCpuTime() - begin, absl::Seconds(5));
  auto noise = Tokenizer::Create("", std::string(1000, '\xff'));
  ASSERT_FALSE(noise.ok());
  EXPECT_THAT(std::string(noise.status().message()), HasSubstr("not a SentencePiece model"));
}

}  // namespace
}  // namespace reckon
