#ifndef RECKON_TESTS_SUPPORT_SERVICE_HARNESS_H_
#define RECKON_TESTS_SUPPORT_SERVICE_HARNESS_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/net/channel.h"
#include "common/testing/await.h"
#include "coordinator/service/server.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {

// A store whose writes and scans can be held up, and whose writes can be made to fail.
class GatedStore : public MemoryStore {
 public:
  absl::Status Write(const Writes& writes) override {
    absl::MutexLock lock(&mu_);
    Hold(open_);
    if (broken_) return absl::InternalError("disk full");
    return MemoryStore::Write(writes);
  }
  // Held up with what it has found.
  absl::Status Scan(
      absl::string_view prefix, absl::string_view from,
      const std::function<bool(absl::string_view, absl::string_view)>& each) const override {
    absl::Status status = MemoryStore::Scan(prefix, from, each);
    absl::MutexLock lock(&mu_);
    Hold(scans_open_);
    return status;
  }
  void SetScansOpen(bool open) {
    absl::MutexLock lock(&mu_);
    scans_open_ = open;
  }
  // Writes and scans that are held up.
  int held() const {
    absl::MutexLock lock(&mu_);
    return held_;
  }
  void SetOpen(bool open) {
    absl::MutexLock lock(&mu_);
    open_ = open;
  }
  void Break() {
    absl::MutexLock lock(&mu_);
    broken_ = true;
  }

 private:
  void Hold(const bool& open) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ++held_;
    mu_.Await(absl::Condition(&open));
    --held_;
  }

  mutable absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  bool scans_open_ ABSL_GUARDED_BY(mu_) = true;
  mutable int held_ ABSL_GUARDED_BY(mu_) = 0;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
};

// A coordinator in the test's process, over a store that can be held up.
class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CoordinatorServer::Options options;
    options.core.run = "test";
    options.core.rank_timeout = absl::Milliseconds(500);
    options.committer.on_failure = [this](const absl::Status&) { ++failures; };
    auto started = CoordinatorServer::Start(&store, options);
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = Coordinator::NewStub(*MakeChannel(server->address(), Security::PlainText()));
  }

  template <typename Request, typename Reply>
  absl::Status Call(grpc::Status (Coordinator::Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Reply*),
                    const Request& request, Reply* reply) {
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    return FromGrpc((stub.get()->*method)(&context, request, reply));
  }
  absl::Status Publish(uint64_t version) {
    MarkReply reply;
    return Call(&Coordinator::Stub::PublishWeights, PublishRequest(version), &reply);
  }
  void Open(const PlanSpec& spec, uint64_t groups, bool end) {
    OpenPlanReply opened;
    ASSERT_TRUE(Call(&Coordinator::Stub::OpenPlan, OpenRequest(spec), &opened).ok());
    AppendGroupsReply appended;
    ASSERT_TRUE(Call(&Coordinator::Stub::AppendGroups, AppendRequest(spec.name(), 0, groups, end),
                     &appended)
                    .ok());
  }
  GetStatusReply GetStatus() {
    GetStatusReply reply;
    EXPECT_TRUE(Call(&Coordinator::Stub::GetStatus, GetStatusRequest(), &reply).ok());
    return reply;
  }
  Ledger GetLedger() { return GetStatus().ledger(); }

  GatedStore store;
  std::atomic<int> failures = 0;
  std::unique_ptr<CoordinatorServer> server;
  std::unique_ptr<Coordinator::Stub> stub;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_SERVICE_HARNESS_H_
