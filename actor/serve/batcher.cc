#include "actor/serve/batcher.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// With the seed, the number of the prompt and that of the sample it makes the random stream of a
// choice.
constexpr char kStream[] = "serve";

PlanSpec MakeSpec(const GenerationRequest& request) {
  PlanSpec spec;
  spec.set_name(kStream);
  spec.set_samples_per_group(request.samples);
  *spec.mutable_sampling() = request.sampling;
  spec.set_seed(request.seed);
  spec.mutable_stop_token_ids()->Add(request.stop_token_ids.begin(), request.stop_token_ids.end());
  for (const std::string& stop : request.stop_strings) spec.add_stop_strings(stop);
  return spec;
}

// Tokens and log-probabilities of a finished choice.
struct Sampled {
  std::vector<uint32_t> tokens;
  std::vector<float> logprobs;
};

Sampled SampledOf(const Rollout& rollout) {
  Sampled out;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() != TokenSpan::SAMPLED) continue;
    out.tokens.insert(out.tokens.end(), span.tokens().begin(), span.tokens().end());
    out.logprobs.insert(out.logprobs.end(), span.logprobs().begin(), span.logprobs().end());
  }
  return out;
}

}  // namespace

Batcher::Batcher(ModelRunner* runner, const Tokenizer* tokenizer, BatcherOptions options)
    : options_(options),
      longest_choice_(LongestSample(*runner)),
      engine_(runner, tokenizer, options.engine) {
  thread_ = std::thread([this] { Loop(); });
}

Batcher::~Batcher() {
  Drain(absl::InfinitePast());
  thread_.join();
}

absl::StatusOr<std::shared_ptr<Generation>> Batcher::Submit(GenerationRequest request) {
  auto generation = std::make_shared<Generation>(std::move(request));
  absl::MutexLock lock(&mu_);
  if (draining_) return absl::UnavailableError("the server is stopping");
  if (unfinished_ >= options_.max_requests) {
    return absl::ResourceExhaustedError(
        absl::StrCat(unfinished_, " requests are unfinished, which is the limit; try again later"));
  }
  ++unfinished_;
  arrived_.push_back(generation);
  return generation;
}

void Batcher::Drain(absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  draining_ = true;
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return unfinished_ == 0; };
  mu_.AwaitWithDeadline(absl::Condition(&ended), deadline);
  ending_ = true;
  mu_.Await(absl::Condition(&ended));
}

int64_t Batcher::unfinished() const {
  absl::MutexLock lock(&mu_);
  return unfinished_;
}

absl::Status Batcher::Health() const {
  absl::MutexLock lock(&mu_);
  return draining_ ? absl::UnavailableError("the server is stopping") : pass_;
}

void Batcher::Loop() {
  while (true) {
    std::vector<std::shared_ptr<Generation>> arrived;
    bool ending = false;
    {
      absl::MutexLock lock(&mu_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return ending_ || !arrived_.empty() || !running_.empty();
      };
      mu_.Await(absl::Condition(&has_work));
      arrived.swap(arrived_);
      ending = ending_;
    }
    if (ending) {
      const absl::Status status = absl::UnavailableError("the server is stopping");
      for (const auto& generation : arrived) End(generation.get(), status);
      while (!running_.empty()) {
        const std::shared_ptr<Generation> generation = running_.begin()->second.generation;
        End(generation.get(), status);
      }
      return;
    }
    for (const auto& generation : arrived) Admit(generation);
    DropEnded();
    if (!running_.empty()) RunPass();
  }
}

void Batcher::Admit(const std::shared_ptr<Generation>& generation) {
  const GenerationRequest& request = generation->request();
  const auto plan = std::make_shared<const PlanSpec>(MakeSpec(request));
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    Lease lease;
    lease.set_id(next_lease_++);
    lease.set_plan(kStream);
    lease.mutable_item()->set_group(i);
    lease.mutable_item()->mutable_prompt_tokens()->Add(request.prompts[i].begin(),
                                                       request.prompts[i].end());
    for (uint32_t sample = 0; sample < request.samples; ++sample) lease.add_samples(sample);
    running_[lease.id()] = {generation, i, request.samples};
    const absl::Status admitted = engine_.Admit(lease, plan, request.ranked);
    if (admitted.ok()) continue;
    // Whatever the code: this request can never run here, and others can.
    End(generation.get(), absl::InvalidArgumentError(admitted.message()));
    return;
  }
}

void Batcher::DropEnded() {
  const absl::Time now = absl::Now();
  std::set<std::shared_ptr<Generation>> cancelled, late;
  for (const auto& [lease, running] : running_) {
    if (running.generation->cancelled()) {
      cancelled.insert(running.generation);
    } else if (now >= running.generation->request().deadline) {
      late.insert(running.generation);
    }
  }
  for (const auto& generation : cancelled) {
    End(generation.get(), absl::CancelledError("the client has gone"));
  }
  for (const auto& generation : late) {
    End(generation.get(),
        absl::DeadlineExceededError("the request was not finished within the time that the server "
                                    "gives to one; ask for fewer tokens or choices"));
  }
}

void Batcher::End(Generation* generation, absl::Status status) {
  std::erase_if(running_, [&](const auto& entry) {
    if (entry.second.generation.get() != generation) return false;
    engine_.Drop(entry.first);
    return true;
  });
  {
    // Before the end is told, so that whoever waited for it may ask for more at once.
    absl::MutexLock lock(&mu_);
    --unfinished_;
  }
  if (!status.ok()) generation->Fail(std::move(status));
}

void Batcher::RunPass() {
  absl::StatusOr<std::vector<FinishedSample>> finished = engine_.RunPass();
  {
    absl::MutexLock lock(&mu_);
    pass_ = finished.status();
  }
  if (!finished.ok()) {
    LOG(ERROR) << "a pass has failed: " << finished.status();
    engine_.Clear();
    while (!running_.empty()) {
      const std::shared_ptr<Generation> generation = running_.begin()->second.generation;
      End(generation.get(), absl::InternalError(finished.status().message()));
    }
    return;
  }
  for (const LiveSample& sample : engine_.live()) {
    const Running& running = running_.at(sample.group()->lease.id());
    running.generation->Update(
        running.prompt * running.generation->request().samples + sample.number(), sample.tokens(),
        sample.logprobs(), sample.ranked(), sample.text(), FINISH_UNSPECIFIED);
  }
  for (const FinishedSample& sample : *finished) {
    Running& running = running_.at(sample.lease);
    const std::shared_ptr<Generation> generation = running.generation;
    const size_t choice =
        running.prompt * generation->request().samples + sample.rollout.key().sample();
    if (--running.left == 0) {
      running_.erase(sample.lease);
      bool others = false;
      for (const auto& [lease, other] : running_) others |= other.generation == generation;
      if (!others) End(generation.get(), absl::OkStatus());
    }
    const Sampled sampled = SampledOf(sample.rollout);
    generation->Update(choice, sampled.tokens, sampled.logprobs, sample.ranked,
                       sample.rollout.completion(), sample.rollout.finish());
  }
}

}  // namespace reckon
