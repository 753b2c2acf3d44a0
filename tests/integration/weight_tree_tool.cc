// reckon-weight-tree: the part of a learner and of an actor that has to do with weights, for
// weight_tree_test.py. A publisher publishes a version of random bytes for each line that it reads,
// and prints "sent BYTES BYTES" for each, fetched from it and broadcast; an actor prints "has
// VERSION" for each that it has fetched.

#include <iostream>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/time/time.h"
#include "actor/weights/weights_client.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
#include "common/model/broadcast/broadcast_receiver.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/server.h"
#include "common/net/channel.h"
#include "learner/publish/broadcaster.h"
#include "proto/coordinator.grpc.pb.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, coordinator, "", "host:port");
ABSL_FLAG(std::string, certificates, "", "folder of the role's certificate");
ABSL_FLAG(std::string, listen, "", "host:port of the weight server");
ABSL_FLAG(std::string, announce, "", "host at which others reach it");
ABSL_FLAG(int, mib, 0, "size of a version, which makes this the publisher");
ABSL_FLAG(bool, broadcast, false, "the publisher also broadcasts its versions");

namespace reckon {
namespace {

Weights MakeVersion(uint64_t version) {
  Weights weights;
  TensorEntry* tensor = weights.manifest.add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("F32");
  tensor->add_shape(int64_t{absl::GetFlag(FLAGS_mib)} << 18);
  CHECK(LayOut(&weights.manifest).ok());
  weights.manifest.set_version(version);
  weights.bytes = *WeightBytes::OfSize(weights.manifest.total_bytes());
  auto* words = reinterpret_cast<uint32_t*>(weights.bytes->data());
  const CounterRng rng(version);
  for (int64_t i = 0; i < tensor->shape(0); ++i) words[i] = static_cast<uint32_t>(rng.Bits(i));
  Digest(weights.bytes->bytes(), &weights.manifest);
  return weights;
}

// `broadcaster` null: versions are fetched.
absl::Status Publish(Coordinator::Stub* stub, WeightServer* server, Broadcaster* broadcaster) {
  BeginTermRequest begin;
  begin.set_learner("publisher");
  begin.set_world_size(1);
  begin.set_nonce("n");
  BeginTermReply term;
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(10));
  RETURN_IF_ERROR(FromGrpc(stub->BeginTerm(&context, begin, &term)));
  std::string line;
  for (uint64_t version = 0; std::getline(std::cin, line); ++version) {
    Weights weights = MakeVersion(version);
    weights.manifest.set_term(term.term());
    weights.manifest.add_sources(server->address());
    PublishWeightsRequest request;
    *request.mutable_manifest() = weights.manifest;
    if (broadcaster != nullptr) broadcaster->Begin(version, weights);
    server->Add(version, std::move(weights));
    MarkReply reply;
    grpc::ClientContext call;
    SetDeadline(&call, absl::Seconds(10));
    std::cout << "publishes " << version << std::endl;
    RETURN_IF_ERROR(FromGrpc(stub->PublishWeights(&call, request, &reply)));
    std::getline(std::cin, line);  // when all actors have it
    const uint64_t broadcast = broadcaster == nullptr ? 0 : broadcaster->bytes_sent();
    std::cout << "sent " << server->bytes_sent() << " " << broadcast << std::endl;
  }
  return absl::OkStatus();
}

absl::Status Run() {
  const bool publishes = absl::GetFlag(FLAGS_mib) > 0;
  ASSIGN_OR_RETURN(const auto security, Security::Load(absl::GetFlag(FLAGS_certificates),
                                                       publishes ? Role::kLearner : Role::kActor));
  if (absl::GetFlag(FLAGS_listen).empty()) return absl::InvalidArgumentError("--listen is missing");
  ASSIGN_OR_RETURN(const auto channel, MakeChannel(absl::GetFlag(FLAGS_coordinator), security));
  const std::unique_ptr<Coordinator::Stub> stub = Coordinator::NewStub(channel);
  std::unique_ptr<Broadcaster> broadcaster;
  if (absl::GetFlag(FLAGS_broadcast)) {
    broadcaster =
        std::make_unique<Broadcaster>(BroadcasterOptions{.host = absl::GetFlag(FLAGS_announce)});
  }
  ASSIGN_OR_RETURN(
      std::unique_ptr<WeightServer> server,
      WeightServer::Start(absl::GetFlag(FLAGS_listen), security, absl::GetFlag(FLAGS_announce),
                          broadcaster == nullptr ? nullptr : broadcaster->meeting()));
  if (publishes) {
    const absl::Status status = Publish(stub.get(), server.get(), broadcaster.get());
    if (broadcaster != nullptr) broadcaster->meeting()->End();
    return status;
  }
  std::stop_source stop;
  StopOnSignals(stop);
  BroadcastReceiver receiver({.member = server->address(), .security = security});
  WeightsClientOptions options;
  options.receive = [&](const WeightManifest& manifest, char* buffer, const std::stop_token& token,
                        const std::function<void(uint64_t)>& good) {
    receiver.Receive(manifest, buffer, token, good);
  };
  WeightsClient client(stub.get(), security, [] {}, std::move(server), std::move(options));
  while (!stop.stop_requested()) {
    const auto fetched = client.TakeFetched();
    if (fetched.has_value()) {
      std::cout << "has " << fetched->version << " " << fetched->weights.status() << std::endl;
    }
    WaitForStop(stop.get_token(), absl::Milliseconds(2));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  reckon::InitLogging(argv[0]);
  const absl::Status status = reckon::Run();
  if (!status.ok()) std::cerr << status << std::endl;
  return status.ok() ? 0 : 1;
}
