#include "common/telemetry/registry.h"

#include <prometheus/family.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/log.h"

namespace reckon {
namespace {

void CheckName(const std::string& name, bool counter) {
  CHECK(absl::StartsWith(name, "reckon_") || absl::StartsWith(name, "process_")) << name;
  CHECK_EQ(absl::EndsWith(name, "_total"), counter) << name;
}

}  // namespace

void MirrorTotal(double total, Counter* counter) { counter->Increment(total - counter->Value()); }

Registry& Registry::Process() {
  static Registry& registry = *new Registry();
  return registry;
}

Counter& Registry::AddCounter(const std::string& name, const std::string& help,
                              const Labels& labels) {
  CheckName(name, /*counter=*/true);
  return prometheus::BuildCounter().Name(name).Help(help).Register(instruments_).Add(labels);
}

Gauge& Registry::AddGauge(const std::string& name, const std::string& help, const Labels& labels) {
  CheckName(name, /*counter=*/false);
  return prometheus::BuildGauge().Name(name).Help(help).Register(instruments_).Add(labels);
}

Histogram& Registry::AddHistogram(const std::string& name, const std::string& help,
                                  const std::vector<double>& bounds, const Labels& labels) {
  CheckName(name, /*counter=*/false);
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Register(instruments_)
      .Add(labels, bounds);
}

Registry::Handle Registry::OnCollect(std::function<void()> refresh) {
  absl::MutexLock lock(&mu_);
  const uint64_t id = next_++;
  refreshes_[id] = std::move(refresh);
  return Handle(this, [id](Registry* registry) {
    // Waits for a scrape that is in progress, so that what `refresh` uses may be deleted after the
    // handle.
    absl::MutexLock lock(&registry->mu_);
    registry->refreshes_.erase(id);
  });
}

std::vector<prometheus::MetricFamily> Registry::Collect() const {
  absl::MutexLock lock(&mu_);
  for (const auto& [id, refresh] : refreshes_) refresh();
  return instruments_.Collect();
}

std::string Registry::Text() const { return prometheus::TextSerializer().Serialize(Collect()); }

std::vector<double> ExponentialBounds(double first, double factor, int count) {
  std::vector<double> bounds;
  for (double bound = first; static_cast<int>(bounds.size()) < count; bound *= factor) {
    bounds.push_back(bound);
  }
  return bounds;
}

std::string GaugeNameOf(const std::string& metric) {
  absl::string_view name = metric;
  const bool seconds = absl::ConsumePrefix(&name, "timing_s/");
  std::string out =
      absl::StrCat("reckon_", seconds ? "timing_" : "", name, seconds ? "_seconds" : "");
  for (char& c : out) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  if (absl::EndsWith(out, "_total")) out += "_value";
  return out;
}

}  // namespace reckon
