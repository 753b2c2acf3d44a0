#include "coordinator/service/read_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"
#include "coordinator/core/plan_state.h"
#include "coordinator/store/store_keys.h"
#include "proto/storage.pb.h"

namespace reckon {
namespace {

constexpr size_t kReplyBytes = 2 << 20;  // a reply ends with the rollout that reaches them
constexpr int kReplyKeys = 8192;

// Sends the replies that Next makes, one at a time, until there are no more or an error.
template <typename Reply>
class PullStream : public grpc::ServerWriteReactor<Reply> {
 public:
  void OnWriteDone(bool ok) override {
    if (ok) {
      SendNext();
    } else {
      this->Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the reader disconnected"));
    }
  }
  void OnDone() override { delete this; }

 protected:
  // True: `reply` must be sent. False: everything was sent.
  virtual absl::StatusOr<bool> Next(Reply* reply) = 0;

  void SendNext() {
    reply_.Clear();
    const absl::StatusOr<bool> more = Next(&reply_);
    if (!more.ok()) {
      this->Finish(ToGrpc(more.status()));
    } else if (*more) {
      this->StartWrite(&reply_);
    } else {
      this->Finish(grpc::Status::OK);
    }
  }

 private:
  Reply reply_;
};

class FetchStream : public PullStream<FetchRolloutsReply> {
 public:
  FetchStream(const Store* store, const FetchRolloutsRequest& request)
      : store_(store), request_(request) {
    SendNext();
  }

 private:
  absl::StatusOr<bool> Next(FetchRolloutsReply* reply) override {
    if (at_ == request_.keys_size()) return false;
    for (size_t bytes = 0; at_ < request_.keys_size() && bytes < kReplyBytes; ++at_) {
      const RolloutKey& key = request_.keys(at_);
      absl::StatusOr<std::string> stored = store_->Get(store_keys::Rollout(key));
      if (absl::IsNotFound(stored.status())) {
        return absl::NotFoundError(absl::StrCat("rollout ", Printable(key.plan()), "/", key.group(),
                                                "/", key.sample(), " is not stored"));
      }
      RETURN_IF_ERROR(stored.status());
      bytes += stored->size();
      reply->add_rollouts(*std::move(stored));
    }
    return true;
  }

  const Store* const store_;
  const FetchRolloutsRequest request_;
  int at_ = 0;
};

class SelectionStream : public PullStream<GetSelectionReply> {
 public:
  SelectionStream(const Store* store, const std::string& name) : store_(store), name_(name) {
    SendNext();
  }

 private:
  absl::StatusOr<bool> Next(GetSelectionReply* reply) override {
    if (!begun_) {
      absl::StatusOr<std::string> bytes = store_->Get(store_keys::Selection(name_));
      if (absl::IsNotFound(bytes.status())) {
        return absl::NotFoundError(absl::StrCat("no selection '", Printable(name_), "'"));
      }
      RETURN_IF_ERROR(bytes.status());
      if (!record_.ParseFromString(*bytes))
        return absl::DataLossError("a selection's record is damaged");
    } else if (at_ == record_.entries()) {
      return false;
    }
    begun_ = true;
    reply->set_rule(record_.rule());
    reply->set_complete(record_.complete());
    // Keys that are appended while the stream runs are left out: the record was read first.
    bool sound = true;
    RETURN_IF_ERROR(store_->Scan(
        store_keys::Prefix('k', name_), store_keys::SelectionEntry(name_, at_),
        [&](absl::string_view, absl::string_view value) {
          if (at_ == record_.entries() || reply->keys_size() == kReplyKeys) return false;
          sound = reply->add_keys()->ParseFromArray(value.data(), static_cast<int>(value.size()));
          ++at_;
          return sound;
        }));
    if (!sound) return absl::DataLossError("a selection's key is damaged");
    // The record counts entries that the store does not have. Without this test the stream would
    // send empty replies for ever.
    if (reply->keys_size() == 0 && record_.entries() > 0) {
      return absl::DataLossError(
          absl::StrCat("the store lacks key ", at_, " of selection '", name_, "'"));
    }
    return true;
  }

  const Store* const store_;
  const std::string name_;
  StoredSelection record_;
  bool begun_ = false;
  uint64_t at_ = 0;
};

}  // namespace

absl::StatusOr<PlanStatuses> ReadPlans(const Store& store) {
  PlanStatuses plans;
  bool sound = true;
  RETURN_IF_ERROR(store.Scan("p", "", [&](absl::string_view, absl::string_view value) {
    StoredPlan record;
    sound = record.ParseFromArray(value.data(), static_cast<int>(value.size()));
    PlanStatus& plan = plans[record.spec().name()];
    plan = StatusOf(record);
    *plan.mutable_spec() = std::move(*record.mutable_spec());
    return sound;
  }));
  if (!sound) return absl::DataLossError("a plan's record is damaged");
  return plans;
}

void AddFinishedPlans(PlanStatuses stored, GetStatusReply* reply) {
  // What the core has is newer.
  for (PlanStatus& plan : *reply->mutable_plans()) stored[plan.name()] = std::move(plan);
  reply->clear_plans();
  for (auto& [name, plan] : stored) *reply->add_plans() = std::move(plan);
}

grpc::ServerWriteReactor<FetchRolloutsReply>* NewFetchStream(const Store* store,
                                                             const FetchRolloutsRequest& request) {
  return new FetchStream(store, request);
}

grpc::ServerWriteReactor<GetSelectionReply>* NewSelectionStream(const Store* store,
                                                                const std::string& name) {
  return new SelectionStream(store, name);
}

}  // namespace reckon
