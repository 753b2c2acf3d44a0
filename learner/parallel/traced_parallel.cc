#include "learner/parallel/traced_parallel.h"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr size_t kMostEvents = 400'000;

// Of this thread, in microseconds.
double CpuTime() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e6 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_nsec);
}

class Tracer {
 public:
  Tracer(int rank, std::string path) : rank_(rank), path_(std::move(path)) {}
  ~Tracer() {
    std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n";
    for (const auto& [track, name] :
         {std::pair(kCompute, "compute"), std::pair(kCollectives, "collectives")}) {
      absl::StrAppendFormat(&text,
                            R"({"ph": "M", "pid": %d, "tid": %d, "name": "thread_name", )"
                            R"("args": {"name": "%s"}},)"
                            "\n",
                            rank_, track, name);
    }
    for (size_t i = 0; i < events_.size(); ++i) {
      const Event& e = events_[i];
      absl::StrAppendFormat(&text,
                            R"({"ph": "X", "pid": %d, "tid": %d, "name": "%s", "ts": %.1f, )"
                            R"("dur": %.1f, "args": {"id": %d, "group": "%s", "bytes": %d, )"
                            R"("cpu": %.1f}}%s)"
                            "\n",
                            rank_, e.track, e.name, absl::ToDoubleMicroseconds(e.from - start_),
                            absl::ToDoubleMicroseconds(e.until - e.from), e.id, e.group, e.bytes,
                            e.cpu, i + 1 < events_.size() ? "," : "");
    }
    const absl::Status written = WriteFileAtomically(path_, text + "]}\n");
    LOG_IF(WARNING, !written.ok()) << "trace: " << written.message();
  }

  // A call to the group: what was before it was computation.
  absl::Time Enter() {
    const absl::Time now = absl::Now();
    if (left_.has_value()) {
      Add({.track = kCompute,
           .name = "compute",
           .from = *left_,
           .until = now,
           .cpu = CpuTime() - left_cpu_});
    }
    return now;
  }
  void Leave(const char* name, int64_t id, absl::Time entered) {
    left_ = absl::Now();
    left_cpu_ = CpuTime();
    Add({.track = kCompute, .name = name, .from = entered, .until = *left_, .id = id});
  }
  void Ended(const char* name, const char* group, int64_t id, int64_t bytes, absl::Time begun) {
    Add({kCollectives, name, begun, absl::Now(), id, bytes, 0, group});
  }
  int64_t NextId() { return next_id_++; }

 private:
  enum Track { kCompute = 1, kCollectives = 2 };
  struct Event {
    Track track;
    const char* name;
    absl::Time from, until;
    int64_t id = -1, bytes = 0;
    double cpu = 0;  // time of the thread in a "compute"
    const char* group = "";
  };
  void Add(Event event) {
    if (events_.size() < kMostEvents) events_.push_back(event);
  }

  const int rank_;
  const std::string path_;
  const absl::Time start_ = absl::Now();
  std::optional<absl::Time> left_;
  double left_cpu_ = 0;
  std::vector<Event> events_;
  int64_t next_id_ = 0;
};

class TracedCollective : public PendingCollective {
 public:
  TracedCollective(Tracer* tracer, const char* kind, const char* group, int64_t bytes,
                   absl::Time begun, int64_t id, std::unique_ptr<PendingCollective> of)
      : tracer_(tracer),
        kind_(kind),
        group_(group),
        bytes_(bytes),
        begun_(begun),
        id_(id),
        of_(std::move(of)) {}
  absl::Status Wait() override {
    const absl::Time entered = tracer_->Enter();
    absl::Status status = of_->Wait();
    tracer_->Ended(kind_, group_, id_, bytes_, begun_);
    tracer_->Leave("wait", id_, entered);
    return status;
  }

 private:
  Tracer* const tracer_;
  const char* const kind_;
  const char* const group_;
  const int64_t bytes_;
  const absl::Time begun_;
  const int64_t id_;
  const std::unique_ptr<PendingCollective> of_;
};

class Traced : public Parallel {
 public:
  Traced(std::unique_ptr<Parallel> group, const char* name, std::shared_ptr<Tracer> tracer)
      : group_(std::move(group)), name_(name), tracer_(std::move(tracer)) {}
  int rank() const override { return group_->rank(); }
  int world() const override { return group_->world(); }

  absl::Status Broadcast(absl::Span<char> bytes) override {
    const int64_t id = tracer_->NextId();
    const absl::Time entered = tracer_->Enter();
    absl::Status status = group_->Broadcast(bytes);
    tracer_->Ended("broadcast", name_, id, static_cast<int64_t>(bytes.size()), entered);
    tracer_->Leave("call", id, entered);
    return status;
  }
  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor& values) override {
    return Begin("all-reduce", values, [&] { return group_->BeginAllReduceSum(values); });
  }
  absl::Status Settle() override { return group_->Settle(); }
  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    return Begin("all-gather", all, [&] { return group_->AllGather(mine, all); });
  }
  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    return Begin("reduce-scatter", all, [&] { return group_->ReduceScatterSum(all, mine); });
  }

 private:
  template <typename Body>
  std::unique_ptr<PendingCollective> Begin(const char* kind, const at::Tensor& all, Body body) {
    const int64_t id = tracer_->NextId();
    const absl::Time entered = tracer_->Enter();
    std::unique_ptr<PendingCollective> pending = body();
    tracer_->Leave("begin", id, entered);
    return std::make_unique<TracedCollective>(tracer_.get(), kind, name_,
                                              static_cast<int64_t>(all.nbytes()), entered, id,
                                              std::move(pending));
  }

  const std::unique_ptr<Parallel> group_;
  const char* const name_;
  const std::shared_ptr<Tracer> tracer_;
};

class AloneOf : public Parallel {
 public:
  explicit AloneOf(int world) : world_(world) {}
  int rank() const override { return 0; }
  int world() const override { return world_; }
  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor&) override {
    return std::make_unique<Done>();
  }
  absl::Status Broadcast(absl::Span<char>) override { return absl::OkStatus(); }
  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    all.view({world_, mine.numel()}).copy_(mine.view({1, mine.numel()}).expand({world_, -1}));
    return std::make_unique<Done>();
  }
  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    mine.copy_(all.narrow(0, 0, mine.numel()));
    return std::make_unique<Done>();
  }

 private:
  class Done : public PendingCollective {
   public:
    absl::Status Wait() override { return absl::OkStatus(); }
  };
  const int world_;
};

}  // namespace

RankGroups MakeTraced(RankGroups groups, std::string path) {
  const auto tracer = std::make_shared<Tracer>(groups.all->rank(), std::move(path));
  const auto traced = [&](std::unique_ptr<Parallel> group,
                          const char* name) -> std::unique_ptr<Parallel> {
    if (group == nullptr) return nullptr;
    return std::make_unique<Traced>(std::move(group), name, tracer);
  };
  return {traced(std::move(groups.all), "all"), traced(std::move(groups.shards), "shards"),
          traced(std::move(groups.replicas), "replicas")};
}

std::unique_ptr<Parallel> MakeAloneOf(int world) { return std::make_unique<AloneOf>(world); }

}  // namespace reckon
