"""Learner ranks that are killed, or stopped and so neither dead nor alive, are named and replaced, and
the run ends with the weights of one that nobody disturbed. A single rank that is stopped is noticed
as well, and a run continues with another number of ranks.
"""

import json
import os
import pathlib
import signal
import tempfile
import time

from harness import Train, expect, fail, final_weights, tiny_model, write_config


def rank_process(train, rank):
    """The process id of a rank, once it runs."""
    deadline = time.time() + 300
    while time.time() < deadline:
        for pid in train.children("reckon-learner"):
            try:
                arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"--rank={rank}".encode() in arguments:
                return pid
        if train.process.poll() is not None:
            fail(f"the run ended before rank {rank} was found", train)
        time.sleep(0.02)
    fail(f"no process of rank {rank}", train)


def newest_cursor(run_dir):
    steps = [int(f.name[5:]) for f in (run_dir / "checkpoints").glob("step_*") if f.name[5:].isdigit()]
    text = (run_dir / f"checkpoints/step_{max(steps)}/manifest.json").read_text() if steps else "\n{}"
    return json.loads(text.partition("\n")[2]).get("cursor", {})


def output(train):
    return pathlib.Path(train.log.name).read_text()


def disturb(train, rank, how):
    """Sends `how` to a rank and waits until another process has its place."""
    before = rank_process(train, rank)
    os.kill(before, how)
    deadline = time.time() + 300
    while rank_process(train, rank) == before:
        if time.time() > deadline:
            fail(f"rank {rank} was not replaced after signal {how}", train)
        time.sleep(0.05)
    # What the group that is gone was doing; wait_phase must see what the new one does.
    (train.run_dir / "progress.json").unlink(missing_ok=True)
    return before


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_ranks_") as temporary:
        folder = pathlib.Path(temporary)
        model = tiny_model(folder / "model")
        soon = ["--set", "coordinator.rank_timeout_ms=3000"]

        whole = Train(write_config(folder, "whole", model, ranks=2), *soon).finish()
        expect("starting the learner again" not in output(whole), "a rank was missed", whole)

        hurt = Train(write_config(folder, "hurt", model, ranks=2), *soon)
        hurt.wait_phase("ei_1 round 1")
        disturb(hurt, 1, signal.SIGKILL)
        hurt.wait_phase("ei_1 round 1")
        disturb(hurt, 1, signal.SIGSTOP)
        hurt.wait_phase("ei_1 round 1: train")
        disturb(hurt, 1, signal.SIGTERM)  # as when one machine is drained
        hurt.wait_phase("ei_1 round 2")
        stopped = disturb(hurt, 0, signal.SIGSTOP)
        hurt.finish()
        expect(not pathlib.Path(f"/proc/{stopped}").exists(), "a stopped rank was left", hurt)
        host = os.uname().nodename
        for named in ["learner-1 killed by signal 9",
                      f": rank 1 on {host} has not been heard of for ",
                      f"; rank 1 on {host} had left",
                      f": rank 0 on {host} has not been heard of for "]:
            expect(named in output(hurt), f"'{named}' was not said", hurt)
        expect(final_weights(hurt.run_dir) == final_weights(whole.run_dir),
               "a run whose ranks were killed and stopped gave other weights", hurt)

        # The same where the ranks divide the model. A rank that is killed while a checkpoint is
        # being written leaves the one before; one that is stopped makes all save first.
        full = ["--set", "learner.sharding=FULL", "--set", "stage[0].training.epochs=200"]
        whole = Train(write_config(folder, "divided", model, ranks=2), *soon, *full).finish()
        config = write_config(folder, "hurt_divided", model, ranks=2)
        hurt = Train(config, *soon, *full)
        hurt.wait_phase("sft_1: train", done=3)
        disturb(hurt, 1, signal.SIGTERM)
        saved = newest_cursor(hurt.run_dir)  # the group that replaces this one has not begun
        expect(int(saved.get("train_step", 0)) > 0, f"a rank that was stopped saved nothing: {saved}", hurt)
        hurt.wait_phase("ei_1 round 1: train")
        disturb(hurt, 0, signal.SIGKILL)
        hurt.wait_phase("ei_1 round 1")
        disturb(hurt, 1, signal.SIGKILL)
        hurt.wait_phase("ei_1 round 2")
        hurt.interrupt()
        Train(config, *soon, *full, "--resume").finish()
        expect(final_weights(hurt.run_dir) == final_weights(whole.run_dir),
               "a divided run that was disturbed gave other weights", hurt)
        expect(not list((hurt.run_dir / "checkpoints").glob("*.tmp")), "a save was left", hurt)

        # One rank: nobody else can end because of it. Then two.
        alone = write_config(folder, "alone", model)
        run = Train(alone, *soon)
        run.wait_phase("sft_1")
        disturb(run, 0, signal.SIGSTOP)
        expect(f"rank 0 on {host} has not been heard of for " in output(run), "it was not named", run)
        run.wait_phase("ei_1 round")
        run.interrupt()
        Train(alone, *soon, "--set", "resources.learner_ranks=2", "--resume").finish()
    print("passed")


if __name__ == "__main__":
    main()
