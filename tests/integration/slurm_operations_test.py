"""Each step of docs/operations.md for Slurm, on a real Slurm of three nodes, with one run:

  drain      a node: an actor on it is cancelled and replaced elsewhere, the learner's job is requeued
             and resumes on another node
  stop       a checkpoint is saved, and nothing of the run stays in the queue
  upgrade    stop, replace the programs, resume
  restore    stop, lose the run's folder, copy it back, resume
  ranks      the finished run is asked for more rounds, with two learner ranks, then with one again

Up to the last step the run ends with the weights of an undisturbed one, bit for bit.

Exits 77 without root or Slurm.
"""

import os
import re
import shutil

from harness import BIN, Train, expect, final_weights, write_config
from slurm_cluster import SlurmCluster, slurm_folder
from slurm_run import SlurmRun, run

SIZE = {"problems": 64, "new_tokens": 64}


def rounds(count):
    return "--set", f"stage[1].ei.rounds={count}"


def install(programs):
    """New files in place of the old ones, as an upgrade makes them."""
    fresh = programs.with_suffix(".new")
    fresh.mkdir()
    for role in ("coordinator", "actor", "learner"):
        shutil.copy(BIN / f"reckon-{role}", fresh)
    shutil.rmtree(programs, ignore_errors=True)
    fresh.rename(programs)


def round_of(run_):
    found = re.search(r"round (\d+)", run_.progress().get("phase", ""))
    return int(found.group(1)) if found else 0


def work(run_, number):
    """Waits until the run is in that round, and its actor samples."""
    before = run_.attempts()
    run_.until(f"round {number}", lambda: round_of(run_) >= number and run_.running(1) and
               run_.attempts() >= before)
    expect(not run_.progress().get("finished"), "the run has ended too early for this test", run_)


def drain(node):
    run("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")


def undrain(node):
    run("scontrol", "update", f"NodeName={node}", "State=RESUME")


def check_drain(cluster, run_):
    # The learner and its only actor fit on one node, so both may be there; each is moved by itself.
    task = run_.actors()[0][0]
    node = cluster.queue()[task][2]
    drain(node)
    run("scancel", task)
    run_.until("the actor is elsewhere", lambda: run_.running(1) and
               cluster.queue().get(run_.actors()[0][0], ("", "", node))[2] != node)
    undrain(node)

    node = run_.node()
    drain(node)
    run("scontrol", "requeue", run_.job)
    run_.until("the learner is elsewhere", lambda: run_.attempts() == 2 and run_.node() not in ("", node))
    run_.until("it samples again", lambda: (run_.run_dir / "coordinator.addr").exists() and run_.running(1))
    undrain(node)


def stop(run_):
    run("scancel", run_.job)
    run_.leave_queue()
    checkpoints = list((run_.run_dir / "checkpoints").glob("step_*"))
    expect(checkpoints, "the run was stopped without a checkpoint", run_)
    expect(not run_.progress().get("finished"), "the run has ended too early for this test", run_)
    expect(not (run_.run_dir / "coordinator.addr").exists(), "an address is left of a stopped run", run_)


def ranks_of(run_):
    return len(list((run_.run_dir / "logs/latest").glob("learner-*.log")))


def main():
    with slurm_folder() as (folder, model):
        whole = Train(write_config(folder, "whole", model, **SIZE), *rounds(6)).finish()
        expected = final_weights(whole.run_dir)
        programs = folder / "programs"
        install(programs)
        os.environ["RECKON_PROGRAMS"] = str(programs)
        config = write_config(folder, "moved", model, **SIZE)
        with SlurmCluster(folder / "slurm") as cluster:
            run_ = SlurmRun(cluster, config, *rounds(6))
            work(run_, 1)
            check_drain(cluster, run_)
            work(run_, 2)
            stop(run_)
            print("drained and stopped", flush=True)

            install(programs)
            run_ = SlurmRun(cluster, config, "--resume", *rounds(6))
            work(run_, 3)
            stop(run_)
            print("upgraded", flush=True)

            backup = folder / "backup"
            run("cp", "-a", run_.run_dir, backup)
            shutil.rmtree(run_.run_dir)
            run("cp", "-a", backup, run_.run_dir)
            run_ = SlurmRun(cluster, config, "--resume", *rounds(6)).finish()
            resumed = [line for line in run_.progress().get("lines", []) if "resumed from" in line]
            expect(resumed, "nothing was resumed", run_)
            expect(final_weights(run_.run_dir) == expected, "a moved run gave other weights", run_)
            print("restored", flush=True)

            for count, ranks in ((7, 2), (8, 1)):
                run_ = SlurmRun(cluster, config, "--resume", *rounds(count),
                                "--set", f"resources.learner_ranks={ranks}").finish()
                expect(ranks_of(run_) == ranks, f"not {ranks} ranks, but {ranks_of(run_)}", run_)
                names = [path.name for path in (run_.run_dir / "weights").iterdir()]
                expect(any(f"round_{count}" in name for name in names), f"no round {count}: {names}", run_)
    print("passed")


if __name__ == "__main__":
    main()
