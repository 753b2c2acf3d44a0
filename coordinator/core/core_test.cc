#include "coordinator/core/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

class CoreTest : public ::testing::Test {
 protected:
  uint64_t Begin(const std::string& nonce) {
    BeginTermRequest request;
    request.set_learner("l");
    request.set_world_size(2);
    request.set_nonce(nonce);
    auto reply = core->BeginTerm(request);
    return reply.ok() ? reply->term() : 0;
  }
  RendezvousRequest KeyRequest(RendezvousRequest::Op op, const std::string& key,
                               const std::string& value = "") {
    RendezvousRequest request;
    request.set_term(term);
    request.set_op(op);
    request.add_keys(key);
    request.set_value(value);
    return request;
  }
  RendezvousReply Use(const RendezvousRequest& request) {
    auto reply = core->UseRendezvous(request, /*last=*/true);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? **reply : RendezvousReply();
  }

  // The core takes a digest as it is given.
  static std::string DigestOf(const std::string& config) {
    return config + std::string(32 - config.size(), '.');
  }
  static void SetTexts(const std::string& config, WeightManifest* manifest) {
    manifest->mutable_texts()->set_config_json(config);
    manifest->set_texts_sha256(DigestOf(config));
  }

  uint64_t term = 0;
  MemoryStore store;
  CoreHarness core{&store};
};

TEST_F(CoreTest, ATermBeginsOncePerNonceAndOlderOnesAreFenced) {
  EXPECT_EQ(Begin("x"), 1);
  EXPECT_EQ(Begin("x"), 1);
  core.Commit();
  core.Restart();
  EXPECT_EQ(Begin("x"), 1);
  EXPECT_EQ(Begin("y"), 2);
  core.Commit();
  EXPECT_EQ(Begin("x"), 0) << "its term is over";
  EXPECT_EQ(core->OpenPlan(OpenRequest(MakeSpec("p", 1, 1), 1)).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(core->OpenPlan(OpenRequest(MakeSpec("p", 1, 1), 3)).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("p", 1, 1), 2)).ok());
  EXPECT_EQ(core->PublishWeights(PublishRequest(0, 1)).code(), absl::StatusCode::kAborted);
}

TEST_F(CoreTest, AVersionIsPublishedOnceAndWaitedFor) {
  GetManifestRequest newest, exact, newer;
  exact.set_version(1);
  newer.set_newer_than(0);
  EXPECT_FALSE((*core->GetManifest(newest)).has_value());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  EXPECT_TRUE((*core->GetManifest(newest)).has_value());
  EXPECT_FALSE((*core->GetManifest(exact)).has_value());
  EXPECT_FALSE((*core->GetManifest(newer)).has_value());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(1)).ok());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(1)).ok());
  EXPECT_EQ((*core->GetManifest(newer))->manifest().version(), 1);
  core.Commit();
  exact.set_version(0);
  EXPECT_EQ((*core->GetManifest(exact))->manifest().SerializeAsString(),
            MakeManifest(0).SerializeAsString());
  PublishWeightsRequest changed = PublishRequest(1);
  SetTexts("{}", changed.mutable_manifest());
  EXPECT_EQ(core->PublishWeights(changed).code(), absl::StatusCode::kAlreadyExists);
  PublishWeightsRequest moved = PublishRequest(1);
  moved.mutable_manifest()->set_sources(0, "127.0.0.1:2");
  EXPECT_TRUE(core->PublishWeights(moved).ok());
  EXPECT_EQ((*core->GetManifest(newest))->manifest().sources(0), "127.0.0.1:2");
  core.Commit();
  core.Restart();
  EXPECT_EQ((*core->GetManifest(newest))->manifest().version(), 1);
}

// A learner sends the texts of its versions once, and the store has them once, until no version
// that is kept has them.
TEST_F(CoreTest, TextsAreKeptOnceAndSentToWhoLacksThem) {
  const auto publish = [&](uint64_t version, const std::string& texts, bool with_texts) {
    PublishWeightsRequest request = PublishRequest(version);
    SetTexts(texts, request.mutable_manifest());
    if (!with_texts) request.mutable_manifest()->clear_texts();
    return core->PublishWeights(request).code();
  };
  const auto sent = [&](uint64_t version, const std::string& held) -> std::string {
    GetManifestRequest request;
    request.set_version(version);
    if (!held.empty()) request.set_texts_held(DigestOf(held));
    const WeightManifest manifest = (*core->GetManifest(request))->manifest();
    EXPECT_FALSE(manifest.texts_sha256().empty());
    return manifest.has_texts() ? manifest.texts().config_json() : "none";
  };
  const auto stored = [&] {
    core.Commit();
    int texts = 0;
    EXPECT_TRUE(store
                    .Scan("t", "",
                          [&](absl::string_view, absl::string_view) {
                            ++texts;
                            return true;
                          })
                    .ok());
    return texts;
  };
  EXPECT_EQ(publish(0, "a", false), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(publish(0, "a", true), absl::StatusCode::kOk);
  EXPECT_EQ(sent(0, ""), "a") << "before it is on the disk";
  EXPECT_EQ(publish(1, "b", true), absl::StatusCode::kOk);
  EXPECT_EQ(stored(), 2);
  for (uint64_t version = 2; version < 16; ++version) {
    EXPECT_EQ(publish(version, "b", false), absl::StatusCode::kOk);
  }
  EXPECT_EQ(sent(0, ""), "a");
  EXPECT_EQ(sent(15, "a"), "b");
  EXPECT_EQ(sent(15, "b"), "none");
  EXPECT_EQ(stored(), 2);
  EXPECT_EQ(publish(16, "b", false), absl::StatusCode::kOk);
  EXPECT_EQ(stored(), 1) << "version 0 was forgotten, and its texts with it";
  core.Restart();
  EXPECT_EQ(sent(16, ""), "b");
  EXPECT_EQ(publish(17, "b", false), absl::StatusCode::kOk);
  EXPECT_EQ(publish(18, "a", false), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CoreTest, WhoServesOthersIsToldWhoIsAboveIt) {
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto relays = [&](const std::string& source) {
    GetManifestRequest request;
    request.set_source(source);
    return (*core->GetManifest(request))->relays_size();
  };
  EXPECT_EQ(relays("a:1"), 0);
  EXPECT_EQ(relays("b:1"), 0);
  EXPECT_EQ(relays("c:1"), 1);
  EXPECT_EQ(relays(""), 0) << "serves nobody";
  GetManifestRequest bad;
  bad.set_source("no address");
  EXPECT_EQ(core->GetManifest(bad).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0, Begin("n"))).ok());
  EXPECT_EQ(relays("c:1"), 0) << "what others hold is of another learner";
}

TEST_F(CoreTest, ADamagedManifestIsRefused) {
  const auto refused = [&](WeightManifest manifest) {
    PublishWeightsRequest request;
    *request.mutable_manifest() = std::move(manifest);
    return core->PublishWeights(request).code() == absl::StatusCode::kInvalidArgument;
  };
  WeightManifest m = MakeManifest(0);
  m.mutable_chunk_sha256()->RemoveLast();
  EXPECT_TRUE(refused(m));
  m = MakeManifest(0);
  m.set_total_bytes(8);
  EXPECT_TRUE(refused(m));
  m = MakeManifest(0);
  m.mutable_tensors(0)->set_offset(2);
  EXPECT_TRUE(refused(m));
  m = MakeManifest(0);
  m.mutable_tensors(0)->set_shape(0, int64_t{1} << 62);
  EXPECT_TRUE(refused(m));
  m = MakeManifest(0);
  m.mutable_tensors(0)->set_dtype("I64");
  EXPECT_TRUE(refused(m));
  m = MakeManifest(0);
  m.clear_sources();
  EXPECT_TRUE(refused(m));
  EXPECT_FALSE(refused(MakeManifest(0)));
  m = MakeManifest(1);
  m.mutable_tensors(0)->set_dtype("F16");
  EXPECT_FALSE(refused(m));
}

TEST_F(CoreTest, ARestartedLearnerPublishesItsCheckpointsVersionAgain) {
  for (uint64_t version : {0, 1, 2}) {
    ASSERT_TRUE(core->PublishWeights(PublishRequest(version)).ok());
  }
  EXPECT_EQ(core->PublishWeights(PublishRequest(1)).code(), absl::StatusCode::kFailedPrecondition)
      << "in the same term, the newest is published last";
  core.Commit();
  ASSERT_EQ(Begin("again"), 1);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(1, 1)).ok());
  core.Commit();
  EXPECT_EQ(core->Status(core.now()).newest_version(), 1);
  GetManifestRequest gone;
  gone.set_version(2);
  EXPECT_FALSE((*core->GetManifest(gone)).has_value()) << "only the dead learner served it";
  EXPECT_EQ(core->PublishWeights(PublishRequest(0, 1)).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(2, 1)).ok());
}

TEST_F(CoreTest, OnlyTheNewestAndThePinnedManifestsAreKept) {
  PlanSpec pinned = MakeSpec("p", 1, 1);
  pinned.set_pinned_version(1);
  ASSERT_TRUE(core->OpenPlan(OpenRequest(pinned)).ok());
  for (uint64_t version = 0; version < 40; ++version) {
    ASSERT_TRUE(core->PublishWeights(PublishRequest(version)).ok());
    core.Commit();
  }
  EXPECT_LE(CountKeys(store, "w"), 17u);
  GetManifestRequest request;
  request.set_version(1);
  EXPECT_TRUE((*core->GetManifest(request)).has_value());
  request.set_version(2);
  EXPECT_FALSE((*core->GetManifest(request)).has_value());
}

TEST_F(CoreTest, TheBaseOfAdaptersIsKeptAsLongAsTheyAre) {
  const auto publish = [&](uint64_t version, uint64_t base, uint64_t of_term = 0) {
    PublishWeightsRequest request = PublishRequest(version, of_term);
    request.mutable_manifest()->set_base_version(base);
    return core->PublishWeights(request).code();
  };
  EXPECT_EQ(publish(4, 3), absl::StatusCode::kFailedPrecondition) << "nobody has the base";
  ASSERT_TRUE(core->PublishWeights(PublishRequest(3)).ok());
  EXPECT_EQ(publish(3, 3), absl::StatusCode::kFailedPrecondition);
  for (uint64_t version = 4; version < 40; ++version) {
    ASSERT_EQ(publish(version, 3), absl::StatusCode::kOk);
    core.Commit();
  }
  EXPECT_EQ(publish(40, 39), absl::StatusCode::kFailedPrecondition) << "adapters over adapters";
  GetManifestRequest base;
  base.set_version(3);
  core.Restart();
  EXPECT_TRUE((*core->GetManifest(base)).has_value());
  EXPECT_EQ(publish(40, 3), absl::StatusCode::kOk);
  core.Commit();
  EXPECT_TRUE((*core->GetManifest(base)).has_value());
  // Another learner has other sources, and perhaps other weights under the number.
  ASSERT_EQ(Begin("again"), 1);
  EXPECT_EQ(publish(40, 3, 1), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(3, 1)).ok());
  EXPECT_EQ(publish(40, 3, 1), absl::StatusCode::kOk);
  core.Commit();
  // With adapters over another, the old base is nothing that anybody needs.
  ASSERT_TRUE(core->PublishWeights(PublishRequest(41, 1)).ok());
  core.Commit();
  for (uint64_t version = 42; version < 80; ++version) {
    ASSERT_EQ(publish(version, 41, 1), absl::StatusCode::kOk);
    core.Commit();
  }
  EXPECT_FALSE((*core->GetManifest(base)).has_value());
  EXPECT_LE(CountKeys(store, "w"), 17u);
}

TEST_F(CoreTest, RanksFindEachOthersKeys) {
  term = Begin("x");
  EXPECT_FALSE((*core->UseRendezvous(KeyRequest(RendezvousRequest::GET, "k"), false)).has_value());
  EXPECT_FALSE(Use(KeyRequest(RendezvousRequest::GET, "k")).found());
  Use(KeyRequest(RendezvousRequest::SET, "k", "v"));
  EXPECT_EQ(Use(KeyRequest(RendezvousRequest::GET, "k")).value(), "v");
  RendezvousRequest wait = KeyRequest(RendezvousRequest::WAIT, "k");
  wait.add_keys("l");
  EXPECT_FALSE((*core->UseRendezvous(wait, false)).has_value());
  Use(KeyRequest(RendezvousRequest::SET, "l", "w"));
  EXPECT_TRUE(Use(wait).found());
  EXPECT_EQ(Use(KeyRequest(RendezvousRequest::DELETE, "l")).sum(), 1);
  EXPECT_FALSE(Use(KeyRequest(RendezvousRequest::CHECK, "l")).found());
  EXPECT_EQ(Begin("y"), 2);
  EXPECT_EQ(core->UseRendezvous(KeyRequest(RendezvousRequest::GET, "k"), true).status().code(),
            absl::StatusCode::kAborted);
  term = 2;
  EXPECT_FALSE(Use(KeyRequest(RendezvousRequest::GET, "k")).found()) << "a term starts empty";
}

TEST_F(CoreTest, ARetriedAddCountsOnce) {
  RendezvousRequest add = KeyRequest(RendezvousRequest::ADD, "n");
  add.set_amount(2);
  add.set_id("1");
  EXPECT_EQ(Use(add).sum(), 2);
  EXPECT_EQ(Use(add).sum(), 2);
  add.set_id("2");
  EXPECT_EQ(Use(add).sum(), 4);
  EXPECT_EQ(Use(KeyRequest(RendezvousRequest::GET, "n")).value(), "4");
  add.set_id("");
  EXPECT_EQ(core->UseRendezvous(add, true).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CoreTest, CompareSetChangesOnlyWhatIsAsExpected) {
  RendezvousRequest set = KeyRequest(RendezvousRequest::COMPARE_SET, "k", "a");
  set.set_expected("other");
  EXPECT_EQ(Use(set).value(), "other") << "absent, and not expected to be";
  set.set_expected("");
  EXPECT_EQ(Use(set).value(), "a");
  set.set_value("b");
  EXPECT_EQ(Use(set).value(), "a");
  set.set_expected("a");
  EXPECT_EQ(Use(set).value(), "b");
}

TEST_F(CoreTest, ASelectionGrowsInOrderAndNamesOnlyStoredRollouts) {
  ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("p", 4, 1))).ok());
  ASSERT_TRUE(core->AppendGroups(AppendRequest("p", 0, 1)).ok());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  core.Finish("a", core.LeaseWork("a", 4).at(0));
  core.Commit();
  const auto request = [](uint64_t first, std::vector<uint32_t> samples, bool complete) {
    AppendSelectionRequest request;
    request.set_name("s");
    request.set_rule("all");
    request.set_first_index(first);
    for (uint32_t sample : samples) *request.add_keys() = MakeRollout("p", 0, sample, 0).key();
    request.set_complete(complete);
    return request;
  };
  ASSERT_TRUE(core->AppendSelection(request(0, {2, 0}, false)).ok());
  core.Commit();
  EXPECT_EQ(core->AppendSelection(request(0, {2, 1}, false)).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(core->AppendSelection(request(3, {1}, false)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(core->AppendSelection(request(2, {9}, false)).code(),
            absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(core->AppendSelection(request(1, {0, 1}, true)).ok());
  core.Commit();
  core.Restart();
  EXPECT_TRUE(core->AppendSelection(request(1, {0, 1}, true)).ok());
  EXPECT_EQ(core->AppendSelection(request(3, {3}, true)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CountKeys(store, "k"), 3u);
}

}  // namespace
}  // namespace reckon
