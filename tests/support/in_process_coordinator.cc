#include "tests/support/in_process_coordinator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/model/files/manifest.h"
#include "common/net/channel.h"
// Last.
#include "common/testing/await.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

template <typename Request, typename Reply>
Reply Call(Coordinator::Stub* stub,
           grpc::Status (Coordinator::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
           const Request& request) {
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  context.set_wait_for_ready(true);
  Reply reply;
  const absl::Status status = FromGrpc((stub->*method)(&context, request, &reply));
  CHECK(status.ok()) << status;
  return reply;
}

}  // namespace

InProcessCoordinator::InProcessCoordinator(CoreOptions core) : core_(std::move(core)) {
  if (core_.run.empty()) core_.run = "test";
  Start();
  stub_ = Coordinator::NewStub(*MakeChannel(address_, Security::PlainText()));
}

InProcessCoordinator::~InProcessCoordinator() { Stop(); }

void InProcessCoordinator::Stop() { server_ = nullptr; }

void InProcessCoordinator::Start() {
  CoordinatorServer::Options options;
  options.core = core_;
  options.listen = address_;
  absl::StatusOr<std::unique_ptr<CoordinatorServer>> server =
      CoordinatorServer::Start(&store_, std::move(options));
  CHECK(server.ok()) << server.status();
  server_ = *std::move(server);
  address_ = server_->address();
}

std::shared_ptr<Coordinator::StubInterface> InProcessCoordinator::NewStub() {
  return Coordinator::NewStub(faults_.NewChannel(address_));
}

uint64_t InProcessCoordinator::BeginTerm() {
  BeginTermRequest request;
  request.set_learner("test");
  request.set_world_size(1);
  request.set_nonce(absl::StrCat("test ", status().term()));
  return Call(stub_.get(), &Coordinator::Stub::BeginTerm, request).term();
}

void InProcessCoordinator::Publish(WeightManifest manifest) {
  manifest.set_term(status().term());
  if (manifest.has_texts()) manifest.set_texts_sha256(TextsDigest(manifest.texts()));
  PublishWeightsRequest request;
  *request.mutable_manifest() = std::move(manifest);
  Call(stub_.get(), &Coordinator::Stub::PublishWeights, request);
}

void InProcessCoordinator::AddPlan(const PlanSpec& spec, std::vector<WorkItem> items) {
  OpenPlanRequest open;
  *open.mutable_spec() = spec;
  open.set_term(status().term());
  Call(stub_.get(), &Coordinator::Stub::OpenPlan, open);
  AppendGroupsRequest append;
  append.set_plan(spec.name());
  append.set_term(open.term());
  append.set_end_of_plan(true);
  for (uint64_t group = 0; group < items.size(); ++group) {
    *append.add_items() = std::move(items[group]);
    append.mutable_items()->rbegin()->set_group(group);
  }
  Call(stub_.get(), &Coordinator::Stub::AppendGroups, append);
}

void InProcessCoordinator::ClosePlan(const std::string& plan) {
  ClosePlanRequest request;
  request.set_plan(plan);
  request.set_term(status().term());
  Call(stub_.get(), &Coordinator::Stub::ClosePlan, request);
}

std::vector<Lease> InProcessCoordinator::LeaseWork(const std::string& actor, uint32_t max_samples) {
  LeaseRequest request;
  request.set_actor(actor);
  request.set_max_samples(max_samples);
  const LeaseReply reply = Call(stub_.get(), &Coordinator::Stub::Lease, request);
  return {reply.leases().begin(), reply.leases().end()};
}

GetStatusReply InProcessCoordinator::status() {
  return Call(stub_.get(), &Coordinator::Stub::GetStatus, GetStatusRequest());
}

std::map<std::string, PlanSpec> InProcessCoordinator::plans() const {
  std::map<std::string, PlanSpec> plans;
  for (const auto& request : faults_.answered<OpenPlanRequest>("OpenPlan")) {
    plans[request.spec().name()] = request.spec();
  }
  return plans;
}

std::map<uint64_t, WeightManifest> InProcessCoordinator::weights() const {
  std::map<uint64_t, WeightManifest> weights;
  for (const auto& request : faults_.answered<PublishWeightsRequest>("PublishWeights")) {
    weights[request.manifest().version()] = request.manifest();
  }
  return weights;
}

std::map<std::string, GetSelectionReply> InProcessCoordinator::selections() {
  std::map<std::string, GetSelectionReply> selections;
  for (const auto& append : faults_.answered<AppendSelectionRequest>("AppendSelection")) {
    selections[append.name()].Clear();
  }
  for (auto& [name, selection] : selections) {
    GetSelectionRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    auto reader = stub_->GetSelection(&context, request);
    for (GetSelectionReply part; reader->Read(&part);) {
      const bool complete = part.complete();
      selection.MergeFrom(part);
      selection.set_complete(complete);
    }
    const absl::Status status = FromGrpc(reader->Finish());
    CHECK(status.ok()) << status;
  }
  return selections;
}

int InProcessCoordinator::renewals(uint64_t lease) const {
  int renewals = 0;
  for (const auto& request : faults_.answered<RenewLeasesRequest>("RenewLeases")) {
    for (uint64_t renewed : request.leases()) renewals += renewed == lease;
  }
  return renewals;
}

std::map<uint64_t, std::string> InProcessCoordinator::returned() const {
  std::map<uint64_t, std::string> returned;
  for (const auto& request : faults_.answered<ReturnLeasesRequest>("ReturnLeases")) {
    for (uint64_t lease : request.leases()) returned[lease] = request.error();
  }
  return returned;
}

}  // namespace reckon
