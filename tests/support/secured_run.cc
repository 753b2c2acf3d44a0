#include "tests/support/secured_run.h"

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/testing/await.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "proto/weight_source.grpc.pb.h"
#include "tests/support/core_harness.h"

namespace reckon {
namespace {

class SendToken : public grpc::MetadataCredentialsPlugin {
 public:
  explicit SendToken(std::string token) : token_(std::move(token)) {}
  bool IsBlocking() const override { return false; }
  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    metadata->emplace("authorization", "Bearer " + token_);
    return grpc::Status::OK;
  }

 private:
  const std::string token_;
};

}  // namespace

std::vector<Verb> AllVerbs(const std::map<std::string, std::string>& requests) {
  std::vector<Verb> verbs;
  for (const auto* table :
       {&::descriptor_table_coordinator_2eproto, &::descriptor_table_weight_5fsource_2eproto}) {
    const google::protobuf::FileDescriptor* file =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(table->filename);
    for (int s = 0; s < file->service_count(); ++s) {
      for (int i = 0; i < file->service(s)->method_count(); ++i) {
        const std::string& name = file->service(s)->method(i)->name();
        const auto request = requests.find(name);
        verbs.push_back({absl::StrCat("/", file->service(s)->full_name(), "/", name),
                         request == requests.end() ? "" : request->second});
      }
    }
  }
  return verbs;
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address, const Shown& shown) {
  if (shown.authorities.empty()) {
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                     ClientArguments());
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  std::vector<grpc::experimental::IdentityKeyCertPair> own;
  if (!shown.own.key.empty()) own.push_back({shown.own.key, shown.own.certificate});
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::StaticDataCertificateProvider>(shown.authorities, own));
  options.watch_root_certs();
  if (!own.empty()) options.watch_identity_key_cert_pairs();
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  auto credentials = grpc::experimental::TlsCredentials(options);
  if (!shown.token.empty()) {
    credentials = grpc::CompositeChannelCredentials(
        credentials, grpc::MetadataCredentialsFromPlugin(std::make_unique<SendToken>(shown.token)));
  }
  return grpc::CreateCustomChannel(address, credentials, ClientArguments());
}

grpc::Status CallVerb(const std::shared_ptr<grpc::Channel>& channel, const Verb& verb) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  grpc::CompletionQueue queue;
  const grpc::Slice slice(verb.request);
  const grpc::ByteBuffer request(&slice, 1);
  auto call = stub.PrepareUnaryCall(&context, verb.path, request, &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  return status;
}

bool WasServed(const grpc::Status& status) {
  return status.error_code() != grpc::StatusCode::UNAVAILABLE &&
         status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED &&
         status.error_code() != grpc::StatusCode::UNAUTHENTICATED &&
         status.error_code() != grpc::StatusCode::PERMISSION_DENIED;
}

std::string ReadOrFail(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

void SecuredRun::SetUp() {
  testing::internal::CaptureStderr();
  folder_ = temp_.path() + "/security";
  ASSERT_TRUE(WriteCertificates({.run = "ours", .folder = folder_}).ok());
  authority_ = {ReadOrFail(folder_ + "/authority/ca.crt"),
                ReadOrFail(folder_ + "/authority/ca.key")};
  token_ = std::string(absl::StripSuffix(ReadOrFail(FolderOf(Role::kUser) + "/token"), "\n"));
  coordinator_ = StartCoordinator(Load(Role::kCoordinator), &store_);
  auto source = WeightServer::Start("127.0.0.1:0", Load(Role::kLearner));
  ASSERT_TRUE(source.ok()) << source.status();
  source_ = *std::move(source);
  learner_ = Stub(Role::kLearner);
  Expect(&Coordinator::Stub::OpenPlan, OpenRequest(MakeSpec("p", 4, 2, 4)));
  Expect(&Coordinator::Stub::AppendGroups, AppendRequest("p", 0, 8));
  Expect(&Coordinator::Stub::PublishWeights, PublishRequest(0));
}

void SecuredRun::TearDown() {
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_FALSE(absl::StrContains(log, token_));
  EXPECT_FALSE(absl::StrContains(log, "PRIVATE KEY"));
  if (HasFailure()) std::cerr << log;
}

std::shared_ptr<const Security> SecuredRun::Load(Role role) const {
  auto security = Security::Load(FolderOf(role), role);
  EXPECT_TRUE(security.ok()) << security.status();
  return security.ok() ? *security : Security::PlainText();
}

std::unique_ptr<CoordinatorServer> SecuredRun::StartCoordinator(
    std::shared_ptr<const Security> security, Store* store) {
  CoordinatorServer::Options options;
  options.core.run = "ours";
  options.security = std::move(security);
  auto server = CoordinatorServer::Start(store, options);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

CertifiedKey SecuredRun::Certify(absl::string_view uri, Validity validity) const {
  auto key = MakeCertificate(authority_, uri, validity);
  EXPECT_TRUE(key.ok()) << key.status();
  return *std::move(key);
}

std::string SecuredRun::State() {
  grpc::ClientContext context;
  SetDeadline(&context, kPatience);
  GetStatusReply status;
  EXPECT_TRUE(learner_->GetStatus(&context, {}, &status).ok());
  for (ActorStatus& actor : *status.mutable_actors()) actor.clear_idle_ms();
  std::string state = status.DebugString();
  EXPECT_TRUE(store_
                  .Scan("", "",
                        [&](absl::string_view key, absl::string_view value) {
                          absl::StrAppend(&state, key, "=", value, "\n");
                          return true;
                        })
                  .ok());
  return state;
}

std::map<std::string, std::string> SecuredRun::Effective() {
  std::map<std::string, std::string> requests;
  const auto add = [&](const std::string& verb, const google::protobuf::Message& request) {
    requests[verb] = request.SerializeAsString();
  };
  add("OpenPlan", OpenRequest(MakeSpec("q", 1, 1)));
  add("AppendGroups", AppendRequest("p", 8, 1));
  add("NextBatch", BatchRequest("p", 0));
  add("Lease", WantLease("rogue", 1));
  RenewLeasesRequest renew;
  renew.set_actor("rogue");
  add("RenewLeases", renew);
  ReturnLeasesRequest give;
  give.set_actor("rogue");
  add("ReturnLeases", give);
  add("Submit", SubmitOf("rogue", 1, MakeRollout("p", 0, 0, 0)));
  AppendSelectionRequest selection;
  selection.set_name("s");
  selection.set_rule("all");
  add("AppendSelection", selection);
  add("PublishWeights", PublishRequest(1));
  BeginTermRequest begin;
  begin.set_learner("rogue");
  begin.set_world_size(1);
  begin.set_nonce("n");
  add("BeginTerm", begin);
  RendezvousRequest set;
  set.set_op(RendezvousRequest::SET);
  set.add_keys("k");
  set.set_value("v");
  add("Rendezvous", set);
  ClosePlanRequest close;
  close.set_plan("p");
  add("ClosePlan", close);
  return requests;
}

}  // namespace reckon
