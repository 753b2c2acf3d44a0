"""Each algorithm raises maj@1 from the same SFT start beyond the intervals, on the tiny model; the
reward model's weighted vote is better than the plain one beyond the interval of the difference.

rl_test.py RECIPE [SECONDS] runs recipes/tiny_RECIPE.textproto as it is, for that long at most (900).
`./dev lab lies` shows that each fails when the rewards are wrong.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from harness import BIN, ROOT, Train, expect


def evaluation(run, place):
    path, = (run.run_dir / "eval").glob(f"{place}_*.json")
    return json.loads(path.read_text())


def percent(estimate):
    return "{value:.1%} [{low:.1%}, {high:.1%}]".format(**estimate)


def reranks_outside_of_runs(run):
    asked = subprocess.run(
        [BIN / "reckon", "eval", "--model", run.run_dir / "weights/sft_1", "--orm",
         run.run_dir / "orm/orm_1", "--data", "builtin", "--limit", "32", "--fp32", "--json"],
        capture_output=True, text=True, timeout=300)
    expect(asked.returncode == 0, asked.stderr, run)
    found = json.loads(asked.stdout)
    expect(found["rerank@4"]["value"] <= found["pass@4"]["value"] and "rerank_gain@4" in found,
           asked.stdout, run)


def main():
    recipe = f"tiny_{sys.argv[1]}"
    with tempfile.TemporaryDirectory(prefix="reckon_rl_") as temporary:
        folder = pathlib.Path(temporary)
        config = folder / f"{recipe}.textproto"
        config.write_text(f'base: "{ROOT}/recipes/{recipe}.textproto" output_dir: "{folder}/runs"')
        run = Train(config).finish(timeout=int(sys.argv[2]) if len(sys.argv) > 2 else 900)
        last = len(list((run.run_dir / "eval").glob("[0-9]*.json"))) - 1
        if recipe == "tiny_orm":
            gain = evaluation(run, last)["rerank_gain@K"]
            print(f"rerank_weighted@K - maj@K: {percent(gain)}")
            expect(gain["low"] > 0, f"tiny_orm: rerank_weighted@K - maj@K {percent(gain)}", run)
            reranks_outside_of_runs(run)
            return
        before, after = evaluation(run, 0)["maj@1"], evaluation(run, last)["maj@1"]
        moved = f"{recipe}: maj@1 {percent(before)} before, {percent(after)} after"
        print(moved)
        expect(after["low"] > before["value"] and after["value"] > before["high"], moved, run)
    print("passed")


if __name__ == "__main__":
    main()
