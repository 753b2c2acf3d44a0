"""What the scripts of `reckon launch --slurm` do when parts of a run fail, on a real Slurm of three nodes.

The programs are shell scripts that fail as a test wants, so only the scripts and Slurm are tested. The
runs are in the queue at the same time:

  parts     a rank fails, while the other would wait for it forever; in the next attempt the coordinator
            fails; in the third, an actor of the same job: each time all others are ended, the nodes are
            released, and the job is requeued. The fourth attempt finishes the run.
  refused   a rank ends with exit status 78: the run ends, and its actors are cancelled
  damaged   so does the coordinator
  unusable  an actor ends with exit status 78: the run ends
  hopeless  every attempt fails: the fifth is the last
  orphaned  the script of the learner's job is killed, so that nothing is tidied up: its actors leave

Exits 77 without root or Slurm.
"""

import os
import pathlib
import subprocess

from harness import expect, write_config
from slurm_cluster import SlurmCluster, slurm_folder
from slurm_run import SlurmRun

# Known to all programs: their run folder and the attempt. A program that is to wait is its own process,
# so that it ends by TERM.
HEAD = r"""#!/bin/bash
rank=0
for argument; do
  case $argument in
    --store=*) run=${argument#*=}; run=${run%/store} ;;
    --run_dir=*) run=${argument#*=} ;;
    --rank=*) rank=${argument#*=} ;;
    --port_file=*) port_file=${argument#*=} ;;
    --metrics_target=*) run=${argument#*=}; run=${run%/targets/*} ;;
  esac
done
attempt=$(readlink "$run/logs/latest")
attempt=${attempt#attempt_}
forever() { exec sleep 3600; }
"""
COORDINATOR = 'echo 127.0.0.1:1 >"$port_file"\n'
FINISH = """echo '{"finished": true}' >"$run/progress.json"; exit 0"""

PARTS = {
    # The coordinator fails once both ranks of the second attempt run.
    "coordinator": COORDINATOR + """
[ $attempt != 2 ] || { until [ -e "$run/rank_0_2" ] && [ -e "$run/rank_1_2" ]; do sleep 0.1; done; exit 1; }
forever""",
    "learner": """
echo $$ >"$run/rank_${rank}_$attempt"
[ $rank$attempt != 11 ] || { until [ -e "$run/rank_0_1" ]; do sleep 0.1; done; exit 1; }
[ $rank$attempt != 04 ] || { """ + FINISH + """; }
[ $rank$attempt != 14 ] || exit 0
forever""",
    "actor": """
[ $attempt != 3 ] || { until [ -e "$run/rank_0_3" ] && [ -e "$run/rank_1_3" ]; do sleep 0.1; done; exit 1; }
forever""",
}
REFUSED = {"coordinator": COORDINATOR + "forever", "learner": "exit 78", "actor": "forever"}
DAMAGED = {"coordinator": "exit 78", "learner": "forever", "actor": "forever"}
UNUSABLE = {"coordinator": COORDINATOR + "forever", "learner": "forever", "actor": "exit 78"}
ORPHANED = {"coordinator": COORDINATOR + "forever", "learner": "forever", "actor": "forever"}
HOPELESS = {"coordinator": COORDINATOR + "forever", "learner": "exit 1", "actor": "forever"}


def launch(cluster, folder, name, model, programs, *options, **size):
    place = folder / f"{name}_programs"
    place.mkdir()
    for role, text in programs.items():
        program = place / f"reckon-{role}"
        program.write_text(HEAD + text + "\n")
        program.chmod(0o755)
    os.environ["RECKON_PROGRAMS"] = str(place)
    cpus = ("--set", "resources.learner.cpus=1", "--set", "resources.actor.cpus=1")
    return SlurmRun(cluster, write_config(folder, name, model, **size), *cpus, *options)


def check_parts(run_):
    run_.finish()
    log = [run_.job_log(attempt) for attempt in range(1, 5)]
    expect(run_.attempts() == 4, f"{run_.attempts()} attempts, not 4", run_)
    expect(all("requeueing job" in text for text in log[:3]), "an attempt was not requeued", run_)
    expect("the learner ended with status" in log[0], "the rank's end is not told", run_)
    expect("the coordinator ended with status 1" in log[1], "the coordinator's end is not told", run_)
    expect("the actors ended with status 1" in log[2], "the actors' end is not told", run_)
    expect(not (run_.run_dir / "slurm" / "failures").exists(), "failures are counted after the end", run_)
    for file in run_.run_dir.glob("rank_*"):
        alive = pathlib.Path("/proc", file.read_text().strip()).exists()
        expect(not alive, f"{file.name} outlived its attempt", run_)


def check_ended(run_, attempts, words):
    run_.leave_queue()
    expect(run_.attempts() == attempts, f"{run_.attempts()} attempts, not {attempts}", run_)
    log = run_.job_log(attempts)
    expect(words in log, f"the last attempt does not say '{words}'", run_)
    expect("requeueing" not in log, "the run was requeued at its end", run_)


def check_orphaned(run_):
    run_.until("the actors run", lambda: run_.running(1) and (run_.run_dir / "logs/latest/actor-0.log").exists())
    subprocess.run(["scancel", "--signal=KILL", "--batch", run_.job], check=True)
    run_.leave_queue(timeout=60)
    address = (run_.run_dir / "coordinator.addr").read_text()
    expect(address, "the address is gone, so another case was tested", run_)


def main():
    with slurm_folder() as (folder, model):
        with SlurmCluster(folder / "slurm") as cluster:
            parts = launch(cluster, folder, "parts", model, PARTS,
                           "--set", "resources.learner_nodes=2", "--set", "slurm.actors=HETEROGENEOUS",
                           ranks=2)
            refused = launch(cluster, folder, "refused", model, REFUSED)
            damaged = launch(cluster, folder, "damaged", model, DAMAGED)
            unusable = launch(cluster, folder, "unusable", model, UNUSABLE)
            orphaned = launch(cluster, folder, "orphaned", model, ORPHANED)
            hopeless = launch(cluster, folder, "hopeless", model, HOPELESS)
            check_orphaned(orphaned)
            check_ended(refused, 1, "another start would end the same way")
            check_ended(damaged, 1, "another start would end the same way")
            check_ended(unusable, 1, "asked to stop: end")
            check_ended(hopeless, 5, "five attempts in a row have failed")
            check_parts(parts)
    print("passed")


if __name__ == "__main__":
    main()
