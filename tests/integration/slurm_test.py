"""`reckon launch --slurm` on a real Slurm of three nodes.

  undisturbed   with `reckon train`: the weights that the others must end with, bit for bit
  disturbed     an actor task is cancelled and replaced; the number of actors goes from 1 to 3, 0 and 1;
                the learner's job is told that its time is up, saves a checkpoint and requeues itself;
                it is preempted on its node and resumes on another
  one job       slurm.actors: HETEROGENEOUS, with two learner ranks on two nodes

Exits 77 without root or Slurm.
"""

import os

from harness import Train, expect, final_weights, write_config
from slurm_cluster import SlurmCluster, slurm_folder
from slurm_run import SlurmRun, run

LONGER = ["--set", "stage[1].ei.rounds=4"]


def disturbed(cluster, folder, model, size, expected):
    run_ = SlurmRun(cluster, write_config(folder, "disturbed", model, **size), *LONGER)
    run_.until("an actor samples", lambda: run_.phase_has("round 1") and run_.running(1))

    task = run_.actors()[0][0]
    run("scancel", task)
    run_.until("the cancelled actor is replaced",
               lambda: run_.actors().get(0, (task,))[0] != task and run_.running(1))

    wanted = run_.run_dir / "slurm" / "actors"
    wanted.write_text("3\n")
    run_.until("three actors run", lambda: run_.running(3))

    run_.until("five processes serve metrics", lambda: run_.metrics() == {
        "coordinator", "learner-0", "actor-0", "actor-1", "actor-2"})

    run("scancel", "--signal=USR1", "--batch", run_.job)  # what --signal sends before the time limit
    run_.until("a second attempt", lambda: run_.attempts() == 2 and
               (run_.run_dir / "coordinator.addr").exists())
    wanted.write_text("0\n")
    run_.until("no actor is left", lambda: not run_.actors())  # so the run cannot end before the next

    # The whole of the node for a job of a higher tier: Slurm requeues what runs there.
    node = run_.node()
    urgent = run("sbatch", "--parsable", "--partition=urgent", "--exclusive", f"--nodelist={node}",
                 "--output=/dev/null", "--wrap=sleep 600").strip()
    run_.until("a third attempt on another node",
               lambda: run_.attempts() == 3 and run_.node() not in ("", node))
    run("scancel", urgent)
    wanted.write_text("1\n")
    run_.finish()
    expect(final_weights(run_.run_dir) == expected, "a disturbed run gave other weights", run_)
    expect("requeueing job" in run_.job_log(1), "the first attempt did not requeue itself", run_)
    expect("resumed from" in "".join(run_.progress().get("lines", [])), "nothing was resumed", run_)
    latest = os.readlink(run_.run_dir / "logs" / "latest")
    expect(latest == "attempt_3", f"logs/latest is {latest}", run_)


def main():
    with slurm_folder() as (folder, model):
        size = {"problems": 64, "new_tokens": 64}
        whole = Train(write_config(folder, "whole", model, **size), *LONGER).finish()
        expected = final_weights(whole.run_dir)
        with SlurmCluster(folder / "slurm") as cluster:
            disturbed(cluster, folder, model, size, expected)
            config = write_config(folder, "one_job", model, actors=2, ranks=2)
            one = SlurmRun(cluster, config, "--set", "slurm.actors=HETEROGENEOUS",
                           "--set", "resources.learner_nodes=2").finish()
            expect((one.run_dir / "logs" / "attempt_1" / "learner-1.log").exists(), "no rank 1", one)
    print("passed")


if __name__ == "__main__":
    main()
