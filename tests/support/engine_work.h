#ifndef RECKON_TESTS_SUPPORT_ENGINE_WORK_H_
#define RECKON_TESTS_SUPPORT_ENGINE_WORK_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "actor/engine/engine.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/table_tokenizer.h"

namespace reckon {

// What a test gives to an engine as a lease, and what comes back.
using EngineResults = std::map<std::tuple<uint64_t, uint32_t>, Rollout>;  // by group and sample

struct EngineWork {
  Lease lease;
  PlanSpec plan;
};

inline EngineWork MakeWork(uint64_t group, uint32_t samples, uint32_t max_new) {
  EngineWork work;
  work.lease.set_id(100 + group);
  work.lease.set_plan("p");
  work.lease.set_weight_version(7);
  work.lease.mutable_item()->set_group(group);
  for (uint64_t i = 0; i < 3 + group % 6; ++i) {
    work.lease.mutable_item()->add_prompt_tokens((group * 31 + i * 7) % 200);
  }
  for (uint32_t i = 0; i < samples; ++i) work.lease.add_samples(i);
  work.plan.set_name("p");
  work.plan.set_samples_per_group(samples);
  SamplingParams* p = work.plan.mutable_sampling();
  p->set_temperature(1);
  p->set_top_p(1);
  p->set_max_new_tokens(max_new);
  work.plan.set_seed(5);
  return work;
}

inline void Admit(const EngineWork& work, Engine* engine) {
  const absl::Status status =
      engine->Admit(work.lease, std::make_shared<const PlanSpec>(work.plan));
  ASSERT_TRUE(status.ok()) << status;
}

inline EngineResults RunAll(Engine* engine) {
  EngineResults results;
  for (int passes = 0; !engine->idle(); ++passes) {
    EXPECT_LT(passes, 10000) << "the engine does not finish";
    if (passes >= 10000) break;
    auto finished = engine->RunPass();
    EXPECT_TRUE(finished.ok()) << finished.status();
    if (!finished.ok()) break;
    for (const FinishedSample& f : *finished) {
      const RolloutKey& key = f.rollout.key();
      EXPECT_TRUE(results.emplace(std::tuple(key.group(), key.sample()), f.rollout).second);
    }
  }
  return results;
}

inline EngineResults RunAll(const std::vector<EngineWork>& works, FakeModelRunner* runner,
                            EngineOptions options = {}) {
  const TableTokenizer tokenizer = TableTokenizer::OfLetters();
  Engine engine(runner, &tokenizer, options, 7);
  for (const EngineWork& work : works) Admit(work, &engine);
  EngineResults results = RunAll(&engine);
  EXPECT_EQ(runner->sequences(), 0u);
  EXPECT_EQ(runner->free_pages(), runner->total_pages());
  return results;
}

inline void ExpectEqual(const EngineResults& a, const EngineResults& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [key, rollout] : a) {
    ASSERT_TRUE(b.count(key));
    EXPECT_EQ(rollout.SerializeAsString(), b.at(key).SerializeAsString());
  }
}

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_ENGINE_WORK_H_
