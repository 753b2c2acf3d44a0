#include "common/telemetry/registry.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(RegistryTest, ShowsEveryInstrumentWithItsHelpAndLabels) {
  Registry registry;
  registry.AddCounter("reckon_rollouts_total", "Rollouts", {{"outcome", "accepted"}}).Increment(3);
  registry.AddCounter("reckon_rollouts_total", "Rollouts", {{"outcome", "late"}});
  registry.AddGauge("reckon_term", "Term").Set(-2.5);
  Histogram& seconds = registry.AddHistogram("reckon_commit_seconds", "Commits", {1, 2});
  seconds.Observe(0.5);
  seconds.Observe(7);
  const std::string page = registry.Text();
  EXPECT_THAT(page, HasSubstr("# HELP reckon_rollouts_total Rollouts\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE reckon_rollouts_total counter\n"));
  EXPECT_THAT(page, HasSubstr("reckon_rollouts_total{outcome=\"accepted\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("reckon_rollouts_total{outcome=\"late\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("reckon_term -2.5\n"));
  EXPECT_THAT(page, HasSubstr("reckon_commit_seconds_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("reckon_commit_seconds_bucket{le=\"2\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("reckon_commit_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("reckon_commit_seconds_sum 7.5\n"));
}

TEST(RegistryTest, RefreshesUntilTheHandleIsDeleted) {
  Registry registry;
  Gauge& gauge = registry.AddGauge("reckon_term", "Term");
  int scrapes = 0;
  Registry::Handle handle = registry.OnCollect([&] { gauge.Set(++scrapes); });
  EXPECT_THAT(registry.Text(), HasSubstr("reckon_term 1\n"));
  EXPECT_THAT(registry.Text(), HasSubstr("reckon_term 2\n"));
  handle = nullptr;
  EXPECT_THAT(registry.Text(), HasSubstr("reckon_term 2\n"));
}

TEST(RegistryTest, AMirroredTotalNeverFalls) {
  Registry registry;
  Counter& counter = registry.AddCounter("reckon_rollouts_total", "Rollouts");
  MirrorTotal(5, &counter);
  EXPECT_EQ(counter.Value(), 5);
  MirrorTotal(2, &counter);
  EXPECT_EQ(counter.Value(), 5);
  MirrorTotal(9, &counter);
  EXPECT_EQ(counter.Value(), 9);
}

TEST(RegistryDeathTest, RefusesNamesThatBreakTheRules) {
  Registry registry;
  EXPECT_DEATH(registry.AddCounter("reckon_rollouts", "Rollouts"), "reckon_rollouts");
  EXPECT_DEATH(registry.AddGauge("reckon_queue_total", "Queue"), "reckon_queue_total");
  EXPECT_DEATH(registry.AddGauge("queue", "Queue"), "queue");
}

TEST(RegistryTest, NamesOfMetricsBecomeNamesOfGauges) {
  EXPECT_EQ(GaugeNameOf("reward"), "reckon_reward");
  EXPECT_EQ(GaugeNameOf("staleness/mean"), "reckon_staleness_mean");
  EXPECT_EQ(GaugeNameOf("val/maj@K/low"), "reckon_val_maj_K_low");
  EXPECT_EQ(GaugeNameOf("timing_s/old_log_prob"), "reckon_timing_old_log_prob_seconds");
  Registry registry;
  registry.AddGauge(GaugeNameOf("reward/grand-total"), "of a reward that a user has named so");
  EXPECT_EQ(GaugeNameOf("reward/grand-total"), "reckon_reward_grand_total_value");
}

TEST(RegistryTest, BoundsGrowByTheirFactor) {
  EXPECT_THAT(ExponentialBounds(0.5, 2, 4), ElementsAre(0.5, 1, 2, 4));
}

}  // namespace
}  // namespace reckon
