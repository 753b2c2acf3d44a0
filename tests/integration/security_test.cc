// Who may do what: every role and every kind of caller that must be refused, against every verb of
// both services.
#include "common/net/security.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/support/secured_run.h"

namespace reckon {
namespace {

class SecurityTest : public SecuredRun {};

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

}  // namespace
}  // namespace reckon
