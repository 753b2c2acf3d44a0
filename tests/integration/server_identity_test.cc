// What a client demands of a server: a version of TLS, and the role of its service in the same run.
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "common/model/transfer/fetch.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "tests/support/core_harness.h"
#include "tests/support/secured_run.h"

namespace reckon {
namespace {

class ServerIdentityTest : public SecuredRun {};

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

TEST_F(ServerIdentityTest, OldVersionsOfTlsAreRefused) {
  const Shown shown = Right(Role::kActor);
  for (const std::string& address : {coordinator_->address(), source_->address()}) {
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_VERSION), 0);
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_1_VERSION), 0);
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_2_VERSION), TLS1_2_VERSION);
    EXPECT_EQ(NegotiatedTls(address, shown, TLS1_3_VERSION), TLS1_3_VERSION);
  }
}

// A server that another part of the run, another run or nobody at all pretends to be.
TEST_F(ServerIdentityTest, AClientTellsItsTokenOnlyToTheServerOfItsService) {
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

TEST_F(ServerIdentityTest, WeightsComeFromSourcesOfTheRunOnly) {
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

}  // namespace
}  // namespace reckon
