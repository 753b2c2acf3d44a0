#include "cli/launcher/local_gpus.h"

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RunConfig WithResources(const std::string& text) {
  RunConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config));
  return config;
}

TEST(LocalGpusTest, AreThoseThatTheParentMaySee) {
  EXPECT_THAT(FindGpus("2, GPU-5f,MIG-7"), ElementsAre("2", "GPU-5f", "MIG-7"));
  EXPECT_THAT(FindGpus("3,-1,4"), ElementsAre("3")) << "as CUDA reads it";
  EXPECT_THAT(FindGpus(""), IsEmpty());
}

TEST(LocalGpusTest, AreAllOfTheMachineWhenTheParentMaySeeAll) {
  const TempFolder folder;
  for (const char* name : {"nvidia0", "nvidia2", "nvidiactl", "nvidia-uvm", "null"}) {
    ASSERT_TRUE(WriteFileAtomically(folder.path() + "/" + name, "").ok());
  }
  EXPECT_THAT(FindGpus(nullptr, folder.path()), ElementsAre("0", "1"));
  EXPECT_THAT(FindGpus(nullptr, folder.path() + "/none"), IsEmpty());
}

TEST(LocalGpusTest, EachProcessHasItsOwn) {
  const std::vector<std::string> gpus = {"4", "5", "6", "7"};
  auto both = AssignGpus(
      WithResources(
          "resources { learner_ranks: 2 actors: 1 learner { gpus: 1 } actor { gpus: 1 } }"),
      /*gpu=*/true, gpus);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_THAT(both->ranks, ElementsAre("4", "5"));
  EXPECT_THAT(both->actors, ElementsAre("6"));
  EXPECT_FALSE(both->shared);
  auto one =
      AssignGpus(WithResources("resources { actors: 2 actor { gpus: 1 } }"), /*gpu=*/true, gpus);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_THAT(one->ranks, ElementsAre("")) << "it must not take an actor's";
  EXPECT_THAT(one->actors, ElementsAre("4", "5"));
  auto none = AssignGpus(WithResources("resources { actors: 2 }"), /*gpu=*/true, gpus);
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->ranks, IsEmpty());
  EXPECT_THAT(none->actors, IsEmpty());
  EXPECT_TRUE(none->shared);
}

TEST(LocalGpusTest, EachOfSeveralRanksSharesOneWithActors) {
  const std::vector<std::string> gpus = {"4", "5", "6"};
  const auto assign = [&](const std::string& text, bool gpu = true) {
    auto assigned = AssignGpus(WithResources(text), gpu, gpus);
    EXPECT_TRUE(assigned.ok()) << assigned.status();
    EXPECT_TRUE(assigned->shared);
    return *std::move(assigned);
  };
  const LocalGpus equal = assign("resources { learner_ranks: 2 actors: 2 }");
  EXPECT_THAT(equal.ranks, ElementsAre("4", "5"));
  EXPECT_THAT(equal.actors, ElementsAre("4", "5"));
  const LocalGpus more = assign("resources { learner_ranks: 2 actors: 3 turns: OFF }");
  EXPECT_THAT(more.actors, ElementsAre("4", "5", "4")) << "with turns or without";
  const LocalGpus fewer = assign("resources { learner_ranks: 3 actors: 1 }");
  EXPECT_THAT(fewer.ranks, ElementsAre("4", "5", "6"));
  EXPECT_THAT(fewer.actors, ElementsAre("4"));
  EXPECT_THAT(assign("resources { learner_ranks: 4 actors: 4 }", /*gpu=*/false).ranks, IsEmpty());

  EXPECT_EQ(ActorsOnACard(WithResources("resources { learner_ranks: 2 actors: 3 }")), 2);
  EXPECT_EQ(ActorsOnACard(WithResources("resources { learner_ranks: 3 actors: 3 }")), 1);
  EXPECT_EQ(ActorsOnACard(WithResources("resources { learner_ranks: 3 actors: 1 }")), 1);

  const absl::Status few =
      AssignGpus(WithResources("resources { learner_ranks: 4 }"), /*gpu=*/true, gpus).status();
  EXPECT_EQ(few.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(few.message()),
              HasSubstr("4 learner ranks need a GPU each, which they share with actors, and 3"));
  EXPECT_TRUE(AssignGpus(WithResources("resources { learner_ranks: 4 }"), true, {}).ok());
}

TEST(LocalGpusTest, TooFewAreRefused) {
  const absl::Status few =
      AssignGpus(
          WithResources(
              "resources { learner_ranks: 2 actors: 3 learner { gpus: 1 } actor { gpus: 1 } }"),
          /*gpu=*/true, {"0", "1", "2", "3"})
          .status();
  EXPECT_EQ(few.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(few.message()),
              HasSubstr("2 learner ranks and 3 actors ask for a GPU each, and 4 can be used here"));
  const absl::Status half =
      AssignGpus(WithResources("model { device: CUDA } resources { learner { gpus: 1 } }"),
                 /*gpu=*/true, {"0"})
          .status();
  EXPECT_THAT(std::string(half.message()), HasSubstr("resources.actor.gpus is 0"));
}

TEST(LocalGpusTest, TurnsAreTakenOnADeviceThatIsShared) {
  const auto takes = [](const std::string& text, bool gpu) {
    return TakesTurns(WithResources(text), gpu);
  };
  EXPECT_TRUE(*takes("", true));
  EXPECT_FALSE(*takes("", false)) << "on a CPU both compute at once";
  EXPECT_TRUE(*takes("resources { turns: ON }", false));
  EXPECT_FALSE(*takes("resources { turns: OFF }", true));
  EXPECT_FALSE(*takes("resources { learner { gpus: 1 } actor { gpus: 1 } }", true));
  EXPECT_TRUE(*takes("resources { learner_ranks: 2 actors: 2 }", true));
  EXPECT_TRUE(*takes("resources { turns: ON learner_ranks: 2 }", false));
  const std::string nccl = "learner { broadcast: NCCL } resources { ";
  EXPECT_FALSE(*takes(nccl + "}", true));
  EXPECT_THAT(std::string(takes(nccl + "turns: ON }", true).status().message()),
              HasSubstr("resources.turns is ON, and learner.broadcast is NCCL"));
  EXPECT_THAT(
      std::string(takes("resources { turns: ON actor { gpus: 1 } }", true).status().message()),
      HasSubstr("these share no device"));
}

}  // namespace
}  // namespace reckon
