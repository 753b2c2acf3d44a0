#include "common/net/security.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "common/base/files.h"
#include "common/net/certificates.h"
#include "common/net/channel.h"
#include "common/net/run_certificates.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

TEST(PlainTextTest, IsForLoopbackOnly) {
  const auto plain = Security::PlainText();
  EXPECT_TRUE(plain->is_plain_text());
  for (const char* host : {"127.0.0.1", "127.8.9.1", "::1", "localhost"}) {
    EXPECT_TRUE(plain->ForServer({host, 1}).ok()) << host;
    EXPECT_TRUE(plain->ForChannel({host, 1}, Service::kCoordinator).ok()) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "node-1", "::ffff:10.0.0.1", "fe80::1",
                           "127.0.0.1.example.org", "localhost.example.org", "2130706433"}) {
    const absl::Status status = plain->ForServer({host, 1}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << host;
    EXPECT_TRUE(absl::StrContains(status.message(), "--certificates"));
    EXPECT_EQ(plain->ForChannel({host, 1}, Service::kWeightSource).status().code(),
              absl::StatusCode::kFailedPrecondition)
        << host;
  }
  EXPECT_EQ(MakeChannel("10.0.0.1:70", plain).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MakeChannel("dns:///127.0.0.1:70", plain).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeChannel("unix:/tmp/x:70", plain).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*Security::Load("", Role::kActor), plain);
}

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = temp_.path() + "/load";
    ASSERT_TRUE(WriteCertificates({.run = "r1", .folder = folder_}).ok());
    actor_ = CertificatesOf(folder_, Role::kActor);
  }
  // The status of loading, which must be one line that does not tell a secret.
  absl::Status Load(Role role = Role::kActor) {
    const auto security = Security::Load(actor_, role);
    const absl::string_view message = security.status().message();
    EXPECT_FALSE(absl::StrContains(message, "\n")) << message;
    EXPECT_FALSE(absl::StrContains(message, "PRIVATE KEY")) << message;
    return security.status();
  }
  const TempFolder temp_;
  std::string folder_, actor_;
};

TEST_F(LoadTest, AllAddressesMayBeUsed) {
  const auto security = Security::Load(actor_, Role::kActor);
  ASSERT_TRUE(security.ok()) << security.status();
  EXPECT_FALSE((*security)->is_plain_text());
  EXPECT_TRUE((*security)->ForServer({"0.0.0.0", 0}).ok());
  EXPECT_TRUE((*security)->ForChannel({"10.0.0.1", 1}, Service::kCoordinator).ok());
}

TEST_F(LoadTest, EveryFileIsNeeded) {
  for (const char* name : {"ca.crt", "tls.crt", "tls.key", "token"}) {
    const std::string path = actor_ + "/" + name;
    std::filesystem::rename(path, path + ".away");
    EXPECT_EQ(Load().code(), absl::StatusCode::kNotFound);
    EXPECT_TRUE(absl::StrContains(Load().message(), path)) << Load();
    std::filesystem::rename(path + ".away", path);
    EXPECT_TRUE(Load().ok());
  }
}

TEST_F(LoadTest, OthersMustNotReadKeyAndToken) {
  for (const char* name : {"tls.key", "token"}) {
    const std::string path = actor_ + "/" + name;
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    EXPECT_EQ(Load().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_TRUE(absl::StrContains(Load().message(), "chmod 0600 " + path)) << Load();
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  }
}

TEST_F(LoadTest, TheCertificateMustBeOfTheProgramsRole) {
  EXPECT_EQ(Load(Role::kLearner).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(Load(Role::kLearner).message(), "its role is 'actor'"));
}

TEST_F(LoadTest, WhatDoesNotBelongTogetherIsRefused) {
  const std::string learner = CertificatesOf(folder_, Role::kLearner);
  std::filesystem::copy_file(learner + "/tls.key", actor_ + "/tls.key",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(absl::StrContains(Load().message(), "does not belong")) << Load();
  const CertifiedKey other = *MakeAuthority("other", ValidForDays(1));
  ASSERT_TRUE(WriteFileAtomically(learner + "/ca.crt", other.certificate).ok());
  actor_ = learner;
  EXPECT_TRUE(absl::StrContains(Load(Role::kLearner).message(), "no authority")) << Load();
}

TEST_F(LoadTest, AnExpiredCertificateIsRefused) {
  const CertifiedKey authority = {*ReadFile(folder_ + "/authority/ca.crt"),
                                  *ReadFile(folder_ + "/authority/ca.key")};
  const absl::Time now = absl::Now();
  const CertifiedKey old = *MakeCertificate(authority, *IdentityUri("r1", Role::kActor),
                                            {now - absl::Hours(2), now - absl::Hours(1)});
  ASSERT_TRUE(WriteFileAtomically(actor_ + "/tls.crt", old.certificate).ok());
  ASSERT_TRUE(WriteFileAtomically(actor_ + "/tls.key", old.key).ok());
  ASSERT_EQ(chmod((actor_ + "/tls.key").c_str(), 0600), 0);
  EXPECT_TRUE(absl::StrContains(Load().message(), "has expired on")) << Load();
}

TEST_F(LoadTest, ATokenThatIsTooShortIsRefusedAndNotQuoted) {
  ASSERT_TRUE(WriteFileAtomically(actor_ + "/token", "hunter2").ok());
  ASSERT_EQ(chmod((actor_ + "/token").c_str(), 0600), 0);
  EXPECT_EQ(Load().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(absl::StrContains(Load().message(), "hunter2"));
}

}  // namespace
}  // namespace reckon
