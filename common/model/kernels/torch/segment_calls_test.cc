#include "common/model/kernels/torch/segment_calls.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(SegmentCalls, SequencesThatShareNothingAreOneCallOfTheirRows) {
  const auto calls = SegmentCalls({0, 2, 5});
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls[0].first_row, 0);
  EXPECT_THAT(calls[0].spans.begins, ElementsAre(0, 2, 5));
  EXPECT_THAT(calls[0].spans.key_begins, ElementsAre(0, 2, 5));
  EXPECT_THAT(calls[0].key_rows, ElementsAre(0, 1, 2, 3, 4));
}

TEST(SegmentCalls, ABranchAttendsToItsStemAndItself) {
  RowSegments segments;
  segments.Add(3);
  segments.Add(2, /*stem=*/0);
  segments.Add(0, /*stem=*/0);
  segments.Add(1, /*stem=*/0);
  const auto calls = SegmentCalls(segments);
  ASSERT_THAT(calls, SizeIs(3)) << "six rows: the stem and a branch have eight keys";
  EXPECT_THAT(calls[1].spans.begins, ElementsAre(0, 2));
  EXPECT_THAT(calls[1].key_rows, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(calls[2].first_row, 5);
  EXPECT_THAT(calls[2].key_rows, ElementsAre(0, 1, 2, 5));
}

TEST(SegmentCalls, ManyBranchesOfALongStemCopyNoMoreKeysThanThePassHasRows) {
  RowSegments segments;
  segments.Add(400);
  for (int branch = 0; branch < 300; ++branch) segments.Add(2, /*stem=*/0);
  int64_t queries = 0, keys = 0, most = 0;
  for (const SegmentCall& call : SegmentCalls(segments)) {
    EXPECT_EQ(call.first_row, queries);
    EXPECT_EQ(static_cast<int64_t>(call.key_rows.size()), call.spans.keys());
    queries += call.spans.queries();
    keys += call.spans.keys();
    most = std::max(most, call.spans.keys());
  }
  EXPECT_EQ(queries, 1000);
  EXPECT_EQ(keys, 400 + 300 * 402);
  EXPECT_LE(most, 1000);
}

}  // namespace
}  // namespace reckon
