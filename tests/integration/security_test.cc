// Who may do what: every role and every kind of caller that must be refused, against every verb of
// both services; servers that a client must refuse; and the rotation of all files under load. Real
// servers on loopback, certificates by our own library, callers by gRPC alone.
#include "common/net/security.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <atomic>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/model/transfer/fetch.h"
#include "common/model/transfer/server.h"
#include "common/net/certificates.h"
#include "common/net/channel.h"
#include "common/net/permissions.h"
#include "common/net/run_certificates.h"
#include "common/net/secret_file.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "coordinator/service/server.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "proto/weight_source.grpc.pb.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

std::string Read(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

// ---- callers ----

// A verb's path, and a request that the service would obey.
struct Verb {
  std::string path;
  std::string request;
};

// All verbs of both services, from their descriptors. A verb that is not in `requests` is called
// with an empty message.
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

// What a caller shows of itself; Security would refuse to load most of these.
struct Shown {
  std::string authorities;  // that the caller trusts; empty: it speaks plain text
  CertifiedKey own;         // empty: none
  std::string token;        // empty: none
};

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

// Calls a verb with one message and takes the first answer. Any kind of verb can be called so.
grpc::Status CallVerb(const std::shared_ptr<grpc::Channel>& channel, const Verb& verb) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(60));
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

// The answer is the service's own, so the call has reached it.
bool WasServed(const grpc::Status& status) {
  return status.error_code() != grpc::StatusCode::UNAVAILABLE &&
         status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED &&
         status.error_code() != grpc::StatusCode::UNAUTHENTICATED &&
         status.error_code() != grpc::StatusCode::PERMISSION_DENIED;
}

// ---- a run ----

// A coordinator with a plan that has work and a weight version, and a source of weights.
class SecurityTest : public testing::Test {
 protected:
  void SetUp() override {
    testing::internal::CaptureStderr();
    folder_ = temp_.path() + "/security";
    ASSERT_TRUE(WriteCertificates({.run = "ours", .folder = folder_}).ok());
    authority_ = {Read(folder_ + "/authority/ca.crt"), Read(folder_ + "/authority/ca.key")};
    token_ = std::string(absl::StripSuffix(Read(FolderOf(Role::kUser) + "/token"), "\n"));
    coordinator_ = StartCoordinator(Load(Role::kCoordinator), &store_);
    auto source = WeightServer::Start("127.0.0.1:0", Load(Role::kLearner));
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
    learner_ = Stub(Role::kLearner);
    Expect(&Coordinator::Stub::OpenPlan, OpenRequest(MakeSpec("p", 4, 2, 4)));
    Expect(&Coordinator::Stub::AppendGroups, AppendRequest("p", 0, 8));
    Expect(&Coordinator::Stub::PublishWeights, PublishRequest(0));
  }

  // No line that gRPC or we have logged may tell a secret.
  void TearDown() override {
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(absl::StrContains(log, token_));
    EXPECT_FALSE(absl::StrContains(log, "PRIVATE KEY"));
    if (HasFailure()) std::cerr << log;
  }

  std::string FolderOf(Role role) const { return CertificatesOf(folder_, role); }
  std::shared_ptr<const Security> Load(Role role) const {
    auto security = Security::Load(FolderOf(role), role);
    EXPECT_TRUE(security.ok()) << security.status();
    return security.ok() ? *security : Security::PlainText();
  }
  static std::unique_ptr<CoordinatorServer> StartCoordinator(
      std::shared_ptr<const Security> security, Store* store) {
    CoordinatorServer::Options options;
    options.core.run = "ours";
    options.security = std::move(security);
    auto server = CoordinatorServer::Start(store, options);
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }
  std::unique_ptr<Coordinator::Stub> Stub(Role role) const {
    return Coordinator::NewStub(*MakeChannel(coordinator_->address(), Load(role)));
  }
  template <typename Request, typename Reply>
  void Expect(grpc::Status (Coordinator::Stub::*method)(grpc::ClientContext*, const Request&,
                                                        Reply*),
              const Request& request) {
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(60));
    Reply reply;
    const absl::Status status = FromGrpc((learner_.get()->*method)(&context, request, &reply));
    EXPECT_TRUE(status.ok()) << status;
  }
  CertifiedKey Certify(absl::string_view uri, Validity validity = ValidForDays(1)) const {
    auto key = MakeCertificate(authority_, uri, validity);
    EXPECT_TRUE(key.ok()) << key.status();
    return *std::move(key);
  }
  CertifiedKey OfRole(Role role) const { return Certify(*IdentityUri("ours", role)); }
  Shown Right(Role role) const { return {authority_.certificate, OfRole(role), token_}; }
  const std::string& AddressOf(const Verb& verb) const {
    return absl::StrContains(verb.path, "WeightSource") ? source_->address()
                                                        : coordinator_->address();
  }
  // Everything that the coordinator knows, in memory and on disk. Times since something are left
  // out.
  std::string State() {
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(60));
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
  // Requests that would change the state, or read it.
  static std::map<std::string, std::string> Effective() {
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

  const TempFolder temp_;
  std::string folder_, token_;
  CertifiedKey authority_;
  MemoryStore store_;
  std::unique_ptr<CoordinatorServer> coordinator_;
  std::unique_ptr<WeightServer> source_;
  std::unique_ptr<Coordinator::Stub> learner_;
};

// The last kind of caller is the right one: what it may call does change the state, so the same
// requests of the others would have done so.
TEST_F(SecurityTest, EveryRoleAgainstEveryVerbAsEveryKindOfCaller) {
  const CertifiedKey other = *MakeAuthority("other", ValidForDays(1));
  const absl::Time now = absl::Now();
  const std::vector<Verb> verbs = AllVerbs(Effective());
  ASSERT_GE(verbs.size(), 20u);
  const std::string before = State();

  struct Kind {
    std::string name;
    std::function<Shown(Role)> shown;
    grpc::StatusCode code;  // OK: as the table says
  };
  const auto uri = [](Role role) { return *IdentityUri("ours", role); };
  const std::string& trusted = authority_.certificate;
  const auto unavailable = grpc::StatusCode::UNAVAILABLE;
  const auto unauthenticated = grpc::StatusCode::UNAUTHENTICATED;
  const std::vector<Kind> kinds = {
      {"plain text", [&](Role) { return Shown{}; }, unavailable},
      {"no certificate", [&](Role) { return Shown{trusted, {}, token_}; }, unavailable},
      {"another authority's certificate",
       [&](Role role) {
         return Shown{trusted, *MakeCertificate(other, uri(role), ValidForDays(1)), token_};
       },
       unavailable},
      {"an expired certificate",
       [&](Role role) {
         return Shown{trusted, Certify(uri(role), {now - absl::Hours(2), now - absl::Hours(1)}),
                      token_};
       },
       unavailable},
      {"a certificate that is not valid yet",
       [&](Role role) {
         return Shown{trusted, Certify(uri(role), {now + absl::Hours(1), now + absl::Hours(2)}),
                      token_};
       },
       unavailable},
      {"another run's certificate by the same authority",
       [&](Role role) { return Shown{trusted, Certify(*IdentityUri("theirs", role)), token_}; },
       unauthenticated},
      {"a certificate whose name is no role",
       [&](Role role) {
         return Shown{trusted, Certify(absl::StrCat("spiffe://reckon/run/ours/", RoleName(role))),
                      token_};
       },
       unauthenticated},
      {"no token", [&](Role role) { return Shown{trusted, OfRole(role), ""}; }, unauthenticated},
      {"another run's token, or an old one",
       [&](Role role) { return Shown{trusted, OfRole(role), *MakeToken()}; }, unauthenticated},
      {"the token without its last letter",
       [&](Role role) { return Shown{trusted, OfRole(role), token_.substr(0, token_.size() - 1)}; },
       unauthenticated},
      {"right", [&](Role role) { return Right(role); }, grpc::StatusCode::OK},
  };
  int refused = 0, served = 0;
  for (const Kind& kind : kinds) {
    const bool right = kind.code == grpc::StatusCode::OK;
    std::vector<std::pair<Role, Verb>> allowed;
    for (const Role role : kAllRoles) {
      const Shown shown = kind.shown(role);
      std::map<std::string, std::shared_ptr<grpc::Channel>> channels;
      for (const Verb& verb : verbs) {
        if (right && MayCall(role, verb.path)) {
          allowed.emplace_back(role, verb);
          continue;
        }
        auto& channel = channels[AddressOf(verb)];
        if (channel == nullptr) channel = Connect(AddressOf(verb), shown);
        const grpc::Status status = CallVerb(channel, verb);
        EXPECT_EQ(status.error_code(), right ? grpc::StatusCode::PERMISSION_DENIED : kind.code)
            << RoleName(role) << " " << verb.path << " with " << kind.name << ": "
            << status.error_message();
        EXPECT_FALSE(absl::StrContains(status.error_message(), token_));
        EXPECT_FALSE(absl::StrContains(status.error_message(), "PRIVATE KEY"));
        ++refused;
      }
    }
    EXPECT_EQ(State(), before) << kind.name << " has left a trace";
    for (const auto& [role, verb] : allowed) {
      const grpc::Status status = CallVerb(Connect(AddressOf(verb), Right(role)), verb);
      EXPECT_TRUE(WasServed(status))
          << RoleName(role) << " " << verb.path << ": " << status.error_message();
      ++served;
    }
  }
  EXPECT_EQ(refused + served, static_cast<int>(kinds.size() * verbs.size() * std::size(kAllRoles)));
  EXPECT_NE(State(), before) << "the requests must be such as the coordinator obeys";
}

TEST_F(SecurityTest, AVerbThatDoesNotExistIsRefusedToAll) {
  for (const Role role : kAllRoles) {
    const auto channel = Connect(coordinator_->address(), Right(role));
    for (const char* path : {"/reckon.Coordinator/Drop", "/other.Service/Verb", "/"}) {
      EXPECT_EQ(CallVerb(channel, {path, ""}).error_code(), grpc::StatusCode::PERMISSION_DENIED)
          << path;
    }
  }
}

TEST_F(SecurityTest, ServiceAccountsAreMembersOfTheRunOfTheirNamespace) {
  const std::string own = temp_.path() + "/spiffe";
  std::filesystem::copy(FolderOf(Role::kCoordinator), own);
  const std::string namespace_uri = "spiffe://cluster.local/ns/training/sa/";
  const CertifiedKey key = Certify(namespace_uri + "reckon-coordinator");
  ASSERT_TRUE(WriteFileAtomically(own + "/tls.crt", key.certificate).ok());
  ASSERT_TRUE(WriteFileAtomically(own + "/tls.key", key.key).ok());
  std::filesystem::permissions(own + "/tls.key", std::filesystem::perms::owner_read);
  auto security = Security::Load(own, Role::kCoordinator);
  ASSERT_TRUE(security.ok()) << security.status();
  MemoryStore store;
  const auto server = StartCoordinator(*security, &store);
  const Verb status = {"/reckon.Coordinator/GetStatus", ""};
  const auto call = [&](const std::string& uri) {
    return CallVerb(Connect(server->address(), {authority_.certificate, Certify(uri), token_}),
                    status)
        .error_code();
  };
  EXPECT_EQ(call(namespace_uri + "reckon-actor"), grpc::StatusCode::OK);
  EXPECT_EQ(call(namespace_uri + "reckon-coordinator"), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(call(namespace_uri + "default"), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(call("spiffe://cluster.local/ns/other/sa/reckon-actor"),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(call(*IdentityUri("ours", Role::kActor)), grpc::StatusCode::UNAUTHENTICATED);
}

// The newest version of TLS that a client with these limits gets; 0: none.
int NegotiatedTls(const std::string& address, const Shown& shown, int newest) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  // Level 0 lets OpenSSL offer the versions that are refused.
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), newest);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> connection(BIO_new_ssl_connect(context.get()),
                                                                 BIO_free_all);
  SSL* ssl = nullptr;
  BIO_get_ssl(connection.get(), &ssl);
  const auto parse = [](const std::string& pem, auto read) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
    return read(text.get(), nullptr, nullptr, nullptr);
  };
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      parse(shown.own.certificate, PEM_read_bio_X509), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      parse(shown.own.key, PEM_read_bio_PrivateKey), EVP_PKEY_free);
  SSL_use_certificate(ssl, certificate.get());
  SSL_use_PrivateKey(ssl, key.get());
  static const unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl, kHttp2, sizeof(kHttp2));
  BIO_set_conn_hostname(connection.get(), address.c_str());
  return BIO_do_handshake(connection.get()) == 1 ? SSL_version(ssl) : 0;
}

TEST_F(SecurityTest, OldVersionsOfTlsAreRefused) {
  const Shown shown = Right(Role::kActor);
  for (const std::string& address : {coordinator_->address(), source_->address()}) {
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_VERSION), 0);
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_1_VERSION), 0);
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_2_VERSION), TLS1_2_VERSION);
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_3_VERSION), TLS1_3_VERSION);
  }
}

// A server that another part of the run, another run or nobody at all pretends to be.
TEST_F(SecurityTest, AClientTellsItsTokenOnlyToTheServerOfItsService) {
  struct Server {
    std::string uri;  // empty: plain text
    bool same_authority;
    Service asked_as;
    bool good;
  };
  const CertifiedKey other = *MakeAuthority("other", ValidForDays(1));
  const std::string ours = "spiffe://reckon/run/ours/role/";
  const std::vector<Server> servers = {
      {ours + "coordinator", true, Service::kCoordinator, true},
      {ours + "learner", true, Service::kWeightSource, true},
      {ours + "actor", true, Service::kWeightSource, false},
      {ours + "actor", true, Service::kWeightRelay, true},
      {ours + "learner", true, Service::kWeightRelay, false},
      {ours + "user", true, Service::kWeightSource, true},
      {ours + "actor", true, Service::kCoordinator, false},
      {ours + "learner", true, Service::kCoordinator, false},
      {ours + "user", true, Service::kCoordinator, false},
      {ours + "coordinator", true, Service::kWeightSource, false},
      {"spiffe://reckon/run/theirs/role/coordinator", true, Service::kCoordinator, false},
      {"spiffe://reckon/run/theirs/role/learner", true, Service::kWeightSource, false},
      {ours + "coordinator", false, Service::kCoordinator, false},
      {"", false, Service::kCoordinator, false},
  };
  const auto actor = Load(Role::kActor);
  for (const Server& server : servers) {
    // A server that asks nobody for anything, and knows who called it.
    struct Listener : grpc::CallbackGenericService {
      std::atomic<int> calls = 0;
      grpc::ServerGenericBidiReactor* CreateReactor(
          grpc::GenericCallbackServerContext* context) override {
        ++calls;
        return grpc::CallbackGenericService::CreateReactor(context);  // UNIMPLEMENTED
      }
    } listener;
    grpc::ServerBuilder builder;
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    if (!server.uri.empty()) {
      const CertifiedKey own =
          *MakeCertificate(server.same_authority ? authority_ : other, server.uri, ValidForDays(1));
      grpc::experimental::TlsServerCredentialsOptions options(
          std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
              authority_.certificate,
              std::vector<grpc::experimental::IdentityKeyCertPair>{{own.key, own.certificate}}));
      options.watch_root_certs();
      options.watch_identity_key_cert_pairs();
      options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
      credentials = grpc::experimental::TlsServerCredentials(options);
    }
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port);
    builder.RegisterCallbackGenericService(&listener);
    const std::unique_ptr<grpc::Server> running = builder.BuildAndStart();
    const auto channel = *MakeChannel(absl::StrCat("127.0.0.1:", port), actor, server.asked_as);
    const grpc::Status status = CallVerb(channel, {"/reckon.Coordinator/GetStatus", ""});
    EXPECT_EQ(status.error_code(),
              server.good ? grpc::StatusCode::UNIMPLEMENTED : grpc::StatusCode::UNAVAILABLE)
        << server.uri << ": " << status.error_message();
    EXPECT_EQ(listener.calls, server.good ? 1 : 0) << server.uri;
    running->Shutdown();
  }
}

TEST_F(SecurityTest, WeightsComeFromSourcesOfTheRunOnly) {
  WeightManifest manifest = MakeManifest(7);
  *manifest.mutable_sources(0) = source_->address();
  EXPECT_EQ(FetchWeights(manifest, Load(Role::kActor), {}).status().code(),
            absl::StatusCode::kNotFound)
      << "the source's own answer";
  EXPECT_EQ(FetchWeights(manifest, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kUnavailable);
  *manifest.mutable_sources(0) = coordinator_->address();
  EXPECT_EQ(FetchWeights(manifest, Load(Role::kActor), {}).status().code(),
            absl::StatusCode::kUnavailable)
      << "the coordinator is no source of weights";
  *manifest.mutable_sources(0) = "10.0.0.1:7071";
  EXPECT_EQ(FetchWeights(manifest, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// ---- rotation ----

// Leases and submits one sample after the other on one stream, which it opens again when the server
// ends it; counts what did not go as it should.
class OneStreamActor {
 public:
  explicit OneStreamActor(std::unique_ptr<Coordinator::Stub> stub)
      : stub_(std::move(stub)), thread_([this] { Loop(); }) {}
  ~OneStreamActor() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int accepted() const { return accepted_; }
  int streams() const { return streams_; }
  int trouble() const { return trouble_; }

 private:
  void Loop() {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReaderWriter<SubmitRequest, SubmitReply>> stream;
    while (!stop_) {
      grpc::ClientContext call;
      SetDeadline(&call, absl::Seconds(60));
      LeaseRequest request = WantLease("a", 1);
      request.set_wait_ms(50);
      LeaseReply reply;
      if (!stub_->Lease(&call, request, &reply).ok()) ++trouble_;
      for (const Lease& lease : reply.leases()) {
        const SubmitRequest submit =
            SubmitOf("a", lease.id(),
                     MakeRollout(lease.plan(), lease.item().group(), lease.samples(0),
                                 lease.weight_version()));
        SubmitReply acks;
        while (stream == nullptr || !stream->Write(submit) || !stream->Read(&acks)) {
          // The rollout was not taken: it is sent again, as actors do.
          if (stream != nullptr && stream->Finish().error_code() != grpc::StatusCode::UNAVAILABLE) {
            ++trouble_;
          }
          context = std::make_unique<grpc::ClientContext>();
          SetDeadline(context.get(), absl::Minutes(10));
          stream = stub_->Submit(context.get());
          ++streams_;
        }
        for (const SubmitReply::Ack& ack : acks.acks()) {
          ++(ack.outcome() == SubmitReply::Ack::ACCEPTED ? accepted_ : trouble_);
        }
      }
    }
    if (stream == nullptr) return;
    stream->WritesDone();
    if (!stream->Finish().ok()) ++trouble_;
  }

  const std::unique_ptr<Coordinator::Stub> stub_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> accepted_ = 0, streams_ = 0, trouble_ = 0;
  std::thread thread_;
};

TEST_F(SecurityTest, ARotationFailsNoCallAndEndsTheOldAuthorityAndToken) {
  const CertificateOptions options = {.run = "ours", .folder = folder_};
  Expect(&Coordinator::Stub::OpenPlan, OpenRequest(MakeSpec("long", 1, 512, 4)));
  Expect(&Coordinator::Stub::AppendGroups, AppendRequest("long", 0, 2000));
  OneStreamActor actor(Stub(Role::kActor));
  std::atomic<bool> stop = false;
  std::atomic<int> calls = 0, failed = 0;
  std::thread caller([&, stub = Stub(Role::kUser)] {
    while (!stop) {
      grpc::ClientContext context;
      SetDeadline(&context, absl::Seconds(60));
      GetStatusReply reply;
      const grpc::Status status = stub->GetStatus(&context, {}, &reply);
      if (!status.ok()) ADD_FAILURE() << status.error_message();
      failed += !status.ok();
      ++calls;
      absl::SleepFor(absl::Milliseconds(2));
    }
  });
  const Verb get_status = {"/reckon.Coordinator/GetStatus", ""};
  const auto code = [&](const Shown& shown) {
    return CallVerb(Connect(coordinator_->address(), shown), get_status).error_code();
  };
  const auto answers = [&](const Shown& shown, grpc::StatusCode expected) {
    return Await([&] { return code(shown) == expected; }, absl::Seconds(180));
  };
  const auto moves = [&](const auto& count) {
    return Await([&, from = count()] { return count() > from; }, absl::Seconds(180));
  };
  const std::string user = FolderOf(Role::kUser);
  const Shown old = Right(Role::kUser);
  EXPECT_EQ(code(old), grpc::StatusCode::OK);

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kTrust).ok());
  const CertifiedKey next = {Read(folder_ + "/authority/next.crt"),
                             Read(folder_ + "/authority/next.key")};
  const std::string next_token = ParseTokens(Read(user + "/token"))->back();
  Shown fresh = {authority_.certificate + next.certificate,
                 *MakeCertificate(next, *IdentityUri("ours", Role::kUser), ValidForDays(1)),
                 next_token};
  EXPECT_EQ(code(old), grpc::StatusCode::OK);
  EXPECT_TRUE(answers(fresh, grpc::StatusCode::OK)) << "the server trusts the next authority";
  EXPECT_TRUE(moves([&] { return actor.accepted(); }));

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kUse).ok());
  fresh.authorities = next.certificate;  // trusts no other: the server has its new certificate
  EXPECT_TRUE(answers(fresh, grpc::StatusCode::OK));
  EXPECT_EQ(code(old), grpc::StatusCode::UNAVAILABLE) << "it does not know the new authority";
  Shown behind = old;
  behind.authorities += next.certificate;
  EXPECT_EQ(code(behind), grpc::StatusCode::OK) << "those who are late are still members";
  EXPECT_TRUE(moves([&] { return actor.accepted(); }));

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kForget).ok());
  EXPECT_TRUE(answers(behind, grpc::StatusCode::UNAVAILABLE)) << "the old certificate";
  Shown old_token = fresh;
  old_token.token = token_;
  EXPECT_TRUE(answers(old_token, grpc::StatusCode::UNAUTHENTICATED)) << "the old token";
  EXPECT_EQ(code(fresh), grpc::StatusCode::OK);
  const int streams = actor.streams();
  EXPECT_TRUE(moves([&] { return actor.accepted(); }));
  EXPECT_TRUE(moves([&] { return actor.accepted(); }));
  EXPECT_GE(streams, 2) << "a stream ends when what the server trusts has changed";

  stop = true;
  caller.join();
  actor.Stop();
  EXPECT_GT(calls, 10);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(actor.trouble(), 0);
  const auto now = Stub(Role::kUser);
  grpc::ClientContext context;
  GetStatusReply status;
  ASSERT_TRUE(now->GetStatus(&context, {}, &status).ok());
  EXPECT_EQ(status.ledger().accepted(), static_cast<uint64_t>(actor.accepted()));
  EXPECT_EQ(status.ledger().duplicate(), 0u) << "no rollout was taken twice";
}

}  // namespace
}  // namespace reckon
