#include "actor/throughput.h"

#include "absl/time/clock.h"
// Last.
#include "common/base/log.h"

namespace reckon {

Throughput::Throughput(ActorMetrics* metrics, absl::Duration report_every)
    : metrics_(*metrics), report_every_(report_every), report_at_(absl::Now() + report_every) {}

void Throughput::CountPass(const Engine& engine, uint64_t version) {
  const EngineStats total = TotalWith(engine);
  metrics_.CountPass(counted_, total);
  counted_ = total;
  metrics_.running.Set(static_cast<double>(engine.running()));
  metrics_.waiting.Set(static_cast<double>(engine.waiting()));
  const absl::Time now = absl::Now();
  if (now < report_at_) return;
  const double seconds = absl::ToDoubleSeconds(now - report_at_ + report_every_);
  LOG(INFO) << "version " << version << ": "
            << static_cast<int64_t>((total.sampled_tokens - reported_.sampled_tokens) / seconds)
            << " sampled and "
            << static_cast<int64_t>((total.prefilled_tokens - reported_.prefilled_tokens) / seconds)
            << " prompt tokens/s, " << total.finished_samples - reported_.finished_samples
            << " samples finished, " << engine.running() << " running, " << engine.waiting()
            << " waiting";
  reported_ = total;
  report_at_ = now + report_every_;
}

void Throughput::Keep(const Engine* engine) {
  if (engine != nullptr) kept_ = TotalWith(*engine);
}

EngineStats Throughput::TotalWith(const Engine& engine) const {
  EngineStats total = kept_;
  const EngineStats& stats = engine.stats();
  total.sampled_tokens += stats.sampled_tokens;
  total.prefilled_tokens += stats.prefilled_tokens;
  total.finished_samples += stats.finished_samples;
  total.decode_passes += stats.decode_passes;
  return total;
}

}  // namespace reckon
