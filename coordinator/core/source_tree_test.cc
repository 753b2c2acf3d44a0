#include "coordinator/core/source_tree.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SourceTreeTest, AnActorHasAllNodesAboveItNearestFirst) {
  SourceTree tree;
  EXPECT_THAT(tree.Enter(1, "a:0"), IsEmpty());
  EXPECT_THAT(tree.Enter(1, "a:1"), IsEmpty());
  EXPECT_THAT(tree.Enter(1, "a:2"), ElementsAre("a:0"));
  EXPECT_THAT(tree.Enter(1, "a:3"), ElementsAre("a:0"));
  EXPECT_THAT(tree.Enter(1, "a:4"), ElementsAre("a:1"));
  EXPECT_THAT(tree.Enter(1, "a:5"), ElementsAre("a:1"));
  EXPECT_THAT(tree.Enter(1, "a:6"), ElementsAre("a:2", "a:0"));
  EXPECT_THAT(tree.Enter(1, "a:2"), ElementsAre("a:0")) << "asks again";
  EXPECT_THAT(tree.Enter(2, "a:6"), IsEmpty()) << "another version has another tree";
}

TEST(SourceTreeTest, NobodyHasMoreThanTwoChildrenAndTheDepthIsLogarithmic) {
  SourceTree tree;
  std::map<std::string, int> children;
  size_t depth = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::vector<std::string> above = tree.Enter(7, absl::StrCat("actor:", i));
    ++children[above.empty() ? "publisher" : above.front()];
    depth = std::max(depth, above.size() + 1);
  }
  for (const auto& [parent, count] : children) EXPECT_LE(count, 2) << parent;
  EXPECT_EQ(depth, 9u);  // 2 + 4 + .. + 2^9 >= 1000
}

TEST(SourceTreeTest, OldVersionsAreForgotten) {
  SourceTree tree;
  for (uint64_t version = 0; version < 3; ++version) {
    for (const char* actor : {"a:0", "a:1", "a:2"}) tree.Enter(version, actor);
  }
  tree.Trim();
  EXPECT_THAT(tree.Enter(1, "a:2"), ElementsAre("a:0"));
  EXPECT_THAT(tree.Enter(0, "a:2"), IsEmpty());
  EXPECT_THAT(tree.Enter(2, "a:2"), ElementsAre("a:0"));
}

}  // namespace
}  // namespace reckon
