#include "common/text/utf8.h"

#include "common/text/byte_alphabet.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";

std::string Repaired(absl::string_view text) {
  std::string out = RepairUtf8(text);
  for (size_t at; (at = out.find(kReplacement)) != std::string::npos;) out.replace(at, 3, "?");
  return out;
}

TEST(Utf8Test, WellFormedTextIsLeftAsItIs) {
  const std::string text =
      std::string(1, '\0') +
      "a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80"
      "\xf4\x8f\xbf\xbf";
  EXPECT_EQ(RepairUtf8(text), text);
  EXPECT_EQ(Utf8At("\xf4\x8f\xbf\xbf", 0).code, 0x10ffffu);
  EXPECT_EQ(Utf8At("x\xe2\x82\xac", 1).code, 0x20acu);
}

TEST(Utf8Test, EachLongestBeginningOfACharacterBecomesOneReplacement) {
  EXPECT_EQ(Repaired("a\xff"
                     "b"),
            "a?b");
  EXPECT_EQ(Repaired("\xe2\x82"), "?");
  EXPECT_EQ(Repaired("\xe2\x82"
                     "a"),
            "?a");
  EXPECT_EQ(Repaired("\xf0\x9f\x98\xe2\x82\xac"), "?\xe2\x82\xac");
  EXPECT_EQ(Repaired("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(Repaired("\xc0\x80"), "??");            // overlong
  EXPECT_EQ(Repaired("\xe0\x80\x80"), "???");       // overlong
  EXPECT_EQ(Repaired("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
  EXPECT_EQ(Repaired("\xf8\x88\x80\x80\x80"), "?????");
  EXPECT_EQ(Repaired("\x80\x80"), "??");
}

TEST(Utf8Test, SentencePieceReplacesEachByte) {
  EXPECT_EQ(RepairUtf8("a\xe2\x82"
                       "b",
                       Utf8Repair::kEachByte),
            "a\xef\xbf\xbd\xef\xbf\xbd"
            "b");
  EXPECT_EQ(RepairUtf8("a\xe2\x82"
                       "b"),
            "a\xef\xbf\xbd"
            "b");
}

TEST(ByteAlphabetTest, ALetterIsTheBytesOwnOrTheNextFreeOne) {
  EXPECT_EQ(LetterOfByte(' '), "\xc4\xa0");   // U+0120
  EXPECT_EQ(LetterOfByte('\n'), "\xc4\x8a");  // U+010A
  EXPECT_EQ(LetterOfByte('a'), "a");
}

}  // namespace
}  // namespace reckon
