#include "common/net/certificates.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/net/run_certificates.h"
#include "common/net/secret_file.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

constexpr char kUri[] = "spiffe://reckon/run/a/role/actor";

std::string Read(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}
int Mode(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(CertificatesTest, AnAuthorityVouchesForItsCertificatesAndNoOthers) {
  const CertifiedKey authority = *MakeAuthority("one", ValidForDays(2));
  const CertifiedKey other = *MakeAuthority("one", ValidForDays(2));
  const CertifiedKey own = *MakeCertificate(authority, kUri, ValidForDays(1));
  EXPECT_EQ(*CertificateUri(own.certificate), kUri);
  const absl::Time now = absl::Now();
  EXPECT_TRUE(CheckCertifiedKey(own, authority.certificate, now).ok());
  EXPECT_TRUE(CheckCertifiedKey(own, other.certificate + authority.certificate, now).ok());
  EXPECT_FALSE(CheckCertifiedKey(own, other.certificate, now).ok());
  const auto message = [&](const CertifiedKey& key, absl::Time at) {
    return std::string(CheckCertifiedKey(key, authority.certificate, at).message());
  };
  EXPECT_TRUE(absl::StrContains(message(own, now + absl::Hours(25)), "expired"));
  EXPECT_TRUE(absl::StrContains(message(own, now - absl::Hours(1)), "not valid before"));
  EXPECT_TRUE(absl::StrContains(message({own.certificate, other.key}, now), "does not belong"));
}

TEST(CertificatesTest, ACertificateThatIsNoAuthoritySignsNothing) {
  const CertifiedKey authority = *MakeAuthority("one", ValidForDays(2));
  const CertifiedKey own = *MakeCertificate(authority, kUri, ValidForDays(1));
  EXPECT_EQ(MakeCertificate(own, kUri, ValidForDays(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(CertificatesTest, DamagedTextIsOneLineWithoutTheKey) {
  const CertifiedKey authority = *MakeAuthority("one", ValidForDays(2));
  EXPECT_FALSE(CertificateUri("nonsense").ok());
  EXPECT_FALSE(CertificateUri(authority.certificate).ok()) << "an authority has no URI";
  CertifiedKey damaged = authority;
  damaged.key[60] = '!';
  const absl::Status status = CheckCertifiedKey(damaged, authority.certificate, absl::Now());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(absl::StrContains(status.message(), "PRIVATE KEY"));
  EXPECT_FALSE(absl::StrContains(status.message(), "\n"));
}

TEST(CertificatesTest, TokensAreLongAndDiffer) {
  EXPECT_EQ(MakeToken()->size(), 64u);
  EXPECT_NE(*MakeToken(), *MakeToken());
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abd", "abc"));
  EXPECT_FALSE(EqualInConstantTime("ab", "abc"));
  EXPECT_FALSE(EqualInConstantTime("", "abc"));
}

TEST(RunCertificatesTest, EveryRoleGetsAFolderThatOnlyItsOwnerReads) {
  const TempFolder temp;
  const CertificateOptions options = {.run = "r1", .folder = temp.path() + "/certs"};
  ASSERT_TRUE(WriteCertificates(options).ok());
  for (const Role role : kAllRoles) {
    const std::string folder = CertificatesOf(options.folder, role);
    EXPECT_EQ(Mode(folder), 0700);
    EXPECT_EQ(Mode(folder + "/tls.key"), 0600);
    EXPECT_EQ(Mode(folder + "/token"), 0600);
    EXPECT_EQ(*CertificateUri(Read(folder + "/tls.crt")), *IdentityUri("r1", role));
    EXPECT_TRUE(CheckCertifiedKey({Read(folder + "/tls.crt"), Read(folder + "/tls.key")},
                                  Read(folder + "/ca.crt"), absl::Now())
                    .ok());
    EXPECT_FALSE(std::filesystem::exists(folder + "/ca.key"));
  }
  EXPECT_EQ(Mode(options.folder + "/authority/ca.key"), 0600);
}

TEST(RunCertificatesTest, ASecondCallRenewsByTheSameAuthorityAndToken) {
  const TempFolder temp;
  CertificateOptions options = {.run = "r1", .folder = temp.path() + "/renew"};
  ASSERT_TRUE(WriteCertificates(options).ok());
  const std::string actor = CertificatesOf(options.folder, Role::kActor);
  const std::string certificate = Read(actor + "/tls.crt"), authorities = Read(actor + "/ca.crt"),
                    token = Read(actor + "/token");
  ASSERT_TRUE(WriteCertificates(options).ok());
  EXPECT_NE(Read(actor + "/tls.crt"), certificate);
  EXPECT_EQ(Read(actor + "/ca.crt"), authorities);
  EXPECT_EQ(Read(actor + "/token"), token);
  EXPECT_FALSE(std::filesystem::exists(actor + ".new"));
  options.run = "r2";
  EXPECT_EQ(WriteCertificates(options).code(), absl::StatusCode::kInvalidArgument);
}

TEST(RunCertificatesTest, WithoutTheAuthoritysKeyThereAreNoMore) {
  const TempFolder temp;
  const CertificateOptions options = {
      .run = "r1", .folder = temp.path() + "/forgotten", .keep_authority_key = false};
  ASSERT_TRUE(WriteCertificates(options).ok());
  EXPECT_FALSE(std::filesystem::exists(options.folder + "/authority/ca.key"));
  EXPECT_EQ(WriteCertificates(options).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(RunCertificatesTest, ARunThatStartsKeepsGoodCertificatesAndReplacesOthers) {
  const TempFolder temp;
  const std::string run_dir = temp.path() + "/run";
  ASSERT_EQ(*EnsureRunCertificates(run_dir, "r1"), run_dir + "/certificates");
  const std::string path = run_dir + "/certificates/learner/tls.crt";
  const std::string first = Read(path);
  ASSERT_TRUE(EnsureRunCertificates(run_dir, "r1").ok());
  EXPECT_EQ(Read(path), first);
  ASSERT_TRUE(EnsureRunCertificates(run_dir, "r2").ok());
  const std::string second = Read(path);
  EXPECT_NE(second, first) << "they were another run's";
  // They end too soon, as those of a run that is resumed months later.
  std::filesystem::remove_all(run_dir + "/certificates");
  ASSERT_TRUE(
      WriteCertificates({.run = "r2", .folder = run_dir + "/certificates", .days = 1}).ok());
  const CertifiedKey authority = {Read(run_dir + "/certificates/authority/ca.crt"),
                                  Read(run_dir + "/certificates/authority/ca.key")};
  const absl::Time now = absl::Now();
  const CertifiedKey old = *MakeCertificate(authority, *IdentityUri("r2", Role::kLearner),
                                            {now - absl::Hours(48), now + absl::Hours(1)});
  ASSERT_TRUE(WriteFileAtomically(path, old.certificate).ok());
  ASSERT_TRUE(EnsureRunCertificates(run_dir, "r2").ok());
  EXPECT_NE(Read(path), old.certificate);
}

TEST(RunCertificatesTest, ARotationHasThreeStepsInOrder) {
  const TempFolder temp;
  const CertificateOptions options = {.run = "r1", .folder = temp.path() + "/rotation"};
  ASSERT_TRUE(WriteCertificates(options).ok());
  const std::string actor = CertificatesOf(options.folder, Role::kActor);
  const std::string old_authority = Read(actor + "/ca.crt"), old_token = Read(actor + "/token");
  const auto key = [&] { return CertifiedKey{Read(actor + "/tls.crt"), Read(actor + "/tls.key")}; };
  const CertifiedKey old = key();
  EXPECT_FALSE(RotateCertificates(options, RotationStep::kUse).ok());
  EXPECT_FALSE(RotateCertificates(options, RotationStep::kForget).ok());

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kTrust).ok());
  EXPECT_EQ(key().certificate, old.certificate);
  EXPECT_EQ(ParseTokens(Read(actor + "/token"))->front() + "\n", old_token);
  EXPECT_FALSE(RotateCertificates(options, RotationStep::kTrust).ok());

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kUse).ok());
  EXPECT_FALSE(CheckCertifiedKey(key(), old_authority, absl::Now()).ok());
  EXPECT_TRUE(CheckCertifiedKey(old, Read(actor + "/ca.crt"), absl::Now()).ok());
  EXPECT_EQ(ParseTokens(Read(actor + "/token"))->size(), 2u);
  EXPECT_NE(ParseTokens(Read(actor + "/token"))->front() + "\n", old_token);

  ASSERT_TRUE(RotateCertificates(options, RotationStep::kForget).ok());
  EXPECT_TRUE(CheckCertifiedKey(key(), Read(actor + "/ca.crt"), absl::Now()).ok());
  EXPECT_FALSE(CheckCertifiedKey(old, Read(actor + "/ca.crt"), absl::Now()).ok());
  EXPECT_EQ(ParseTokens(Read(actor + "/token"))->size(), 1u);
  EXPECT_TRUE(RotateCertificates(options, RotationStep::kTrust).ok()) << "the next rotation";
}

}  // namespace
}  // namespace reckon
