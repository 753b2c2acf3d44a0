#include "cli/commands/doctor.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/commands/machine.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/process.h"
#include "cli/launcher/run_dir.h"
#include "common/base/machine_limits.h"
#include "common/model/transfer/fetch.h"
#include "common/model/transfer/server.h"
#include "common/telemetry/figures.h"

namespace reckon {
namespace {

// Prints one line for each check and counts those that fail.
class Checks {
 public:
  void Good(const std::string& name, const std::string& what) { Line("ok", name, what); }
  void Warn(const std::string& name, const std::string& what) { Line("warn", name, what); }
  void Fail(const std::string& name, const std::string& what) {
    Line("FAIL", name, what);
    ++failed_;
  }
  int failed() const { return failed_; }

 private:
  static void Line(const char* verdict, const std::string& name, const std::string& what) {
    std::cout << absl::StrFormat("%-4s  %-12s %s\n", verdict, name, what) << std::flush;
  }
  int failed_ = 0;
};

void CheckCpu(Checks* checks) {
  std::set<std::string> flags = CpuFlags();
  std::string found, missing;
  for (const char* flag : {"avx2", "avx512f", "avx512_bf16"}) {
    std::string* list = flags.contains(flag) ? &found : &missing;
    absl::StrAppend(list, list->empty() ? "" : " ", flag);
  }
  std::string what = absl::StrCat(CpuName(), ", ", UsableCores(), " cores; ",
                                  found.empty() ? "no vector instructions" : found,
                                  missing.empty() ? "" : absl::StrCat("; without ", missing));
  if (!flags.contains("avx2")) {
    checks->Fail("cpu", what + "; Reckon's CPU kernels need AVX2, use another machine");
  } else if (!flags.contains("avx512_bf16")) {
    checks->Warn("cpu", what + "; bf16 products are emulated and therefore slow");
  } else {
    checks->Good("cpu", what);
  }
}

void CheckSpace(Checks* checks) {
  const MachineLimits limits = ReadMachineLimits();
  const auto memory = static_cast<double>(limits.available_memory_bytes);
  std::string what = absl::StrCat(
      FormatBytes(memory), " available of ", FormatBytes(static_cast<double>(limits.memory_bytes)),
      limits.memory_is_limited ? ", the limit of this container or group" : "");
  if (memory < 2 * kGiB) {
    checks->Fail("memory", what + "; training SmolLM2-135M needs about 6 GiB");
  } else if (memory < 6 * kGiB) {
    checks->Warn("memory", what + "; lower actor.kv_cache_mib and learner.micro_batch_tokens");
  } else {
    checks->Good("memory", what);
  }
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  auto disk = static_cast<double>(FreeDiskBytes("."));
  what = absl::StrCat(FormatBytes(disk), " free in ", here);
  if (error) {
    checks->Fail("disk", absl::StrCat("the working directory: ", error.message()));
  } else if (disk < 1 * kGiB) {
    checks->Fail("disk", what + "; set output_dir to a folder on a larger disk");
  } else if (disk < 10 * kGiB) {
    checks->Warn("disk", what + "; checkpoints of SmolLM2-135M take about 5 GiB");
  } else {
    checks->Good("disk", what);
  }
  checks->Good("/dev/shm",
               absl::StrCat(FormatBytes(static_cast<double>(FreeDiskBytes("/dev/shm"))), " free"));
}

// Starts a program with --version, which shows that its shared libraries are found and load.
void CheckProgram(const std::string& program, std::stop_token stop, Checks* checks) {
  std::string path = absl::StrCat(ProgramsFolder(), "/", program);
  const absl::StatusOr<std::string> folder = MakeTemporaryFolder();
  if (!folder.ok()) return checks->Fail(program, std::string(folder.status().message()));
  const std::string log = *folder + "/log";
  absl::StatusOr<Process> process = Process::Start({program, {path, "--version"}, log});
  if (!process.ok()) {
    checks->Fail(program, std::string(process.status().message()));
  } else {
    std::optional<int> ended = process->Wait(absl::Seconds(30));
    if (!ended) {
      checks->Fail(program, path + " --version has not ended after 30 s");
    } else if (*ended != 0) {
      checks->Fail(program, absl::StrCat(path, " --version ", DescribeExit(*ended), ": ",
                                         LastLines(log, 1)));
    } else {
      checks->Good(program, path + " starts");
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(*folder, ignored);
}

// Asks a weight server in this process for weights that it does not have. Its own NOT_FOUND shows
// that the call got through.
void CheckLoopback(Checks* checks) {
  absl::StatusOr<std::unique_ptr<WeightServer>> server =
      WeightServer::Start("127.0.0.1:0", Security::PlainText());
  if (!server.ok()) {
    checks->Fail("loopback", std::string(server.status().message()));
    return;
  }
  WeightManifest manifest;
  TensorEntry* tensor = manifest.add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("F32");
  tensor->add_shape(1);
  manifest.set_total_bytes(4);
  manifest.set_chunk_bytes(4);
  manifest.add_chunk_sha256(std::string(32, '\0'));
  manifest.add_sources((*server)->address());
  absl::Status status = FetchWeights(manifest, Security::PlainText(), {}).status();
  if (absl::IsNotFound(status)) {
    checks->Good("loopback", "gRPC over 127.0.0.1 answers");
  } else {
    checks->Fail("loopback", absl::StrCat("gRPC over 127.0.0.1: ", status.message(),
                                          "; a firewall may forbid it"));
  }
}

}  // namespace

absl::Status Doctor(std::stop_token stop) {
  Checks checks;
  CheckCpu(&checks);
  CheckSpace(&checks);
  CheckLoopback(&checks);
  for (const char* program : {"reckon-coordinator", "reckon-actor", "reckon-learner"}) {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    CheckProgram(program, stop, &checks);
  }
  if (checks.failed() > 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "doctor: ", checks.failed(), " of the checks failed; see the lines that begin with FAIL"));
  }
  return absl::OkStatus();
}

CommandRun AddDoctor(CLI::App* app) {
  app->add_subcommand("doctor", "Check whether this machine can run Reckon")
      ->footer("Example:\n  reckon doctor");
  return [](std::stop_token stop) { return Doctor(stop); };
}

}  // namespace reckon
