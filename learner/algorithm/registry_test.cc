#include "learner/algorithm/registry.h"

#include "common/config/stage_info.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

// One stage of each kind, in the order of config.proto.
RunConfig AllKinds() {
  RunConfig config;
  const google::protobuf::OneofDescriptor* kinds = Stage::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kinds->field_count(); ++i) {
    Stage* stage = config.add_stage();
    stage->set_name(kinds->field(i)->name());
    stage->GetReflection()->MutableMessage(stage, kinds->field(i));
  }
  return config;
}

TEST(RegistryTest, EveryKindOfStageThatTrainsHasAnAlgorithm) {
  const RunConfig config = AllKinds();
  for (int i = 0; i < config.stage_size(); ++i) {
    const StageInfo info(config.stage(i));
    const std::unique_ptr<Algorithm> algorithm = MakeAlgorithm(config, i);
    ASSERT_EQ(algorithm != nullptr, info.trains()) << info.kind();
    if (algorithm == nullptr) continue;
    EXPECT_EQ(algorithm->rounds(), info.Rounds()) << info.kind();
    EXPECT_EQ(!algorithm->SampledRounds(RunData()).empty(), info.traits().keeps_selection())
        << info.kind();
  }
  EXPECT_EQ(MakeAlgorithm(config, "no stage"), nullptr);
}

TEST(RegistryTest, EarlierSftStagesGiveTheirWorkedSolutions) {
  RunConfig config;
  for (uint32_t limit : {2, 3, 1}) config.add_stage()->mutable_sft()->set_limit(limit);
  RunData data;
  data.train.resize(10);
  EXPECT_EQ(EarlierWorkedSolutions(config, 0, data), 0);
  EXPECT_EQ(EarlierWorkedSolutions(config, 1, data), 2);
  EXPECT_EQ(EarlierWorkedSolutions(config, 3, data), 3);
  config.mutable_stage(0)->mutable_sft()->set_limit(0);
  EXPECT_EQ(EarlierWorkedSolutions(config, 1, data), 10);
}

TEST(RegistryTest, TheStageThatMadeTheNewestPolicyChoosesTheStepLabel) {
  RunConfig config;
  config.add_stage()->mutable_sft();
  config.add_stage()->mutable_rcrl()->set_good_label("^");
  config.add_stage()->mutable_eval();
  config.add_stage()->mutable_orm();
  config.add_stage()->mutable_sft();
  RunData data;
  data.tokenizer = *Tokenizer::Create(MakeTinyModel().manifest.texts().tokenizer_json());
  auto label = [&](int64_t stage, Cursor::Phase phase) {
    Cursor cursor;
    cursor.set_stage(stage);
    cursor.set_phase(phase);
    return StepLabelOfNewestPolicy(config, cursor, data);
  };
  const std::vector<uint32_t> none, good = {kTinyFirstByte + '^'};
  EXPECT_EQ(label(0, Cursor::BEGIN), none);
  EXPECT_EQ(label(1, Cursor::BEGIN), none);
  EXPECT_EQ(label(1, Cursor::TRAINED), good);
  EXPECT_EQ(label(2, Cursor::BEGIN), good);
  EXPECT_EQ(label(3, Cursor::TRAINED), good);  // a reward model is not a policy
  EXPECT_EQ(label(4, Cursor::BEGIN), good);
  EXPECT_EQ(label(4, Cursor::TRAINED), none);
}

}  // namespace
}  // namespace reckon
