#include "common/net/identity.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(IdentityTest, OurOwnNamesOfEveryRole) {
  for (const Role role : kAllRoles) {
    const auto uri = IdentityUri("gsm8k_1", role);
    ASSERT_TRUE(uri.ok());
    EXPECT_EQ(*uri, "spiffe://reckon/run/gsm8k_1/role/" + std::string(RoleName(role)));
    EXPECT_EQ(*ParseIdentity(*uri), (Identity{"spiffe://reckon/run/gsm8k_1", role}));
  }
}

TEST(IdentityTest, NamesOfServiceAccounts) {
  EXPECT_EQ(*ParseIdentity("spiffe://cluster.local/ns/training/sa/reckon-actor"),
            (Identity{"spiffe://cluster.local/ns/training/sa/", Role::kActor}));
  EXPECT_EQ(*ParseIdentity("spiffe://cluster.local/ns/training/sa/run-7-reckon-learner"),
            (Identity{"spiffe://cluster.local/ns/training/sa/run-7-", Role::kLearner}));
  EXPECT_EQ(*ParseIdentity("spiffe://example.org/reckon-coordinator"),
            (Identity{"spiffe://example.org/", Role::kCoordinator}));
}

TEST(IdentityTest, GroupsOfOtherRunsNamespacesAndTrustDomainsDiffer) {
  const Identity own = *ParseIdentity("spiffe://cluster.local/ns/a/sa/reckon-actor");
  for (const char* other :
       {"spiffe://cluster.local/ns/b/sa/reckon-actor", "spiffe://other/ns/a/sa/reckon-actor",
        "spiffe://cluster.local/ns/a/sa/x-reckon-actor", "spiffe://reckon/run/a/role/actor"}) {
    EXPECT_NE(ParseIdentity(other)->run, own.run) << other;
  }
}

TEST(IdentityTest, WhatNamesNoRoleIsRefused) {
  for (const char* uri :
       {"", "spiffe://", "spiffe://reckon", "spiffe://reckon/", "https://reckon/run/a/role/actor",
        "spiffe://reckon/run/a/role/admin", "spiffe://reckon/run/a/role/actor/",
        "spiffe://reckon/run//role/actor", "spiffe://reckon/run/../role/actor",
        "spiffe:///run/a/role/actor", "spiffe://reckon/run/a%2fb/role/actor",
        "spiffe://reckon/run/a/role/actor?x=1", "spiffe://cluster.local/ns/a/sa/notreckon-actor",
        "spiffe://cluster.local/ns/a/sa/reckon-actors", "SPIFFE://reckon/run/a/role/actor",
        "spiffe://reckon/run/a/role/actor\n", "spiffe://role/actor"}) {
    const auto identity = ParseIdentity(uri);
    EXPECT_EQ(identity.status().code(), absl::StatusCode::kInvalidArgument) << uri;
  }
  EXPECT_FALSE(ParseIdentity("spiffe://d/" + std::string(4096, 'a') + "/reckon-actor").ok());
  EXPECT_FALSE(IdentityUri("a/b", Role::kActor).ok());
  EXPECT_FALSE(IdentityUri("", Role::kActor).ok());
}

}  // namespace
}  // namespace reckon
