#include "common/reward/verifier.h"

#include <string>

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(VerifierTest, LeavesTheKindsOfOthersAlone) {
  for (const auto kind : {RewardSpec::ORM, RewardSpec::PROCESS, RewardSpec::SERVICE}) {
    RewardSpec spec;
    spec.set_kind(kind);
    const auto value = Verifier().Score(spec, WorkItem(), Rollout());
    EXPECT_EQ(value.status().code(), absl::StatusCode::kUnimplemented) << kind;
  }
}

}  // namespace
}  // namespace reckon
