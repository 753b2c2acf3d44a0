#include "cli/launcher/kubernetes_manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/launcher/text_template.h"
#include "common/config/config.h"
#include "common/config/fields.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunConfig ManifestConfig(const std::string& text) {
  RunConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "name: 'r' data { train: 'builtin' } resources { coordinator { cpus: 1 memory_gib: 1 } "
      "actor { cpus: 2 memory_gib: 2 } learner { cpus: 4 memory_gib: 4 } } "
      "kubernetes {} coordinator {} actor {} model {} ",
      &config));
  RunConfig more;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &more));
  config.MergeFrom(more);
  FillDefaults(&config);
  return config;
}

KubernetesFacts ManifestFacts() { return {.image_tag = "0.1", .certificates = {}}; }

// The text of one file; empty if there is none.
std::string TextOf(const absl::StatusOr<std::vector<RenderedFile>>& files,
                   const std::string& name) {
  EXPECT_TRUE(files.ok()) << files.status();
  if (!files.ok()) return "";
  for (const RenderedFile& file : *files) {
    if (file.name == name) return file.text;
  }
  return "";
}

TEST(TextTemplateTest, ALineThatIsANameTakesTheValuesLinesAtItsIndentation) {
  EXPECT_EQ(FillTemplate("a: {x}\n  {block}\nb: {y1}-{x}\n",
                         {{"x", "1"}, {"y1", "2"}, {"block", "c:\n  d\n\ne\n"}}),
            "a: 1\n  c:\n    d\n\n  e\nb: 2-1\n");
}

TEST(TextTemplateTest, AnEmptyBlockLeavesNoLineAndBracesOfYamlStay) {
  EXPECT_EQ(FillTemplate("a: {}\n{none}\nb: {type: X}\n", {{"none", ""}}), "a: {}\nb: {type: X}\n");
}

TEST(TextTemplateTest, ValuesAreNotSearchedForNames) {
  EXPECT_EQ(FillTemplate("{a}{b}\n{a}\n", {{"a", "{b}"}, {"b", "1"}}), "{b}1\n{b}\n");
}

TEST(KubernetesNameTest, IsThatOfTheRunInTheLettersOfHostNames) {
  EXPECT_EQ(*KubernetesName("Tiny_ei.2"), "tiny-ei-2");
  for (const char* bad : {"", "1run", "run-", "a+b", "a23456789012345678901234567890x"}) {
    EXPECT_EQ(KubernetesName(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(KubernetesManifestsTest, NumbersAndMemoryAreThoseOfTheConfig) {
  const auto files = RenderKubernetes(
      ManifestConfig("resources { actors: 7 learner_ranks: 4 actor { cpus: 3 memory_gib: 5 } }"),
      ManifestFacts());
  EXPECT_THAT(
      TextOf(files, "base/actor.yaml"),
      AllOf(HasSubstr("replicas: 7\n"), HasSubstr("--threads=3\""),
            HasSubstr("requests: {cpu: \"3\", memory: 5Gi"), HasSubstr("reckon-actor:0.1")));
  EXPECT_THAT(TextOf(files, "base/learner.yaml"),
              AllOf(HasSubstr("replicas: 3\n"), HasSubstr("{cpu: \"4\", memory: 4Gi")));
}

TEST(KubernetesManifestsTest, OneRankHasNoOthers) {
  EXPECT_THAT(
      TextOf(RenderKubernetes(ManifestConfig("resources { learner_ranks: 1 }"), ManifestFacts()),
             "base/learner.yaml"),
      AllOf(HasSubstr("name: first"), Not(HasSubstr("name: others"))));
}

TEST(KubernetesManifestsTest, RanksGoToAsManyMachinesAsTheConfigSays) {
  const auto learner = [](const std::string& resources) {
    return TextOf(
        RenderKubernetes(ManifestConfig("resources {" + resources + "}"), ManifestFacts()),
        "base/learner.yaml");
  };
  EXPECT_THAT(learner("learner_ranks: 4"), HasSubstr("podAffinity"));
  EXPECT_THAT(learner("learner_ranks: 4 learner_nodes: 4"), HasSubstr("podAntiAffinity"));
  EXPECT_THAT(learner("learner_ranks: 4 learner_nodes: 2"), HasSubstr("minDomains: 2"));
}

TEST(KubernetesManifestsTest, SettingsOfAClusterAppearOnlyWhenGiven) {
  const auto bare =
      RenderKubernetes(ManifestConfig("resources { learner_ranks: 2 }"), ManifestFacts());
  EXPECT_THAT(TextOf(bare, "base/learner.yaml"),
              Not(testing::AnyOf(HasSubstr("/data"), HasSubstr("kueue"), HasSubstr("gpu"))));
  EXPECT_THAT(TextOf(bare, "lasting/volume.yaml"), Not(HasSubstr("storageClassName")));
  EXPECT_EQ(TextOf(bare, "base/secrets.yaml"), "");
  const auto full = RenderKubernetes(
      ManifestConfig(
          "kubernetes { namespace: 'ml' image_prefix: 'r.example/x' image_tag: 'v7' queue: 'q' "
          "pull_policy: NEVER storage_class: 'fast' storage_gib: 50 data_claim: 'models' "
          "max_restarts: 9 grace_seconds: 77 gpu_resource: 'amd.com/gpu' } "
          "model { path: '/data/m' } resources { learner { gpus: 1 } }"),
      ManifestFacts());
  EXPECT_THAT(
      TextOf(full, "base/learner.yaml"),
      AllOf(HasSubstr("kueue.x-k8s.io/queue-name: \"q\""), HasSubstr("claimName: \"models\""),
            HasSubstr("image: \"r.example/x-learner:v7\""), HasSubstr("\"amd.com/gpu\": 1"),
            HasSubstr("maxRestarts: 9"), HasSubstr("terminationGracePeriodSeconds: 77"),
            HasSubstr("imagePullPolicy: Never")));
  EXPECT_THAT(TextOf(full, "lasting/volume.yaml"),
              AllOf(HasSubstr("storageClassName: \"fast\""), HasSubstr("storage: 50Gi")));
  EXPECT_THAT(TextOf(full, "base/kustomization.yaml"), HasSubstr("namespace: \"ml\""));
}

TEST(KubernetesManifestsTest, OnlyBroadcastsLetActorsAndLearnerReachEachOtherOnAllPorts) {
  const auto network = [](const std::string& text) {
    return TextOf(RenderKubernetes(ManifestConfig(text), ManifestFacts()), "base/network.yaml");
  };
  EXPECT_THAT(network(""), AllOf(HasSubstr("name: r-learner"), Not(HasSubstr("broadcast"))));
  EXPECT_THAT(network("learner { broadcast: GLOO }"),
              AllOf(HasSubstr("name: r-broadcast"),
                    HasSubstr("component, operator: In, values: [actor, learner]}")));
}

TEST(KubernetesManifestsTest, AnotherConfigIsAnotherHashInEveryPod) {
  const auto one = RenderKubernetes(ManifestConfig("seed: 1"), ManifestFacts());
  const auto two = RenderKubernetes(ManifestConfig("seed: 2"), ManifestFacts());
  for (const char* file : {"base/coordinator.yaml", "base/actor.yaml", "base/learner.yaml"}) {
    EXPECT_NE(TextOf(one, file), TextOf(two, file)) << file;
  }
}

TEST(KubernetesManifestsTest, ResumingIsNoChangeOfTheJobSetWhichNoApplyCanChange) {
  KubernetesFacts facts = ManifestFacts();
  const auto begin = RenderKubernetes(ManifestConfig(""), facts);
  facts.resume = true;
  const auto resume = RenderKubernetes(ManifestConfig(""), facts);
  EXPECT_THAT(TextOf(begin, "base/config.yaml"), HasSubstr("resume: \"false\""));
  EXPECT_THAT(TextOf(resume, "base/config.yaml"), HasSubstr("resume: \"true\""));
  EXPECT_EQ(TextOf(begin, "base/learner.yaml"), TextOf(resume, "base/learner.yaml"));
}

TEST(KubernetesManifestsTest, CertificatesBecomeSecretsOfTheirRole) {
  KubernetesFacts facts = ManifestFacts();
  facts.certificates["actor"] = {{"tls.key", "secret"}, {"token", "t"}};
  const auto files = RenderKubernetes(ManifestConfig(""), facts);
  EXPECT_THAT(TextOf(files, "base/secrets.yaml"),
              AllOf(HasSubstr("name: r-actor\n"), HasSubstr("tls.key: c2VjcmV0\n")));
  EXPECT_THAT(TextOf(files, "base/kustomization.yaml"), HasSubstr("- secrets.yaml"));
}

TEST(KubernetesManifestsTest, APathThatNoPodHasIsRefused) {
  EXPECT_THAT(RenderKubernetes(ManifestConfig("model { path: '/home/x/m' }"), ManifestFacts())
                  .status()
                  .message(),
              AllOf(HasSubstr("model.path is /home/x/m"), HasSubstr("kubernetes.data_claim")));
  EXPECT_THAT(
      RenderKubernetes(ManifestConfig("model { path: '/m' } kubernetes { data_claim: 'c' }"),
                       ManifestFacts())
          .status()
          .message(),
      HasSubstr("below /data"));
}

}  // namespace
}  // namespace reckon
