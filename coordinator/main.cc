// reckon-coordinator: the process that keeps plans, leases, rollouts and weight versions of one
// run.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/base/exit_status.h"
#include "common/base/files.h"
#include "common/base/program_flags.h"
#include "common/base/status_macros.h"
#include "common/base/stop.h"
#include "common/config/ranges.h"
#include "common/telemetry/operator_ports.h"
#include "coordinator/service/read_streams.h"
#include "coordinator/service/server.h"
#include "coordinator/store/rocks_store.h"
#include "proto/config.pb.h"
// Last.
#include "common/base/log.h"

namespace {
// The flags are the config's CoordinatorSettings, with its defaults and ranges.
const reckon::CoordinatorSettings& Defaults() {
  return reckon::CoordinatorSettings::default_instance();
}
}  // namespace

ABSL_FLAG(std::string, run, "", "name of the run; a store belongs to one run");
ABSL_FLAG(std::string, store, "", "folder of the store, created when absent");
ABSL_FLAG(std::string, listen, Defaults().listen(),
          "HOST:PORT to listen on; port 0: any free port");
ABSL_FLAG(std::string, certificates, "",
          "folder with ca.crt, tls.crt, tls.key and token; empty: plain text, on loopback only");
ABSL_FLAG(std::string, announce, "",
          "name or address at which others reach it; default: the host of --listen, or this "
          "machine's name when that is 0.0.0.0 or [::]");
ABSL_FLAG(std::string, port_file, "",
          "file to write that host and the chosen port to, as HOST:PORT, when listening");
ABSL_FLAG(uint32_t, lease_ms, Defaults().lease_ms(),
          "milliseconds until a lease that is not renewed expires");
ABSL_FLAG(uint32_t, max_attempts, Defaults().max_attempts(),
          "failed attempts after which a group is set aside");
ABSL_FLAG(uint32_t, sync_tick_ms, Defaults().sync_tick_ms(),
          "least milliseconds between the beginnings of two commits");
ABSL_FLAG(uint32_t, max_resident_groups, Defaults().max_resident_groups(),
          "groups of a plan that may be appended and not complete");
ABSL_FLAG(std::string, retention,
          reckon::CoordinatorSettings::Retention_Name(Defaults().retention()),
          "ALL: keep every rollout; SELECTED: delete durable ones that no selection names");
ABSL_FLAG(uint32_t, rank_timeout_ms, Defaults().rank_timeout_ms(),
          "milliseconds without news of a learner rank after which its group must start again");
ABSL_FLAG(bool, dump_state, false, "print the counts of the store as text and exit");

namespace reckon {
namespace {

absl::StatusOr<CoordinatorSettings> SettingsFromFlags() {
  if (absl::GetFlag(FLAGS_store).empty()) return absl::InvalidArgumentError("--store is required");
  if (absl::GetFlag(FLAGS_run).empty() && !absl::GetFlag(FLAGS_dump_state)) {
    return absl::InvalidArgumentError("--run is required");
  }
  CoordinatorSettings settings;
  settings.set_listen(absl::GetFlag(FLAGS_listen));
  settings.set_lease_ms(absl::GetFlag(FLAGS_lease_ms));
  settings.set_max_attempts(absl::GetFlag(FLAGS_max_attempts));
  settings.set_sync_tick_ms(absl::GetFlag(FLAGS_sync_tick_ms));
  settings.set_max_resident_groups(absl::GetFlag(FLAGS_max_resident_groups));
  settings.set_rank_timeout_ms(absl::GetFlag(FLAGS_rank_timeout_ms));
  CoordinatorSettings::Retention retention;
  if (!CoordinatorSettings::Retention_Parse(absl::GetFlag(FLAGS_retention), &retention)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--retention=", absl::GetFlag(FLAGS_retention), " must be ALL or SELECTED"));
  }
  settings.set_retention(retention);
  RETURN_IF_ERROR(CheckRanges(settings));
  return settings;
}

// `reckon show` opens the store of a run whose coordinator is not there, for a moment.
constexpr absl::Duration kStoreInUse = absl::Seconds(5);

absl::StatusOr<std::unique_ptr<RocksStore>> OpenStore(const std::string& folder,
                                                      const std::stop_token& stop) {
  const absl::Time give_up = absl::Now() + kStoreInUse;
  while (true) {
    absl::StatusOr<std::unique_ptr<RocksStore>> store = RocksStore::Open(folder);
    if (!absl::IsUnavailable(store.status()) || absl::Now() > give_up) return store;
    if (WaitForStop(stop, absl::Milliseconds(100))) return store;
  }
}

absl::Status DumpState(const Store& store, const CoreOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Core> core, Core::Recover(&store, options));
  uint64_t rollouts = 0;
  RETURN_IF_ERROR(store.Scan("r", "", [&](absl::string_view, absl::string_view) {
    ++rollouts;
    return true;
  }));
  ASSIGN_OR_RETURN(PlanStatuses plans, ReadPlans(store));
  GetStatusReply status = core->Status(absl::Now(), /*specs=*/true);
  AddFinishedPlans(std::move(plans), &status);
  std::cout << status.DebugString() << "rollouts_stored: " << rollouts
            << "\nrollouts_evicted: " << core->evicted() << std::endl;
  return core->CheckInvariants();
}

absl::Status Main(std::stop_source& stop) {
  ASSIGN_OR_RETURN(const CoordinatorSettings settings, SettingsFromFlags());
  CoordinatorServer::Options options;
  options.core.run = absl::GetFlag(FLAGS_run);
  options.core.lease = absl::Milliseconds(settings.lease_ms());
  options.core.max_attempts = settings.max_attempts();
  options.core.max_resident_groups = settings.max_resident_groups();
  options.core.retention = settings.retention();
  options.core.rank_timeout = absl::Milliseconds(settings.rank_timeout_ms());
  options.committer.sync_tick = absl::Milliseconds(settings.sync_tick_ms());
  options.listen = settings.listen();
  ASSIGN_OR_RETURN(options.security,
                   Security::Load(absl::GetFlag(FLAGS_certificates), Role::kCoordinator));
  options.announce = absl::GetFlag(FLAGS_announce);
  absl::Status failure;
  absl::Mutex mu;
  options.committer.on_failure = [&](const absl::Status& status) {
    absl::MutexLock lock(&mu);
    failure = status;
    stop.request_stop();
  };

  ASSIGN_OR_RETURN(const std::unique_ptr<OperatorPorts> ports,
                   OperatorPorts::Open("coordinator", &CoordinatorMetrics::Process().activity));
  const Registry::Handle disk = WatchDisk(absl::GetFlag(FLAGS_store), &Registry::Process());
  ASSIGN_OR_RETURN(const std::unique_ptr<RocksStore> store,
                   OpenStore(absl::GetFlag(FLAGS_store), stop.get_token()));
  if (absl::GetFlag(FLAGS_dump_state)) return DumpState(*store, options.core);
  ASSIGN_OR_RETURN(std::unique_ptr<CoordinatorServer> server,
                   CoordinatorServer::Start(store.get(), std::move(options)));
  LOG(INFO) << "the coordinator of run '" << absl::GetFlag(FLAGS_run) << "' listens on "
            << settings.listen() << " and is reached at " << server->address();
  if (const std::string file = absl::GetFlag(FLAGS_port_file); !file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(file, server->address()));
  }
  WaitForStop(stop.get_token(), absl::InfiniteDuration());
  server.reset();
  absl::MutexLock lock(&mu);
  return failure;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  std::stop_source stop;
  reckon::StopOnSignals(stop);
  reckon::ParseProgramFlags(argc, argv, "the coordinator of a Reckon run");
  reckon::InitLogging(argv[0]);
  const absl::Status status = reckon::Main(stop);
  if (status.ok()) return 0;
  std::fprintf(stderr, "reckon-coordinator: %s\n", std::string(status.message()).c_str());
  return reckon::ExitStatus(status);
}
