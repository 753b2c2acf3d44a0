#include "common/net/security.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/net/certificates.h"
#include "common/net/permissions.h"
#include "common/net/secret_file.h"
#include "grpcpp/security/auth_metadata_processor.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_certificate_verifier.h"
#include "grpcpp/security/tls_credentials_options.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::TlsCustomVerificationCheckRequest;

constexpr size_t kMaxTokenFileBytes = 4096;
constexpr unsigned kRereadSeconds = 1;
constexpr char kTokenHeader[] = "authorization";
constexpr char kTokenPrefix[] = "Bearer ";

absl::Status Named(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, ReadSecretFile(path, kMaxTokenFileBytes));
  if (const absl::Status status = ParseTokens(text).status(); !status.ok()) {
    return Named(path, status);
  }
  return text;
}

absl::StatusOr<std::string> ReadAuthorities(const std::string& path) {
  return ReadFile(path, kMaxPemBytes);
}

absl::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

bool MayServe(Role role, Service service) {
  switch (service) {
    case Service::kCoordinator:
      return role == Role::kCoordinator;
    case Service::kWeightSource:
      return role == Role::kLearner || role == Role::kUser;
    case Service::kWeightRelay:
      return role == Role::kActor;
    case Service::kReward:
      return role == Role::kUser;
  }
  return false;
}

// Whether the only URI in a peer's certificate is an identity of that run.
absl::StatusOr<Identity> IdentityOf(const std::vector<grpc::string_ref>& uris,
                                    const std::string& run) {
  if (uris.size() != 1) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate has ", uris.size(), " URIs among its names, not one"));
  }
  absl::StatusOr<Identity> identity = ParseIdentity(View(uris.front()));
  if (!identity.ok()) return absl::UnauthenticatedError(identity.status().message());
  if (identity->run != run) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate is of ", identity->run, ", not of this run, ", run));
  }
  return identity;
}

absl::Status RequireLoopback(const HostPort& address, absl::string_view doing) {
  if (address.is_loopback()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(doing, " ", address.ToString(),
                   " needs --certificates: plain text is for loopback only (see `reckon certs`)"));
}

}  // namespace

// What was read from the folder, shared by all channels and servers.
struct Security::Files {
  Identity own;
  std::shared_ptr<FileWatcherCertificateProvider> provider;
  std::unique_ptr<WatchedFile> tokens, authorities;
};

// Adds the token to each call of a channel.
class Security::TokenSender : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenSender(std::shared_ptr<Files> files) : files_(std::move(files)) {}

  bool IsBlocking() const override { return false; }
  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    const auto tokens = ParseTokens(files_->tokens->Get(absl::Now()).text);
    metadata->emplace(kTokenHeader, absl::StrCat(kTokenPrefix, tokens->front()));
    return grpc::Status::OK;
  }

 private:
  const std::shared_ptr<Files> files_;
};

// What a server asks of each call before its service sees it.
class Security::CallCheck : public grpc::AuthMetadataProcessor {
 public:
  explicit CallCheck(std::shared_ptr<Files> files) : files_(std::move(files)) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* peer,
                       OutputMetadata* consumed, OutputMetadata*) override {
    const absl::StatusOr<Identity> caller =
        IdentityOf(peer->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME), files_->own.run);
    if (!caller.ok()) return Refuse(grpc::StatusCode::UNAUTHENTICATED, caller.status().message());
    // A service must not see the token, nor write it into a log.
    for (auto [token, end] = metadata.equal_range(kTokenHeader); token != end; ++token) {
      consumed->emplace(kTokenHeader, std::string(View(token->second)));
    }
    if (!HasToken(metadata)) {
      return Refuse(grpc::StatusCode::UNAUTHENTICATED, "the token is not one of this run's");
    }
    const auto path = metadata.find(":path");
    const absl::string_view method = path == metadata.end() ? "" : View(path->second);
    if (!MayCall(caller->role, method)) {
      return Refuse(
          grpc::StatusCode::PERMISSION_DENIED,
          absl::StrCat("the role '", RoleName(caller->role), "' may not call ", Printable(method)));
    }
    return grpc::Status::OK;
  }

 private:
  static grpc::Status Refuse(grpc::StatusCode code, absl::string_view why) {
    return grpc::Status(code, std::string(why));
  }

  bool HasToken(const InputMetadata& metadata) const {
    if (metadata.count(kTokenHeader) != 1) return false;
    absl::string_view sent = View(metadata.find(kTokenHeader)->second);
    if (!absl::ConsumePrefix(&sent, kTokenPrefix)) return false;
    bool found = false;
    const auto tokens = ParseTokens(files_->tokens->Get(absl::Now()).text);
    // Without a break: the time must not say which token it was.
    for (const std::string& token : *tokens) found |= EqualInConstantTime(sent, token);
    return found;
  }

  const std::shared_ptr<Files> files_;
};

// What a client asks of a server, after TLS has found that an authority vouches for it.
class Security::ServerCheck : public ExternalCertificateVerifier {
 public:
  ServerCheck(std::string run, Service service) : run_(std::move(run)), service_(service) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    const absl::StatusOr<Identity> server = IdentityOf(request->uri_names(), run_);
    if (!server.ok()) {
      *status =
          grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(server.status().message()));
    } else if (!MayServe(server->role, service_)) {
      *status = grpc::Status(
          grpc::StatusCode::UNAUTHENTICATED,
          absl::StrCat("the server has the role '", RoleName(server->role), "', which may not ",
                       service_ == Service::kCoordinator ? "be the coordinator"
                       : service_ == Service::kReward    ? "be a reward"
                                                         : "serve weights"));
    }
    return true;  // decided at once
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string run_;
  const Service service_;
};

std::shared_ptr<const Security> Security::PlainText() {
  static const auto& plain = *new std::shared_ptr<const Security>(new Security(nullptr));
  return plain;
}

absl::StatusOr<std::shared_ptr<const Security>> Security::Load(const std::string& folder,
                                                               Role role) {
  if (folder.empty()) return PlainText();
  const std::string ca = folder + "/ca.crt", certificate = folder + "/tls.crt",
                    key = folder + "/tls.key", token = folder + "/token";
  auto files = std::make_shared<Files>();
  ASSIGN_OR_RETURN(files->authorities, WatchedFile::Open(ca, ReadAuthorities));
  ASSIGN_OR_RETURN(files->tokens, WatchedFile::Open(token, ReadTokenFile));
  CertifiedKey own;
  ASSIGN_OR_RETURN(own.certificate, ReadFile(certificate, kMaxPemBytes));
  ASSIGN_OR_RETURN(own.key, ReadSecretFile(key, kMaxPemBytes));
  const absl::Time now = absl::Now();
  absl::Status sound = CheckCertifiedKey(own, files->authorities->Get(now).text, now);
  if (!sound.ok()) return Named(certificate, sound);
  const absl::StatusOr<std::string> uri = CertificateUri(own.certificate);
  if (!uri.ok()) return Named(certificate, uri.status());
  const absl::StatusOr<Identity> identity = ParseIdentity(*uri);
  if (!identity.ok()) return Named(certificate, identity.status());
  if (identity->role != role) {
    return absl::InvalidArgumentError(
        absl::StrCat(certificate, ": its role is '", RoleName(identity->role),
                     "'; this program needs a certificate of the role '", RoleName(role), "'"));
  }
  files->own = *identity;
  files->provider =
      std::make_shared<FileWatcherCertificateProvider>(key, certificate, ca, kRereadSeconds);
  return std::shared_ptr<const Security>(new Security(std::move(files)));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Security::ForChannel(
    const HostPort& peer, Service service) const {
  if (is_plain_text()) {
    RETURN_IF_ERROR(RequireLoopback(peer, "connecting to"));
    return grpc::InsecureChannelCredentials();
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(files_->provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  // Certificates name roles, not hosts: ServerCheck takes the place of the check of the host.
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      ExternalCertificateVerifier::Create<ServerCheck>(files_->own.run, service));
  return grpc::CompositeChannelCredentials(
      grpc::experimental::TlsCredentials(options),
      grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenSender>(files_)));
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Security::ForServer(
    const HostPort& listen) const {
  if (is_plain_text()) {
    RETURN_IF_ERROR(RequireLoopback(listen, "listening on"));
    return grpc::InsecureServerCredentials();
  }
  grpc::experimental::TlsServerCredentialsOptions options(files_->provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::experimental::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<CallCheck>(files_));
  return credentials;
}

uint64_t Security::changes() const {
  if (is_plain_text()) return 0;
  const absl::Time now = absl::Now();
  return files_->tokens->Get(now).changes + files_->authorities->Get(now).changes;
}

}  // namespace reckon
