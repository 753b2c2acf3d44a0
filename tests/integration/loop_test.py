"""The whole loop as processes: SFT and two rounds of expert iteration of a tiny model.

loop_test.py loop|kill|resume: then the same run with two actors, with its actor, coordinator and
learner killed, or with an interrupt and --resume. Each must end with the same weights, bit for bit.
"""

import json
import pathlib
import sys
import tempfile
import time

from harness import Train, expect, final_weights, tiny_model, write_config


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else "loop"
    with tempfile.TemporaryDirectory(prefix="reckon_loop_") as temporary:
        folder = pathlib.Path(temporary)
        model = tiny_model(folder / "model")
        begin = time.time()
        # Long enough for a kill to happen in the round that it is meant for.
        size = {"problems": 64, "new_tokens": 64} if only == "kill" else {}
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
            config = write_config(folder, "resumed", model)
            first = Train(config)
            first.wait_phase("round 1", done=4)
            first.interrupt()
            refused = Train(config)
            expect(refused.process.wait(30) != 0, "an existing run was started over", refused)
            resumed = Train(config, "--resume").finish()
            expect(final_weights(resumed.run_dir) == expected,
                   "an interrupted and resumed run gave other weights", resumed)
    print("passed")


if __name__ == "__main__":
    main()
