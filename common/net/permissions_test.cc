#include "common/net/permissions.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/coordinator.pb.h"
#include "proto/weight_broadcast.pb.h"
#include "proto/weight_source.pb.h"

namespace reckon {
namespace {

// Paths of all verbs of the services of a run, from their descriptors.
std::set<std::string> AllVerbs() {
  std::set<std::string> verbs;
  // A file without messages registers itself when something names its table.
  for (const auto* table :
       {&::descriptor_table_coordinator_2eproto, &::descriptor_table_weight_5fsource_2eproto,
        &::descriptor_table_weight_5fbroadcast_2eproto}) {
    const google::protobuf::FileDescriptor* file =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(table->filename);
    for (int s = 0; s < file->service_count(); ++s) {
      const google::protobuf::ServiceDescriptor* service = file->service(s);
      for (int i = 0; i < service->method_count(); ++i) {
        verbs.insert(absl::StrCat("/", service->full_name(), "/", service->method(i)->name()));
      }
    }
  }
  return verbs;
}

std::set<std::string> VerbsOf(Role role) {
  std::set<std::string> verbs;
  for (const std::string& verb : AllVerbs()) {
    if (MayCall(role, verb)) verbs.insert(verb.substr(verb.rfind('/') + 1));
  }
  return verbs;
}

TEST(PermissionsTest, EveryVerbHasARowThatNamesACaller) {
  EXPECT_GE(AllVerbs().size(), 20u);
  for (const std::string& verb : AllVerbs()) {
    EXPECT_TRUE(HasRow(verb)) << verb << ": say in permissions.cc who may call it";
    EXPECT_TRUE(MayCall(Role::kLearner, verb) || MayCall(Role::kActor, verb) ||
                MayCall(Role::kUser, verb))
        << verb;
  }
}

TEST(PermissionsTest, ActorsDoTheWorkOfActorsAndReadNoRollout) {
  EXPECT_EQ(VerbsOf(Role::kActor),
            (std::set<std::string>{"Lease", "RenewLeases", "ReturnLeases", "Submit", "GetManifest",
                                   "FetchChunks", "Join", "Meet", "GetStatus"}));
}

TEST(PermissionsTest, UsersRead) {
  EXPECT_EQ(VerbsOf(Role::kUser),
            (std::set<std::string>{"NextBatch", "FetchRollouts", "GetSelection", "GetManifest",
                                   "FetchChunks", "GetStatus"}));
}

TEST(PermissionsTest, LearnersDoAllButTheWorkOfActors) {
  std::set<std::string> expected;
  for (const std::string& verb : AllVerbs()) expected.insert(verb.substr(verb.rfind('/') + 1));
  for (const char* verb : {"Lease", "RenewLeases", "ReturnLeases", "Submit", "Join", "Meet"}) {
    expected.erase(verb);
  }
  EXPECT_EQ(VerbsOf(Role::kLearner), expected);
}

TEST(PermissionsTest, TheCoordinatorCallsNobody) {
  EXPECT_TRUE(VerbsOf(Role::kCoordinator).empty());
}

TEST(PermissionsTest, WhatHasNoRowIsOpenToNobody) {
  for (const char* verb : {"", "Lease", "/reckon.Coordinator/lease", "/reckon.Coordinator/Lease/",
                           "/reckon.Coordinator/Drop", "/grpc.health.v1.Health/Watch"}) {
    EXPECT_FALSE(HasRow(verb)) << verb;
    for (const Role role : kAllRoles) EXPECT_FALSE(MayCall(role, verb)) << verb;
  }
}

}  // namespace
}  // namespace reckon
