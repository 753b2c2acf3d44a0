#include "cli/launcher/kubernetes_apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/fields.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A folder, and a script in the place of kubectl that is found first.
class KubernetesApplyTest : public ::testing::Test {
 protected:
  KubernetesApplyTest() : path_(getenv("PATH")) {
    EXPECT_TRUE(MakeFolders(folder_ + "/bin").ok());
    setenv("PATH", absl::StrCat(folder_, "/bin:", path_).c_str(), 1);
    config_.set_name("Tiny_ei");
    FillDefaults(&config_);
    config_.mutable_kubernetes()->set_namespace_("ml");
  }
  ~KubernetesApplyTest() override { setenv("PATH", path_.c_str(), 1); }

  void MakeKubectl(const std::string& body) {
    const std::string path = folder_ + "/bin/kubectl";
    EXPECT_TRUE(WriteFileAtomically(path, "#!/bin/sh\n" + body).ok());
    chmod(path.c_str(), 0755);
  }
  std::string Calls() { return ReadFile(folder_ + "/calls").value_or(""); }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
  const std::string path_;  // of the environment
  RunConfig config_;
};

TEST_F(KubernetesApplyTest, AppliesWhatLastsFirst) {
  MakeKubectl(absl::StrCat("echo \"$@\" >>", folder_, "/calls\n"));
  ASSERT_TRUE(ApplyManifests(config_, folder_, false).ok());
  EXPECT_EQ(Calls(), absl::StrCat("apply -k ", folder_, "/lasting\napply -k ", folder_, "/base\n"));
}

TEST_F(KubernetesApplyTest, AUsersOverlayTakesThePlaceOfTheBaseAndStaysWhenItIsWrittenAgain) {
  MakeKubectl(absl::StrCat("echo \"$@\" >>", folder_, "/calls\n"));
  ASSERT_TRUE(MakeFolders(folder_ + "/overlay").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/overlay/kustomization.yaml", "resources").ok());
  ASSERT_TRUE(WriteManifests({{"base/actor.yaml", "a"}}, folder_).ok());
  ASSERT_TRUE(ApplyManifests(config_, folder_, false).ok());
  EXPECT_EQ(Calls(),
            absl::StrCat("apply -k ", folder_, "/lasting\napply -k ", folder_, "/overlay\n"));
}

TEST_F(KubernetesApplyTest, AResumedRunGetsANewJobSet) {
  MakeKubectl(absl::StrCat("echo \"$@\" >>", folder_, "/calls\n"));
  ASSERT_TRUE(ApplyManifests(config_, folder_, true).ok());
  EXPECT_THAT(Calls(),
              HasSubstr("delete jobset tiny-ei-learner --namespace ml --ignore-not-found"));
}

TEST_F(KubernetesApplyTest, AFailureEndsWithKubectlsWordsAndStopsThere) {
  MakeKubectl(absl::StrCat("echo \"$@\" >>", folder_, "/calls\necho no cluster >&2\nexit 1\n"));
  EXPECT_THAT(ApplyManifests(config_, folder_, false).message(),
              AllOf(HasSubstr("lasting: exited with code 1"), HasSubstr("no cluster")));
  EXPECT_THAT(Calls(), Not(HasSubstr("base")));
}

TEST_F(KubernetesApplyTest, WithoutKubectlItSaysSo) {
  setenv("PATH", (folder_ + "/bin").c_str(), 1);
  EXPECT_EQ(ApplyManifests(config_, folder_, false).code(), absl::StatusCode::kNotFound);
}

TEST_F(KubernetesApplyTest, SecretsAreForThisUserAloneAndOldFilesGo) {
  ASSERT_TRUE(WriteManifests({{"base/old.yaml", "a"}}, folder_).ok());
  ASSERT_TRUE(
      WriteManifests({{"base/secrets.yaml", "s"}, {"lasting/volume.yaml", "v"}}, folder_).ok());
  struct stat info;
  ASSERT_EQ(stat((folder_ + "/base/secrets.yaml").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(*ReadFile(folder_ + "/lasting/volume.yaml"), "v");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/base/old.yaml"));
}

TEST_F(KubernetesApplyTest, TheUsersCertificateStaysHere) {
  for (const char* role : {"coordinator", "actor", "learner", "user"}) {
    ASSERT_TRUE(MakeFolders(absl::StrCat(folder_, "/c/", role)).ok());
    for (const char* name : {"ca.crt", "tls.crt", "tls.key", "token"}) {
      ASSERT_TRUE(WriteFileAtomically(absl::StrCat(folder_, "/c/", role, "/", name), role).ok());
    }
  }
  const auto certificates = ReadRoleCertificates(folder_ + "/c");
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  EXPECT_EQ(certificates->size(), 3u);
  EXPECT_EQ(certificates->at("actor")[2].name, "tls.key");
  std::filesystem::remove(folder_ + "/c/actor/token");
  EXPECT_THAT(ReadRoleCertificates(folder_ + "/c").status().message(), HasSubstr("actor/token"));
}

}  // namespace
}  // namespace reckon
