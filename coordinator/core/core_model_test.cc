// Thousands of random events are compared with a simple model. The ledger's equations hold after
// each; nothing acknowledged is lost or counted twice; batches are whole, do not change and respect
// the bound on staleness; nothing selected is evicted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "common/testing/temp_folder.h"
#include "coordinator/store/rocks_store.h"
#include "coordinator/store/store_keys.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using Ack = SubmitReply::Ack;
using Sample = std::tuple<std::string, uint64_t, uint32_t>;

class Model {
 public:
  Model(Store* store, uint64_t seed) : random_(seed), store_(store), core_(store, Options()) {
    specs_ = {MakeSpec("sync", 3, 2, 1), MakeSpec("async", 2, 3, 3), MakeSpec("pinned", 4, 2, 2)};
    specs_[2].set_pinned_version(0);
    EXPECT_TRUE(core_->PublishWeights(PublishRequest(0)).ok());
    for (const PlanSpec& spec : specs_) {
      EXPECT_TRUE(core_->OpenPlan(OpenRequest(spec)).ok());
      applied_version_[spec.name()] = {0};
    }
    Commit();
  }

  void Run(int events) {
    for (int i = 0; i < events && !::testing::Test::HasFailure(); ++i) {
      Step();
      Check();
    }
  }

  // Appends no more, lets every sample succeed, and consumes every batch.
  void Finish() {
    ending_ = true;
    for (int i = 0; i < 20000 && !::testing::Test::HasFailure() && Unfinished(); ++i) {
      for (const Lease& lease : core_.LeaseWork("last", 64)) {
        pool_.push_back(lease);
        owner_[lease.id()] = "last";
      }
      for (const Lease& lease : pool_) {
        for (uint32_t sample : lease.samples()) Submit(lease, sample);
      }
      pool_.clear();
      for (const PlanSpec& spec : specs_) {
        Append(spec);
        Consume(spec);
      }
      core_.Advance(absl::Seconds(61));
      Check();
    }
    for (int i = 0; i < 64; ++i) Commit();  // the evictions that wait
    for (const PlanSpec& spec : specs_) CheckWhole(spec);
    CheckSelected();
    CloseAll();
    EXPECT_FALSE(selected_.empty());
    EXPECT_GT(core_->evicted(), 0);
    EXPECT_EQ(core_->ledger().mismatched(), 0);
    EXPECT_GT(core_->ledger().duplicate(), 0);
    EXPECT_GT(core_->ledger().expired(), 0);
    EXPECT_GT(core_->ledger().rejected(), 0);
    EXPECT_GT(restarts_, 0);
  }

  // The run is over, and a checkpoint covers it: what is selected is left, of all plans.
  void CloseAll() {
    for (const PlanSpec& spec : specs_) {
      MarkDurableRequest durable;
      durable.set_plan(spec.name());
      durable.set_batch(consumed_[spec.name()] - 1);
      EXPECT_TRUE(core_->MarkDurable(durable).ok());
      ClosePlanRequest close;
      close.set_plan(spec.name());
      EXPECT_TRUE(core_->ClosePlan(close).ok());
    }
    for (int i = 0; i < 256; ++i) Commit();
    std::set<std::string> selected;
    for (const RolloutKey& key : selected_) selected.insert(store_keys::Rollout(key));
    EXPECT_EQ(CountKeys(*store_, "r"), selected.size());
    CheckSelected();
    EXPECT_EQ(CountKeys(*store_, "b") + CountKeys(*store_, "v"), 0u);
    EXPECT_EQ(core_->Status(core_.now()).plans_size(), 0);
    EXPECT_EQ(core_->ledger().accepted(), selected.size() + core_->evicted());
  }

  std::string Summary() { return core_->ledger().ShortDebugString(); }

 private:
  static constexpr uint64_t kGroups = 60;

  static CoreOptions Options() {
    CoreOptions options;
    options.max_resident_groups = 20;
    options.retention = CoordinatorSettings::SELECTED;
    return options;
  }
  uint64_t Below(uint64_t n) { return random_() % n; }
  const PlanSpec& AnyPlan() { return specs_[Below(specs_.size())]; }

  void Step() {
    const std::string actor = "actor" + std::to_string(Below(3));
    switch (Below(16)) {
      case 0:
      case 1:
      case 2:
        for (const Lease& lease : core_.LeaseWork(actor, 1 + Below(10), Below(3))) {
          pool_.push_back(lease);
          owner_[lease.id()] = actor;
        }
        break;
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        SubmitAny();
        break;
      case 8:
        Resubmit();
        break;
      case 9:
        Return();
        break;
      case 10:
        core_.Advance(absl::Seconds(Below(25)));
        break;
      case 11:
        Renew();
        break;
      case 12:
        Append(AnyPlan());
        break;
      case 13:
        Consume(AnyPlan());
        break;
      case 14:
        Commit();
        break;
      case 15:
        if (Below(8) == 0) {
          Restart();
        } else {
          Select();
        }
        break;
    }
    if (pool_.size() > 40) pool_.erase(pool_.begin(), pool_.begin() + 10);
  }

  void Submit(const Lease& lease, uint32_t sample) {
    const Sample id(lease.plan(), lease.item().group(), sample);
    const Ack ack = core_.Submit(
        owner_[lease.id()], lease.id(),
        MakeRollout(lease.plan(), lease.item().group(), sample, lease.weight_version()));
    if (ack.outcome() == Ack::ACCEPTED) {
      EXPECT_TRUE(accepted_.insert(id).second) << "accepted twice";
      lease_of_[id] = lease.id();
    } else if (ack.outcome() == Ack::DUPLICATE) {
      EXPECT_TRUE(accepted_.count(id)) << "a duplicate of nothing";
    } else {
      EXPECT_EQ(ack.outcome(), Ack::LATE) << ack.message();
      EXPECT_FALSE(accepted_.count(id) && !evictable_.count(std::get<0>(id)));
    }
  }

  void SubmitAny() {
    if (pool_.empty()) return;
    const Lease& lease = pool_[Below(pool_.size())];
    if (Below(12) == 0) {
      Rollout bad = MakeRollout(lease.plan(), lease.item().group(), 0, lease.weight_version());
      bad.mutable_spans(1)->add_tokens(1);
      EXPECT_EQ(core_.Submit(owner_[lease.id()], lease.id(), bad).outcome(), Ack::REJECTED);
      return;
    }
    Submit(lease, lease.samples(static_cast<int>(Below(lease.samples_size()))));
  }

  // What a sender does whose acknowledgement was lost in a restart.
  void Resubmit() {
    if (acknowledged_.empty()) return;
    auto it = acknowledged_.begin();
    std::advance(it, Below(acknowledged_.size()));
    const auto& [plan, group, sample] = *it;
    const auto stored = store_->Get(store_keys::Rollout(MakeRollout(plan, group, sample, 0).key()));
    if (!stored.ok()) {
      EXPECT_TRUE(evictable_.count(plan)) << "an acknowledged rollout is lost";
      return;
    }
    Rollout rollout;
    ASSERT_TRUE(rollout.ParseFromString(*stored));
    const uint64_t lease = lease_of_[*it];
    EXPECT_EQ(core_.Submit(owner_[lease], lease, rollout).outcome(), Ack::DUPLICATE)
        << plan << "/" << group << "/" << sample;
  }

  void Select() {
    if (acknowledged_.empty()) return;
    auto it = acknowledged_.begin();
    std::advance(it, Below(acknowledged_.size()));
    const auto& [plan, group, sample] = *it;
    AppendSelectionRequest request;
    request.set_name("selection");
    request.set_first_index(selected_.size());
    *request.add_keys() = MakeRollout(plan, group, sample, 0).key();
    const absl::Status status = core_->AppendSelection(request);
    if (status.ok()) {
      selected_.push_back(request.keys(0));
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_TRUE(evictable_.count(plan)) << "an acknowledged rollout cannot be selected";
    }
  }

  void CheckSelected() {
    for (const RolloutKey& key : selected_) {
      EXPECT_TRUE(store_->Get(store_keys::Rollout(key)).ok())
          << "evicted although selected: " << key.ShortDebugString();
    }
  }

  void Return() {
    if (pool_.empty()) return;
    const size_t at = Below(pool_.size());
    ReturnLeasesRequest request;
    request.set_actor(owner_[pool_[at].id()]);
    request.add_leases(pool_[at].id());
    if (Below(2) == 0) request.set_error("failed");
    EXPECT_TRUE(core_->ReturnLeases(request, core_.now()).ok());
    pool_.erase(pool_.begin() + at);
  }

  void Renew() {
    RenewLeasesRequest request;
    request.set_actor("actor0");
    for (const Lease& lease : pool_) request.add_leases(lease.id());
    EXPECT_TRUE(core_->RenewLeases(request, core_.now()).ok());
  }

  void Append(const PlanSpec& spec) {
    const uint64_t known = core_->OpenPlan(OpenRequest(spec))->appended_groups();
    const uint64_t count = std::min<uint64_t>(kGroups - known, 1 + Below(6));
    const uint64_t overlap = Below(std::min<uint64_t>(known, 3) + 1);
    const bool end = known + count == kGroups;
    const auto reply =
        core_->AppendGroups(AppendRequest(spec.name(), known - overlap, count + overlap, end));
    if (reply.ok()) return;
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kResourceExhausted);
  }

  void Consume(const PlanSpec& spec) {
    const std::string& plan = spec.name();
    auto& next = consumed_[plan];
    const auto reply = core_->NextBatch(BatchRequest(plan, next));
    ASSERT_TRUE(reply.ok());
    if (!reply->has_value() || !(*reply)->has_header()) {
      if (reply->has_value()) ended_.insert(plan);
      return;
    }
    const BatchHeader header = (*reply)->header();
    Commit();  // a reply leaves after the sync
    if (::testing::Test::HasFailure()) return;
    auto [seen, fresh] = batches_.emplace(std::make_pair(plan, next), header.SerializeAsString());
    EXPECT_EQ(seen->second, header.SerializeAsString()) << "a batch changed";
    CheckStaleness(spec, header);
    if (!spec.has_pinned_version()) {
      ++version_;
      ASSERT_TRUE(core_->PublishWeights(PublishRequest(version_)).ok());
    }
    ASSERT_TRUE(
        core_->MarkApplied(AppliedRequest(plan, next, spec.has_pinned_version() ? 0 : version_))
            .ok());
    applied_version_[plan].push_back(version_);
    if (spec.has_pinned_version() && Below(3) == 0) {
      MarkDurableRequest durable;
      durable.set_plan(plan);
      durable.set_batch(next);
      ASSERT_TRUE(core_->MarkDurable(durable).ok());
      evictable_.insert(plan);
    }
    Commit();
    ++next;
  }

  void CheckStaleness(const PlanSpec& spec, const BatchHeader& header) {
    if (spec.has_pinned_version()) return;
    const uint64_t batch = header.batch();
    const uint64_t began =
        batch + 1 > spec.max_open_batches() ? batch + 1 - spec.max_open_batches() : 0;
    for (const RolloutHeader& rollout : header.rollouts()) {
      EXPECT_GE(rollout.weight_version(), applied_version_[spec.name()].at(began))
          << spec.name() << " batch " << batch << " is older than its bound";
    }
  }

  void Commit() {
    core_.Commit();
    acknowledged_ = accepted_;
    committed_pool_ = pool_;
    committed_selected_ = selected_;
  }

  void Restart() {
    if (Below(2) == 0) Commit();
    core_.Restart();
    ++restarts_;
    accepted_ = acknowledged_;
    pool_ = committed_pool_;
    selected_ = committed_selected_;
    CheckSelected();
  }

  void Check() {
    const absl::Status status = core_->CheckInvariants();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(core_->ledger().accepted(), accepted_.size());
  }

  bool Unfinished() const { return ended_.size() < specs_.size(); }

  // Each sample of each group is in exactly one batch, or its group was set aside in one.
  void CheckWhole(const PlanSpec& spec) {
    std::set<uint64_t> groups;
    std::set<Sample> in_batches;
    for (const auto& [id, bytes] : batches_) {
      if (id.first != spec.name()) continue;
      BatchHeader header;
      ASSERT_TRUE(header.ParseFromString(bytes));
      std::set<uint64_t> here(header.set_aside().begin(), header.set_aside().end());
      for (const RolloutHeader& rollout : header.rollouts()) {
        const Sample sample(spec.name(), rollout.key().group(), rollout.key().sample());
        EXPECT_TRUE(in_batches.insert(sample).second) << "in two batches";
        EXPECT_TRUE(acknowledged_.count(sample)) << "never accepted";
        here.insert(rollout.key().group());
      }
      for (uint64_t group : here) EXPECT_TRUE(groups.insert(group).second) << group;
      if (id.second + 1 < consumed_[spec.name()]) {
        EXPECT_LE(here.size(), spec.groups_per_batch() + header.set_aside_size());
      }
    }
    EXPECT_EQ(groups.size(), kGroups) << spec.name();
    EXPECT_EQ(in_batches.size() % spec.samples_per_group(), 0u);
    EXPECT_EQ(CountKeys(*store_, "r") + core_->evicted(), acknowledged_.size());
    EXPECT_EQ(CountKeys(*store_, store_keys::Prefix('i', spec.name())), 0u);
  }

  std::mt19937_64 random_;
  Store* const store_;
  CoreHarness core_;
  std::vector<PlanSpec> specs_;
  std::vector<Lease> pool_, committed_pool_;
  std::map<uint64_t, std::string> owner_;
  std::set<Sample> accepted_, acknowledged_;
  std::map<Sample, uint64_t> lease_of_;
  std::map<std::string, uint64_t> consumed_;
  std::map<std::pair<std::string, uint64_t>, std::string> batches_;
  std::map<std::string, std::vector<uint64_t>> applied_version_;
  std::vector<RolloutKey> selected_, committed_selected_;
  std::set<std::string> evictable_, ended_;
  uint64_t version_ = 0;
  int restarts_ = 0;
  bool ending_ = false;
};

class CoreModel : public ::testing::TestWithParam<uint64_t> {};

TEST_P(CoreModel, NothingIsLostOrDoubledInThousandsOfRandomEvents) {
  MemoryStore store;
  Model model(&store, GetParam());
  model.Run(4000);
  model.Finish();
}
INSTANTIATE_TEST_SUITE_P(Seeds, CoreModel, ::testing::Range<uint64_t>(1, 13));

TEST(CoreModelOnDisk, TheSameEventsLeaveTheSameBytesInMemoryAndOnDisk) {
  const TempFolder folder;
  MemoryStore memory;
  Model in_memory(&memory, 99);
  in_memory.Run(1500);
  {
    auto disk = RocksStore::Open(folder.path());
    ASSERT_TRUE(disk.ok()) << disk.status();
    Model on_disk(disk->get(), 99);
    on_disk.Run(1500);
    EXPECT_EQ(in_memory.Summary(), on_disk.Summary());
    std::map<std::string, std::string> a, b;
    const auto into = [](std::map<std::string, std::string>* map) {
      return [map](absl::string_view key, absl::string_view value) {
        (*map)[std::string(key)] = std::string(value);
        return true;
      };
    };
    ASSERT_TRUE(memory.Scan("", "", into(&a)).ok());
    ASSERT_TRUE((*disk)->Scan("", "", into(&b)).ok());
    EXPECT_TRUE(a == b) << a.size() << " and " << b.size() << " keys";
  }
}

}  // namespace
}  // namespace reckon
