#include "cli/launcher/slurm_scripts.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/launcher/role_commands.h"
#include "cli/launcher/shell.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

// What both scripts begin with.
constexpr char kScriptHead[] = R"sh(
set -euo pipefail
run={RUN}
programs={PROGRAMS}
check_seconds=${RECKON_CHECK_SECONDS:-30}  # between two looks at the queue
address_file=$run/coordinator.addr
# The name of this machine for others. Set RECKON_ANNOUNCE in slurm.setup to use another interface.
announce=${RECKON_ANNOUNCE:-$(hostname)}
{SETUP}
say() { echo "$(date '+%F %T') $*"; }
# Runs a command without what Slurm has set for this job.
outside() { (
  conf=${SLURM_CONF-}
  unset ${!SLURM_@}
  [ -z "$conf" ] || export SLURM_CONF="$conf"
  exec "$@"
) }
# A signal ends the wait, unlike a sleep.
pause() { sleep "$1" & wait $! || true; }
# Where programs serve their metrics, one file each for Prometheus (file_sd_configs).
targets=$run/targets
mkdir -p "$targets"
)sh";

constexpr char kLearner[] = R"sh(
wanted_file=$run/slurm/actors   # how many actors the run is to have; may be changed while it runs
failures_file=$run/slurm/failures

attempt=1
while [ -e "$run/logs/attempt_$attempt" ]; do attempt=$((attempt + 1)); done
logs=$run/logs/attempt_$attempt
mkdir -p "$logs"
ln -sfn "attempt_$attempt" "$run/logs/latest"
exec >>"$logs/job.log" 2>&1
say "attempt $attempt: job $SLURM_JOB_ID on $SLURM_JOB_NODELIST:" $(scontrol show hostnames "$SLURM_JOB_NODELIST")

coordinator= ranks= actors= keeper= stopping=
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
end() { ! alive "$1" || kill -TERM "$1" || true; }
stop() {
  stopping=$1
  say "asked to stop: $1"
  rm -f "$address_file"
  # To the ranks and not to srun, which would kill them. TERM they get from Slurm.
  [ "$1" != requeue ] || ! alive "$ranks" || scancel --signal=TERM "$SLURM_JOB_ID.0" || true
}
trap 'stop requeue' USR1
trap 'stop end' TERM
trap 'rm -f "$address_file" "$targets"/coordinator.json "$targets"/learner-*.json; end "$keeper"; end "$coordinator"; wait' EXIT

cancel_actors() { {CANCEL_ACTORS}; }
end_run() { cancel_actors; exit "$1"; }
requeue() {
  say "requeueing job $SLURM_JOB_ID"
  trap '' TERM
  scontrol requeue "$SLURM_JOB_ID"
  end "$coordinator"
  wait
  exit 0
}
# Five failed attempts in a row without a new line in metrics.jsonl are enough.
count_failure() {
  local count=0 before=0 now
  now=$(wc -c <"$run/metrics.jsonl" 2>/dev/null || echo 0)
  [ ! -e "$failures_file" ] || read -r count before <"$failures_file"
  [ "$now" -le "$before" ] || count=0
  echo "$((count + 1)) $now" >"$failures_file"
  [ "$((count + 1))" -lt 5 ]
}

rm -f "$address_file"
"$programs/reckon-coordinator" {COORDINATOR} \
  --announce="$announce" --port_file="$address_file" --metrics_target="$targets/coordinator.json" >"$logs/coordinator.log" 2>&1 &
coordinator=$!
until [ -s "$address_file" ] || [ -n "$stopping" ] || ! alive "$coordinator"; do pause 0.2; done

if [ -s "$address_file" ]; then
  address=$(cat "$address_file")
  say "the coordinator is at $address"
  export RECKON_LOGS=$logs RECKON_TARGETS=$targets
  # A rank's own exit status is kept, because srun's is that of the rank which it killed.
  srun {LEARNER_STEP} --mpi=none --kill-on-bad-exit=1 --output="${logs//%/%%}/learner-%t.log" bash -c '
    trap : TERM
    announce=${RECKON_ANNOUNCE:-$(hostname)}
    "$@" --rank="$SLURM_PROCID" --announce="$announce" --metrics_target="$RECKON_TARGETS/learner-$SLURM_PROCID.json"
    code=$?
    echo $code >"$RECKON_LOGS/learner-$SLURM_PROCID.exit"
    exit $code' rank "$programs/reckon-learner" {LEARNER} \
    --coordinator="$address" --world_size={RANKS} --nonce="$SLURM_JOB_ID.$attempt" &
  ranks=$!
  {START_ACTORS}
fi
while alive "$ranks" && alive "$coordinator" && { [ -z "$actors" ] || alive "$actors"; }; do pause 1; done
# What has failed may leave a rank that waits for it.
for part in "$ranks" "$coordinator" "$actors"; do
  [ -n "$part" ] && ! alive "$part" || continue
  code=0; wait "$part" || code=$?
  [ "$code" != 78 ] || echo 78 >"$logs/part.exit"
  say "the $([ "$part" = "$ranks" ] && echo learner || { [ "$part" = "$coordinator" ] && echo coordinator || echo actors; }) ended with status $code"
done
[ -n "$stopping" ] || end "$ranks"
while alive "$ranks"; do pause 1; done
end "$actors"

if grep -q '"finished": *true' "$run/progress.json" 2>/dev/null; then
  say "the run is finished"
  rm -f "$failures_file"
  end_run 0
fi
case $stopping in
  requeue) requeue ;;
  end) exit 143 ;;  # preempted, and Slurm requeues it; or cancelled
esac
if grep -qx 78 "$logs"/*.exit 2>/dev/null; then
  say "another start would end the same way; the last words are in $logs"
  end_run 78
fi
if ! count_failure; then
  say "five attempts in a row have failed; the last words are in $logs"
  end_run 1
fi
requeue
)sh";

// With slurm.actors: ARRAY.
constexpr char kKeepActors[] = R"sh(
  # Asks Slurm for the actors that the run lacks, and to cancel those it has too many of.
  keep_actors() {
    while pause "$check_seconds"; do
      wanted=$(cat "$wanted_file") || continue
      tasks=$(squeue --noheader --array --user="$(id -un)" --name="$actors_name" --format='%K %i') || continue
      missing=
      for ((i = 0; i < wanted; i++)); do
        grep -q "^$i " <<<"$tasks" || missing=$missing,$i
      done
      if [ -n "$missing" ]; then
        say "submitting actors ${missing#,}"
        outside sbatch --parsable --array="${missing#,}" --job-name="$actors_name" \
          "$run/slurm/actor.sbatch" "$SLURM_JOB_ID" || true
      fi
      while read -r i task; do
        if [ -n "$task" ] && [ "$i" -ge "$wanted" ]; then
          say "cancelling actor $i"
          scancel "$task" || true
        fi
      done <<<"$tasks"
    done
  }
  keep_actors &
  keeper=$!)sh";

constexpr char kActor[] = R"sh(
learner_job=${1:?the id of the job of the learner}
index=${SLURM_ARRAY_TASK_ID:-$SLURM_PROCID}
actor= stopping=
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
stop() {
  stopping=$1
  say "asked to stop: $1"
  ! alive "$actor" || kill -TERM "$actor" || true
}
trap 'stop requeue' USR1
trap 'stop end' TERM
trap 'rm -f "$targets/actor-$index.json"' EXIT

# Whether the learner's job has left the queue. False while Slurm does not answer.
run_is_over() {
  local said
  if said=$(squeue --noheader --jobs="$learner_job" --format=%T 2>&1); then
    [ -z "$said" ]
  else
    [[ $said == *"Invalid job id"* ]]
  fi
}

asked=$SECONDS
while [ -z "$stopping" ]; do
  address=$(cat "$address_file" 2>/dev/null || true)
  if [ -z "$address" ]; then
    if [ $((SECONDS - asked)) -ge "$check_seconds" ]; then
      asked=$SECONDS
      ! run_is_over || exit 0
    fi
    pause 1
    continue
  fi
  log=$(readlink -f "$run/logs/latest")/actor-$index.log
  "$programs/reckon-actor" {ACTOR} --coordinator="$address" --name="actor-$index" \
    --announce="${RECKON_ANNOUNCE:-$(hostname)}" \
    --metrics_target="$targets/actor-$index.json" >>"$log" 2>&1 &
  actor=$!
  # Until it ends, or the coordinator is elsewhere, or the run is over.
  while alive "$actor"; do
    now=$(cat "$address_file" 2>/dev/null || true)
    if [ -n "$now" ] && [ "$now" != "$address" ]; then
      say "the coordinator has moved to $now"
      kill -TERM "$actor" || true
      break
    fi
    # A learner's job that was killed has left its address.
    if [ $((SECONDS - asked)) -ge "$check_seconds" ]; then
      asked=$SECONDS
      ! run_is_over || stop end
    fi
    pause 1
  done
  code=0
  while alive "$actor"; do pause 0.2; done
  wait "$actor" || code=$?
  if [ "$code" = 78 ]; then
    say "an actor cannot work; its last words are in $log"
    {ON_REFUSAL}
  fi
  [ "$code" = 0 ] || exit "$code"
done
[ "$stopping" != requeue ] || {REQUEUE_ACTOR}
)sh";

// A value of a #SBATCH line, which Slurm reads by rules of its own.
absl::StatusOr<std::string> OptionValue(absl::string_view what, const std::string& value) {
  if (value.find_first_of("\"\\\n\r'") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": '", value, "' has a quote, a backslash or a line break, which a line of options ",
        "of sbatch cannot have"));
  }
  const bool quotes = value.find_first_of(" \t#") != std::string::npos;
  return quotes ? absl::StrCat("\"", value, "\"") : value;
}

class Options {
 public:
  void Add(absl::string_view option) { absl::StrAppend(&text_, "#SBATCH ", option, "\n"); }
  template <typename Value>
  void Add(absl::string_view option, const Value& value) {
    absl::StrAppend(&text_, "#SBATCH ", option, "=", value, "\n");
  }
  absl::Status AddText(absl::string_view option, absl::string_view what, const std::string& value) {
    if (value.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::string text, OptionValue(what, value));
    Add(option, text);
    return absl::OkStatus();
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string Quoted(const std::vector<std::string>& arguments) {
  return absl::StrJoin(arguments, " ", [](std::string* out, const std::string& argument) {
    absl::StrAppend(out, ShellQuoted(argument));
  });
}

class Scripts {
 public:
  Scripts(const RunConfig& config, const SlurmPlace& place)
      : config_(config), slurm_(config.slurm()), place_(place) {}

  absl::StatusOr<std::vector<RenderedFile>> Render() {
    const ResourceSettings& resources = config_.resources();
    if (resources.learner_ranks() % resources.learner_nodes() != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "resources.learner_ranks is ", resources.learner_ranks(),
          "; it must be a multiple of resources.learner_nodes, ", resources.learner_nodes()));
    }
    ASSIGN_OR_RETURN(std::string learner, LearnerScript());
    ASSIGN_OR_RETURN(std::string actor, ActorScript());
    return std::vector<RenderedFile>{{"learner.sbatch", std::move(learner)},
                                     {"actor.sbatch", std::move(actor)}};
  }

 private:
  bool heterogeneous() const { return slurm_.actors() == SlurmSettings::HETEROGENEOUS; }

  absl::Status AddCommon(Options* options, const std::string& partition) const {
    RETURN_IF_ERROR(options->AddText("--partition", "slurm.partition", partition));
    RETURN_IF_ERROR(options->AddText("--account", "slurm.account", slurm_.account()));
    RETURN_IF_ERROR(options->AddText("--qos", "slurm.qos", slurm_.qos()));
    if (slurm_.time_limit_minutes() > 0) options->Add("--time", slurm_.time_limit_minutes());
    for (const std::string& option : slurm_.option()) {
      if (option.find('\n') != std::string::npos || option.rfind("--", 0) != 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "slurm.option: '", option, "' must be one option of sbatch, as --constraint=h100"));
      }
      options->Add(option);
    }
    return absl::OkStatus();
  }

  // Of a job, and not of a part of a heterogeneous one.
  absl::Status AddJob(Options* options, const std::string& log) const {
    RETURN_IF_ERROR(options->AddText("--output", "the run's folder",
                                     absl::StrReplaceAll(place_.run_dir, {{"%", "%%"}}) + log));
    options->Add("--open-mode=append");
    options->Add("--requeue");
    options->Add("--signal", absl::StrCat("B:USR1@", slurm_.grace_seconds()));
    return absl::OkStatus();
  }

  static void AddProcess(Options* options, const RoleResources& resources) {
    options->Add("--cpus-per-task", ClusterCpus(resources));
    if (resources.gpus() > 0) options->Add("--gpus-per-task", resources.gpus());
  }

  // srun does not take the first over from the job.
  static std::string ForStep(const RoleResources& resources) {
    std::string text = absl::StrCat("--cpus-per-task=", ClusterCpus(resources));
    if (resources.gpus() > 0) absl::StrAppend(&text, " --gpus-per-task=", resources.gpus());
    return text;
  }

  absl::StatusOr<std::string> LearnerScript() const {
    const ResourceSettings& resources = config_.resources();
    const uint32_t per_node = resources.learner_ranks() / resources.learner_nodes();
    Options options;
    RETURN_IF_ERROR(options.AddText("--job-name", "name", config_.name()));
    RETURN_IF_ERROR(AddJob(&options, "/logs/slurm-%j.log"));
    RETURN_IF_ERROR(AddCommon(&options, slurm_.partition()));
    options.Add("--nodes", resources.learner_nodes());
    options.Add("--ntasks-per-node", per_node);
    AddProcess(&options, resources.learner());
    // The coordinator is on the first node, and the nodes of one job have equal memory.
    options.Add("--mem-per-cpu", PerCpu(per_node * resources.learner().memory_gib() +
                                            resources.coordinator().memory_gib(),
                                        per_node * ClusterCpus(resources.learner())));
    if (heterogeneous()) {
      options.Add("hetjob");
      RETURN_IF_ERROR(AddCommon(&options, ActorPartition()));
      options.Add("--ntasks", resources.actors());
      AddProcess(&options, resources.actor());
      options.Add("--mem-per-cpu", ActorMemoryPerCpu());
    }

    const std::string listen = ListenOnAll(config_.coordinator().listen());
    const std::string start =
        heterogeneous()
            ? absl::StrCat("srun --het-group=1 ", ForStep(resources.actor()),
                           " --mpi=none --kill-on-bad-exit=1 "
                           "--output=\"${logs//%/%%}/actors.log\" bash ",
                           "\"$run/slurm/actor.sbatch\" \"$SLURM_JOB_ID\" &\n  actors=$!")
            : absl::StrCat("actors_name=", ShellQuoted(SlurmActorsName(config_, "")),
                           "$SLURM_JOB_ID", kKeepActors);
    const std::string cancel =
        heterogeneous()
            ? ":"
            : absl::StrCat("scancel --user=\"$(id -un)\" --name=",
                           ShellQuoted(SlurmActorsName(config_, "")), "\"$SLURM_JOB_ID\" || true");
    return absl::StrCat(
        "#!/bin/bash\n# The coordinator and the learner ranks of the run ", config_.name(),
        ". Made by `reckon launch --slurm`.\n", options.text(), Head(),
        absl::StrReplaceAll(
            kLearner,
            {{"{CANCEL_ACTORS}", cancel},
             {"{START_ACTORS}", start},
             {"{LEARNER_STEP}",
              absl::StrCat(heterogeneous() ? "--het-group=0 " : "", ForStep(resources.learner()))},
             {"{RANKS}", absl::StrCat(resources.learner_ranks())},
             {"{COORDINATOR}",
              Quoted(CoordinatorArguments(config_, {.store = place_.run_dir + "/store",
                                                    .listen = listen,
                                                    .ports = Ports("coordinator")}))},
             {"{LEARNER}", Quoted(LearnerArguments({.config = place_.run_dir + "/config.textproto",
                                                    .run_dir = place_.run_dir,
                                                    .listen = "[::]:0",
                                                    .ports = Ports("learner")}))}}));
  }

  absl::StatusOr<std::string> ActorScript() const {
    const RoleResources& resources = config_.resources().actor();
    Options options;
    RETURN_IF_ERROR(AddJob(&options, "/logs/actors.log"));
    RETURN_IF_ERROR(AddCommon(&options, ActorPartition()));
    options.Add("--ntasks=1");
    AddProcess(&options, resources);
    options.Add("--mem-per-cpu", ActorMemoryPerCpu());
    const std::string on_refusal =
        heterogeneous()
            ? "echo 78 >\"$(dirname \"$log\")/actor-$index.exit\""
            : "scancel \"$learner_job\"; outside scancel --name=\"$SLURM_JOB_NAME\" || true";
    return absl::StrCat(
        "#!/bin/bash\n# One actor of the run ", config_.name(),
        ". Made by `reckon launch --slurm`.\n", options.text(), Head(),
        absl::StrReplaceAll(
            kActor,
            {{"{ON_REFUSAL}", on_refusal},
             {"{REQUEUE_ACTOR}", heterogeneous() ? "exit 0" : "scontrol requeue \"$SLURM_JOB_ID\""},
             {"{ACTOR}", Quoted(ActorArguments(config_, {.threads = ClusterCpus(resources),
                                                         .listen = "[::]:0",
                                                         .ports = Ports("actor")}))}}));
  }

  std::string Head() const {
    return absl::StrReplaceAll(kScriptHead, {{"{RUN}", ShellQuoted(place_.run_dir)},
                                             {"{PROGRAMS}", ShellQuoted(place_.programs)},
                                             {"{SETUP}", absl::StrJoin(slurm_.setup(), "\n")}});
  }

  // Memory is asked for by core, since a step of several actors cannot ask by process, and the
  // parts of a heterogeneous job all have to ask in the same way.
  static std::string PerCpu(uint64_t gib, uint32_t cpus) {
    return absl::StrCat((gib * 1024 + cpus - 1) / cpus, "M");
  }
  std::string ActorMemoryPerCpu() const {
    const RoleResources& resources = config_.resources().actor();
    return PerCpu(resources.memory_gib(), ClusterCpus(resources));
  }

  std::string ActorPartition() const {
    return slurm_.actor_partition().empty() ? slurm_.partition() : slurm_.actor_partition();
  }

  RolePorts Ports(const std::string& role) const {
    // Any free port: several processes may share a node.
    RolePorts ports = {.certificates = "", .health_listen = "", .metrics_listen = "[::]:0"};
    if (!place_.certificates.empty()) {
      ports.certificates = absl::StrCat(place_.certificates, "/", role);
    }
    return ports;
  }

  // A coordinator that listens on loopback alone, which is the default, would have no actors.
  static std::string ListenOnAll(const std::string& listen) {
    const absl::StatusOr<HostPort> address = ParseHostPort(listen);
    if (!address.ok()) return "[::]:0";
    const bool loopback = address->host == "localhost" || address->host == "::1" ||
                          address->host.rfind("127.", 0) == 0;
    return loopback ? HostPort{"::", address->port}.ToString() : listen;
  }

  const RunConfig& config_;
  const SlurmSettings& slurm_;
  const SlurmPlace& place_;
};

}  // namespace

absl::StatusOr<std::vector<RenderedFile>> RenderSlurm(const RunConfig& config,
                                                      const SlurmPlace& place) {
  return Scripts(config, place).Render();
}

std::string SlurmActorsName(const RunConfig& config, const std::string& learner_job) {
  return absl::StrCat(config.name(), "-actors-", learner_job);
}

}  // namespace reckon
