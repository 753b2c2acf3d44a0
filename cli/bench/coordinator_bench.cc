#include "cli/bench/coordinator_bench.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/bench/load_actor.h"
#include "cli/bench/load_owner.h"
#include "cli/bench/load_plan.h"
#include "cli/bench/process_usage.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/process.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

constexpr absl::Duration kCoordinatorStartTimeout = absl::Seconds(30);
constexpr absl::Duration kDrain = absl::Seconds(30);  // for acknowledgements after the last rollout
constexpr int kSyncs = 100;                           // writes that measure the disk

// A new folder that is removed with what is in it.
class BenchFolder {
 public:
  static absl::StatusOr<std::unique_ptr<BenchFolder>> Make(const std::string& parent) {
    std::string path = absl::StrCat(parent, "/reckon-bench-XXXXXX");
    if (::mkdtemp(path.data()) == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("cannot make a folder in ", parent));
    }
    return std::make_unique<BenchFolder>(std::move(path));
  }
  explicit BenchFolder(std::string path) : path_(std::move(path)) {}
  ~BenchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

int64_t BytesIn(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(folder, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    std::error_code gone;  // RocksDB deletes files while this loop runs
    const auto size = it->is_regular_file(gone) ? it->file_size(gone) : 0;
    if (!gone) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

double Percentile(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(at, sorted.size() - 1)];
}

// How long the disk takes for what one commit writes, without RocksDB.
void MeasureDisk(const std::string& folder, size_t bytes, CoordinatorBenchResult* result) {
  const std::string path = folder + "/sync";
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  const std::string data(bytes, 'x');
  std::vector<float> times;
  for (int i = 0; i < kSyncs; ++i) {
    const absl::Time begin = absl::Now();
    if (::write(file, data.data(), data.size()) < 0 || ::fdatasync(file) != 0) break;
    times.push_back(static_cast<float>(absl::ToDoubleMilliseconds(absl::Now() - begin)));
  }
  ::close(file);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::sort(times.begin(), times.end());
  result->sync_p50_ms = Percentile(times, 0.5);
  result->sync_p99_ms = Percentile(times, 0.99);
}

absl::StatusOr<std::string> WaitForAddress(const std::string& port_file, const std::string& log,
                                           Process* process, const std::stop_token& stop) {
  const absl::Time give_up = absl::Now() + kCoordinatorStartTimeout;
  while (absl::Now() < give_up) {
    if (absl::StatusOr<std::string> address = ReadFile(port_file, 256); address.ok()) {
      return address;
    }
    if (process->Poll().has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat("reckon-coordinator ended: ", LastWords(log)));
    }
    if (WaitForStop(stop, absl::Milliseconds(20))) return absl::CancelledError("stopped");
  }
  return absl::DeadlineExceededError("reckon-coordinator does not listen after 30 s");
}

absl::Status PublishVersion(Coordinator::StubInterface* stub) {
  PublishWeightsRequest request;
  WeightManifest* manifest = request.mutable_manifest();
  TensorEntry* tensor = manifest->add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("F32");
  tensor->add_shape(1);
  manifest->set_total_bytes(4);
  manifest->set_chunk_bytes(4);
  manifest->add_chunk_sha256(std::string(32, '\0'));
  manifest->add_sources("127.0.0.1:1");
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(10));
  MarkReply reply;
  return FromGrpc(stub->PublishWeights(&context, request, &reply));
}

// Notes once a second what the coordinator uses, until `end`.
absl::Status Watch(pid_t pid, const std::string& store, absl::Time end, const std::stop_token& stop,
                   std::vector<BenchSecond>* seconds) {
  double before = ReadProcessUsage(pid).cpu_seconds;
  for (absl::Time next = absl::Now() + absl::Seconds(1); next <= end; next += absl::Seconds(1)) {
    if (WaitForStop(stop, next - absl::Now())) return absl::CancelledError("stopped");
    const ProcessUsage usage = ReadProcessUsage(pid);
    seconds->push_back({.cpu = usage.cpu_seconds - before,
                        .resident_bytes = usage.resident_bytes,
                        .anonymous_bytes = usage.anonymous_bytes,
                        .store_bytes = BytesIn(store)});
    before = usage.cpu_seconds;
  }
  return absl::OkStatus();
}

absl::Status OfferLoad(const CoordinatorBenchOptions& options, const std::string& address,
                       pid_t pid, const std::string& store, const std::stop_token& stop,
                       CoordinatorBenchResult* result) {
  const LoadPlan plan(options.rollout_bytes, options.rate);
  // A connection for each actor and one for the owner, as they are processes of their own.
  std::vector<std::unique_ptr<Coordinator::Stub>> stubs;
  for (uint32_t i = 0; i <= options.streams; ++i) {
    grpc::ChannelArguments arguments = ClientArguments();
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stubs.push_back(Coordinator::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
  }
  RETURN_IF_ERROR(PublishVersion(stubs[0].get()));
  LoadOwner owner(stubs[0].get(), &plan, options.durable_every);
  std::vector<std::unique_ptr<LoadActor>> actors;
  const double rate = options.rate / options.streams;
  const auto rollouts = static_cast<uint64_t>(rate * options.seconds);
  for (uint32_t i = 0; i < options.streams; ++i) {
    actors.push_back(std::make_unique<LoadActor>(
        stubs[i + 1].get(), &plan,
        LoadActor::Options{.name = absl::StrCat("actor-", i), .rate = rate, .rollouts = rollouts}));
  }
  for (auto& actor : actors) {
    if (!actor->WaitForWork(kCoordinatorStartTimeout)) {
      RETURN_IF_ERROR(owner.Stop());
      return absl::DeadlineExceededError("the coordinator leases too few samples");
    }
  }
  const double coordinator_before = ReadProcessUsage(pid).cpu_seconds;
  const double client_before = ReadProcessUsage(::getpid()).cpu_seconds;
  const absl::Time start = absl::Now() + absl::Milliseconds(50);
  for (uint32_t i = 0; i < options.streams; ++i) {
    // Between those of the other streams.
    actors[i]->Start(start + absl::Seconds(i / options.rate));
  }
  const absl::Time end = start + absl::Seconds(options.seconds);
  RETURN_IF_ERROR(Watch(pid, store, end, stop, &result->seconds));
  std::vector<float> latencies;
  for (auto& actor : actors) {
    LoadActor::Result part = actor->Finish(end + kDrain);
    RETURN_IF_ERROR(part.status);
    latencies.insert(latencies.end(), part.latencies.begin(), part.latencies.end());
    result->sent += part.sent;
    result->refused += part.refused;
    result->lateness_ms = std::max(result->lateness_ms, 1000 * part.lateness);
  }
  const double took = std::max(options.seconds, absl::ToDoubleSeconds(absl::Now() - start));
  result->coordinator_cpu = ReadProcessUsage(pid).cpu_seconds - coordinator_before;
  result->client_cpu = ReadProcessUsage(::getpid()).cpu_seconds - client_before;
  RETURN_IF_ERROR(owner.Stop());
  std::sort(latencies.begin(), latencies.end());
  result->offered = static_cast<double>(rollouts) * options.streams / options.seconds;
  result->achieved = static_cast<double>(latencies.size()) / took;
  result->acknowledged = latencies.size();
  result->p50_ms = 1000 * Percentile(latencies, 0.5);
  result->p99_ms = 1000 * Percentile(latencies, 0.99);
  result->p999_ms = 1000 * Percentile(latencies, 0.999);
  result->max_ms = latencies.empty() ? 0 : 1000 * latencies.back();
  result->batches = owner.batches();
  result->fetched = owner.rollouts();
  return absl::OkStatus();
}

double MiB(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void Print(const CoordinatorBenchResult& result) {
  std::cout << absl::StrFormat(
      "offered       %.0f rollouts/s\n"
      "achieved      %.0f rollouts/s: %d acknowledged of %d sent, %d refused\n"
      "latency       p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms\n"
      "              of it the client's own at most %.1f ms\n"
      "disk          a synced write of one commit: p50 %.2f ms, p99 %.2f ms\n"
      "CPU           coordinator %.2f s, client %.2f s\n"
      "plan's owner  %d batches, %d rollouts fetched\n",
      result.offered, result.achieved, result.acknowledged, result.sent, result.refused,
      result.p50_ms, result.p99_ms, result.p999_ms, result.max_ms, result.lateness_ms,
      result.sync_p50_ms, result.sync_p99_ms, result.coordinator_cpu, result.client_cpu,
      result.batches, result.fetched);
  // Every second of a short run, twenty lines of a long one.
  const size_t step = std::max<size_t>(1, result.seconds.size() / 20);
  std::cout << "  second  cores  memory MiB  without files  store MiB\n";
  for (size_t i = step - 1; i < result.seconds.size(); i += step) {
    const BenchSecond& at = result.seconds[i];
    std::cout << absl::StrFormat("  %6d  %5.2f  %10.0f  %13.0f  %9.0f\n", i + 1, at.cpu,
                                 MiB(at.resident_bytes), MiB(at.anonymous_bytes),
                                 MiB(at.store_bytes));
  }
}

}  // namespace

absl::StatusOr<CoordinatorBenchResult> RunCoordinatorBench(const CoordinatorBenchOptions& options,
                                                           std::stop_token stop) {
  ASSIGN_OR_RETURN(const std::unique_ptr<BenchFolder> folder, BenchFolder::Make(options.folder));
  const std::string log = folder->path() + "/log", port = folder->path() + "/port",
                    store = folder->path() + "/store";
  CoordinatorBenchResult result;
  MeasureDisk(folder->path(), std::max<size_t>(4096, options.rate * 0.004 * options.rollout_bytes),
              &result);
  Command command = {.name = "coordinator", .log_path = log};
  command.argv = {ProgramsFolder() + "/reckon-coordinator", "--run=bench", "--store=" + store,
                  "--port_file=" + port};
  if (!options.retention.empty()) command.argv.push_back("--retention=" + options.retention);
  ASSIGN_OR_RETURN(Process process, Process::Start(command));
  ASSIGN_OR_RETURN(const std::string address, WaitForAddress(port, log, &process, stop));
  const absl::Status status = OfferLoad(options, address, process.pid(), store, stop, &result);
  if (process.Poll().has_value()) {
    return absl::InternalError(absl::StrCat("reckon-coordinator ended: ", LastWords(log)));
  }
  RETURN_IF_ERROR(status);
  process.Signal(SIGTERM);
  process.Wait(kCoordinatorStartTimeout);
  return result;
}

std::string ToJson(const CoordinatorBenchResult& r) {
  const std::string seconds =
      absl::StrJoin(r.seconds, ", ", [](std::string* out, const BenchSecond& at) {
        absl::StrAppendFormat(
            out,
            R"({"cores": %.3f, "resident_bytes": %d, "anonymous_bytes": %d, "store_bytes": %d})",
            at.cpu, at.resident_bytes, at.anonymous_bytes, at.store_bytes);
      });
  return absl::StrFormat(
      R"({"offered": %.1f, "achieved": %.1f, "sent": %d, "acknowledged": %d, "refused": %d, )"
      R"("p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "max_ms": %.3f, "lateness_ms": %.3f, )"
      R"("sync_p50_ms": %.3f, "sync_p99_ms": %.3f, "coordinator_cpu_s": %.2f, )"
      R"("client_cpu_s": %.2f, "batches": %d, "fetched": %d, "seconds": [%s]})",
      r.offered, r.achieved, r.sent, r.acknowledged, r.refused, r.p50_ms, r.p99_ms, r.p999_ms,
      r.max_ms, r.lateness_ms, r.sync_p50_ms, r.sync_p99_ms, r.coordinator_cpu, r.client_cpu,
      r.batches, r.fetched, seconds);
}

absl::Status BenchCoordinator(const CoordinatorBenchOptions& options, std::stop_token stop) {
  ASSIGN_OR_RETURN(const CoordinatorBenchResult result, RunCoordinatorBench(options, stop));
  if (options.json) {
    std::cout << ToJson(result) << std::endl;
  } else {
    Print(result);
  }
  return absl::OkStatus();
}

CommandRun AddBench(CLI::App* app) {
  const auto options = std::make_shared<CoordinatorBenchOptions>();
  CLI::App* bench = app->add_subcommand("bench", "Measure how fast a part of Reckon is");
  bench->require_subcommand(1);
  CLI::App* command = bench->add_subcommand(
      "coordinator", "Offer rollouts to a coordinator at a fixed rate: latency, CPU and memory");
  command->add_option("--rate", options->rate, "rollouts per second, over all streams")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command->add_option("--streams", options->streams, "streams, one for each actor")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--bytes", options->rollout_bytes, "bytes of a rollout")
      ->check(CLI::Range(512, 1 << 20))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "how long rollouts are offered")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  command->add_option("--folder", options->folder, "folder on the disk to measure")
      ->capture_default_str();
  command
      ->add_option("--durable-every", options->durable_every,
                   "batches that one checkpoint covers; with --retention SELECTED they are deleted")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--retention", options->retention, "as coordinator.retention");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Latency is from the time that a rollout was due to its acknowledgement.\nExamples:\n"
      "  reckon bench coordinator\n"
      "  reckon bench coordinator --rate 5000 --seconds 60 --json");
  return [options](std::stop_token stop) { return BenchCoordinator(*options, stop); };
}

}  // namespace reckon
