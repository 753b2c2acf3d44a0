#ifndef RECKON_TESTS_SUPPORT_SECURED_RUN_H_
#define RECKON_TESTS_SUPPORT_SECURED_RUN_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "common/model/transfer/server.h"
#include "common/net/certificates.h"
#include "common/net/channel.h"
#include "common/net/permissions.h"
#include "common/net/run_certificates.h"
#include "common/net/security.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "coordinator/service/server.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/support/memory_store.h"

namespace reckon {

// For tests of who may do what: a run whose servers demand certificates and a token, and callers
// that show whatever a test wants. Real servers on loopback, certificates by our own library,
// callers by gRPC alone.

// A verb's path, and a request that the service would obey.
struct Verb {
  std::string path;
  std::string request;
};

// All verbs of both services, from their descriptors. A verb that is not in `requests` is called
// with an empty message.
std::vector<Verb> AllVerbs(const std::map<std::string, std::string>& requests);

// What a caller shows of itself; Security would refuse to load most of these.
struct Shown {
  std::string authorities;  // that the caller trusts; empty: it speaks plain text
  CertifiedKey own;         // empty: none
  std::string token;        // empty: none
};

std::shared_ptr<grpc::Channel> Connect(const std::string& address, const Shown& shown);

// Calls a verb with one message and takes the first answer. Any kind of verb can be called so.
grpc::Status CallVerb(const std::shared_ptr<grpc::Channel>& channel, const Verb& verb);

// The answer is the service's own, so the call has reached it.
bool WasServed(const grpc::Status& status);

// The content of a file; a failure of the test if there is none.
std::string ReadOrFail(const std::string& path);

// A coordinator with a plan that has work and a weight version, and a source of weights.
class SecuredRun : public testing::Test {
 protected:
  void SetUp() override;

  // No line that gRPC or we have logged may tell a secret.
  void TearDown() override;

  std::string FolderOf(Role role) const { return CertificatesOf(folder_, role); }
  std::shared_ptr<const Security> Load(Role role) const;
  static std::unique_ptr<CoordinatorServer> StartCoordinator(
      std::shared_ptr<const Security> security, Store* store);
  std::unique_ptr<Coordinator::Stub> Stub(Role role) const {
    return Coordinator::NewStub(*MakeChannel(coordinator_->address(), Load(role)));
  }
  template <typename Request, typename Reply>
  void Expect(grpc::Status (Coordinator::Stub::*method)(grpc::ClientContext*, const Request&,
                                                        Reply*),
              const Request& request) {
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    Reply reply;
    const absl::Status status = FromGrpc((learner_.get()->*method)(&context, request, &reply));
    EXPECT_TRUE(status.ok()) << status;
  }
  CertifiedKey Certify(absl::string_view uri, Validity validity = ValidForDays(1)) const;
  CertifiedKey OfRole(Role role) const { return Certify(*IdentityUri("ours", role)); }
  Shown Right(Role role) const { return {authority_.certificate, OfRole(role), token_}; }
  const std::string& AddressOf(const Verb& verb) const {
    return absl::StrContains(verb.path, "WeightSource") ? source_->address()
                                                        : coordinator_->address();
  }
  // Everything that the coordinator knows, in memory and on disk. Times since something are left
  // out.
  std::string State();
  // Requests that would change the state, or read it.
  static std::map<std::string, std::string> Effective();

  const TempFolder temp_;
  std::string folder_, token_;
  CertifiedKey authority_;
  MemoryStore store_;
  std::unique_ptr<CoordinatorServer> coordinator_;
  std::unique_ptr<WeightServer> source_;
  std::unique_ptr<Coordinator::Stub> learner_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_SECURED_RUN_H_
