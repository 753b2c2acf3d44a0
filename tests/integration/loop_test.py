"""The whole loop as processes: SFT and two rounds of expert iteration of a tiny model.

loop_test.py loop|kill|resume|scale: then the same run with two actors, with its actor, coordinator
and learner killed, with an interrupt and --resume, or with actors that join and leave. Each must end
with the same weights, bit for bit.
"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from harness import BIN, Train, expect, final_weights, tiny_model, write_config


def scale(config):
    """One actor, then three, then the first one alone again; nobody's work is lost or done late."""
    train = Train(config)
    train.wait_phase("round 1")
    coordinator = (train.run_dir / "coordinator.addr").read_text().strip()
    others = {}
    for name in ("second", "third"):
        log = open(config.parent / f"{name}.log", "wb")
        others[name] = subprocess.Popen(
            [BIN / "reckon-actor", f"--coordinator={coordinator}", f"--name={name}",
             f"--certificates={train.run_dir}/certificates/actor", "--max_batch=8", "--kv_cache_mib=64", "--device=CPU"], stdout=log, stderr=log)
    for name in others:
        while "first token sampled" not in (config.parent / f"{name}.log").read_text():
            expect(train.process.poll() is None, f"the {name} actor sampled nothing", train)
            time.sleep(0.01)
    for name, process in others.items():
        process.send_signal(signal.SIGTERM)
    for name, process in others.items():
        expect(process.wait(300) == 0, f"the {name} actor left with status {process.returncode}", train)
    expect(train.process.poll() is None, "the run ended before the actors left", train)
    train.finish()
    state = subprocess.run([BIN / "reckon-coordinator", "--dump_state", "--store",
                            train.run_dir / "store"], check=True, capture_output=True, text=True).stdout
    ledger = dict(line.split(": ") for line in state.replace("  ", "").splitlines() if ": " in line)
    expect(int(ledger.get("returned", 0)) > 0, f"no sample was returned: {state}", train)
    for lost in ("expired", "outstanding", "set_aside"):
        expect(int(ledger.get(lost, 0)) == 0, f"{lost} samples: {state}", train)
    return train


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else "loop"
    with tempfile.TemporaryDirectory(prefix="reckon_loop_") as temporary:
        folder = pathlib.Path(temporary)
        model = tiny_model(folder / "model")
        begin = time.time()
        # Long enough, on a fast CPU too, for a kill to happen in the round that it is meant for.
        size = {} if only == "loop" else {"problems": 64, "new_tokens": 64}
        whole = Train(write_config(folder, "whole", model, **size)).finish()
        print(f"uninterrupted run: {time.time() - begin:.1f} s")
        expected = final_weights(whole.run_dir)

        metrics = [json.loads(line) for line in (whole.run_dir / "metrics.jsonl").open()]
        expect(any("val/maj@1" in m for m in metrics), "no val/maj@1 in metrics.jsonl", whole)
        expect(any("loss" in m for m in metrics), "no loss in metrics.jsonl", whole)
        expect(len(list((whole.run_dir / "eval").glob("*.json"))) >= 4, "too few evals", whole)

        if only == "loop":
            again = Train(write_config(folder, "again", model, actors=2)).finish()
            expect(final_weights(again.run_dir) == expected,
                   "two actors gave other weights than one", again)

        if only == "kill":
            killed = Train(write_config(folder, "killed", model, **size))
            killed.wait_phase("round 1", done=4)
            killed.kill("reckon-actor")
            killed.kill("reckon-coordinator")
            killed.wait_phase("round 2")
            killed.kill("reckon-learner")
            killed.finish()
            expect(final_weights(killed.run_dir) == expected,
                   "a run with killed roles gave other weights", killed)

        if only == "resume":
            config = write_config(folder, "resumed", model, **size)
            first = Train(config)
            first.wait_phase("round 1", done=4)
            first.interrupt()
            refused = Train(config)
            expect(refused.process.wait(300) != 0, "an existing run was started over", refused)
            resumed = Train(config, "--resume").finish()
            expect(final_weights(resumed.run_dir) == expected,
                   "an interrupted and resumed run gave other weights", resumed)
        if only == "scale":
            scaled = scale(write_config(folder, "scaled", model, **size))
            expect(final_weights(scaled.run_dir) == expected,
                   "a run whose actors came and went gave other weights", scaled)
    print("passed")


if __name__ == "__main__":
    main()
