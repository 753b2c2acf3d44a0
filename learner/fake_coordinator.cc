#include "learner/fake_coordinator.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

grpc::Status Error(grpc::StatusCode code, const std::string& message) { return {code, message}; }

}  // namespace

FakeCoordinator::FakeCoordinator(Sampler sampler) : sampler_(std::move(sampler)) {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeCoordinator::~FakeCoordinator() { server_->Shutdown(std::chrono::system_clock::now()); }

std::shared_ptr<Coordinator::StubInterface> FakeCoordinator::NewStub() const {
  return Coordinator::NewStub(MakeChannel(address_));
}

std::map<std::string, GetSelectionReply> FakeCoordinator::selections() const {
  absl::MutexLock lock(&mu_);
  return selections_;
}

std::map<std::string, PlanSpec> FakeCoordinator::plans() const {
  absl::MutexLock lock(&mu_);
  std::map<std::string, PlanSpec> out;
  for (const auto& [name, plan] : plans_) out[name] = plan.spec;
  return out;
}

std::map<uint64_t, WeightManifest> FakeCoordinator::weights() const {
  absl::MutexLock lock(&mu_);
  return weights_;
}

grpc::Status FakeCoordinator::BeginEpoch(grpc::ServerContext*, const BeginEpochRequest* request,
                                         BeginEpochReply* reply) {
  absl::MutexLock lock(&mu_);
  uint64_t next = epochs_.size() + 1;
  reply->set_epoch(epochs_.emplace(request->nonce(), next).first->second);
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::Store(grpc::ServerContext*, const StoreRequest* request,
                                    StoreReply* reply) {
  absl::MutexLock lock(&mu_);
  const std::string& key = request->keys(0);
  auto all_there = [&] {
    mu_.AssertHeld();
    return std::all_of(request->keys().begin(), request->keys().end(),
                       [&](const std::string& k)
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return store_.count(k) > 0; });
  };
  int64_t sum = 0;
  switch (request->op()) {
    case StoreRequest::SET:
      store_[key] = request->value();
      break;
    case StoreRequest::ADD:
      (void)absl::SimpleAtoi(store_[key], &sum);
      store_[key] = absl::StrCat(sum + request->amount());
      reply->set_sum(sum + request->amount());
      break;
    case StoreRequest::DELETE:
      reply->set_sum(store_.erase(key));
      break;
    case StoreRequest::GET:
    case StoreRequest::WAIT:
      mu_.AwaitWithTimeout(absl::Condition(&all_there), absl::Milliseconds(request->wait_ms()));
      [[fallthrough]];
    case StoreRequest::CHECK:
      reply->set_found(all_there());
      if (reply->found()) reply->set_value(store_[key]);
      break;
    default:
      return Error(grpc::StatusCode::UNIMPLEMENTED, "op");
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::OpenPlan(grpc::ServerContext*, const OpenPlanRequest* request,
                                       OpenPlanReply* reply) {
  absl::MutexLock lock(&mu_);
  Plan& plan = plans_[request->spec().name()];
  if (!plan.spec.name().empty() &&
      plan.spec.SerializeAsString() != request->spec().SerializeAsString()) {
    return Error(grpc::StatusCode::ALREADY_EXISTS, "another plan has this name");
  }
  plan.spec = request->spec();
  reply->set_appended_groups(plan.groups.size());
  reply->set_next_batch(plan.applied);
  reply->set_end_of_plan(plan.end);
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::AppendGroups(grpc::ServerContext*, const AppendGroupsRequest* request,
                                           AppendGroupsReply* reply) {
  absl::MutexLock lock(&mu_);
  Plan& plan = plans_[request->plan()];
  for (int i = 0; i < request->items_size(); ++i) {
    if (request->first_group() + i != plan.groups.size()) continue;  // a repeat
    std::vector<Rollout>& group = plan.groups.emplace_back();
    for (uint32_t sample = 0; sample < plan.spec.samples_per_group(); ++sample) {
      Rollout rollout = sampler_(plan.spec, request->items(i), sample);
      rollout.mutable_key()->set_plan(request->plan());
      rollout.mutable_key()->set_group(request->first_group() + i);
      rollout.mutable_key()->set_sample(sample);
      group.push_back(std::move(rollout));
    }
  }
  plan.end = plan.end || request->end_of_plan();
  reply->set_appended_groups(plan.groups.size());
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::NextBatch(grpc::ServerContext*, const NextBatchRequest* request,
                                        NextBatchReply* reply) {
  absl::MutexLock lock(&mu_);
  const Plan& plan = plans_[request->plan()];
  uint64_t size = plan.spec.groups_per_batch(), first = request->batch() * size;
  uint64_t last = std::min<uint64_t>(first + size, plan.groups.size());
  if (first >= last || (last < first + size && !plan.end)) {
    reply->set_end_of_plan(plan.end && first >= last);
    return grpc::Status::OK;
  }
  reply->mutable_header()->set_plan(request->plan());
  reply->mutable_header()->set_batch(request->batch());
  for (uint64_t group = first; group < last; ++group) {
    for (const Rollout& rollout : plan.groups[group]) {
      RolloutHeader* header = reply->mutable_header()->add_rollouts();
      *header->mutable_key() = rollout.key();
      header->set_reward(rollout.reward());
    }
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::FetchRollouts(grpc::ServerContext*,
                                            const FetchRolloutsRequest* request,
                                            grpc::ServerWriter<FetchRolloutsReply>* writer) {
  absl::MutexLock lock(&mu_);
  for (const RolloutKey& key : request->keys()) {
    FetchRolloutsReply reply;
    *reply.add_rollouts() = plans_[key.plan()].groups.at(key.group()).at(key.sample());
    writer->Write(reply);
  }
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::MarkApplied(grpc::ServerContext*, const MarkAppliedRequest* request,
                                          MarkReply*) {
  absl::MutexLock lock(&mu_);
  Plan& plan = plans_[request->plan()];
  plan.applied = std::max(plan.applied, request->batch() + 1);
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::MarkDurable(grpc::ServerContext*, const MarkDurableRequest*,
                                          MarkReply*) {
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::ClosePlan(grpc::ServerContext*, const ClosePlanRequest*, MarkReply*) {
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::AppendSelection(grpc::ServerContext*,
                                              const AppendSelectionRequest* request, MarkReply*) {
  absl::MutexLock lock(&mu_);
  GetSelectionReply& selection = selections_[request->name()];
  if (request->first_index() > static_cast<uint64_t>(selection.keys_size())) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT, "a gap");
  }
  for (int i = 0; i < request->keys_size(); ++i) {
    int index = static_cast<int>(request->first_index()) + i;
    if (index == selection.keys_size()) *selection.add_keys() = request->keys(i);
    if (selection.keys(index).SerializeAsString() != request->keys(i).SerializeAsString()) {
      return Error(grpc::StatusCode::ALREADY_EXISTS, "another key");
    }
  }
  selection.set_rule(request->rule());
  selection.set_complete(selection.complete() || request->complete());
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::GetSelection(grpc::ServerContext*, const GetSelectionRequest* request,
                                           grpc::ServerWriter<GetSelectionReply>* writer) {
  absl::MutexLock lock(&mu_);
  writer->Write(selections_[request->name()]);
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::PublishWeights(grpc::ServerContext*,
                                             const PublishWeightsRequest* request, MarkReply*) {
  absl::MutexLock lock(&mu_);
  weights_[request->manifest().version()] = request->manifest();
  return grpc::Status::OK;
}

grpc::Status FakeCoordinator::GetStatus(grpc::ServerContext*, const GetStatusRequest*,
                                        GetStatusReply*) {
  return grpc::Status::OK;
}

}  // namespace reckon
