#!/usr/bin/env python3
"""The speed of Reckon and of what it is compared with, on the same work, in turn: A B A B.
Called by `./dev bench`, which builds first; docs/performance.md says more.

  rollout  64 samples of 64 tokens after prompts of 71 tokens, 4 samples a prompt   transformers
  train    optimizer steps on 8 sequences of 200 tokens                             transformers
  step     one GRPO step: 8 prompts, 8 samples each of at most 64 tokens, an
           update, and the new weights in use                                       TRL
  adapters the same with adapters of rank 16 (LoRA) over frozen weights             TRL
  first    from `reckon train` to the first sampled token                           -
  rewards  the GRPO step with a Python program as the reward        a built-in reward
  scores   answers that one such program scores                                     -
"""

import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "reckon"
MODEL = pathlib.Path(os.environ.get("RECKON_MODELS", CACHE / "models")) / "smollm2-135m"
ORACLE = os.environ.get("RECKON_ORACLE", CACHE / "oracle/bin/python")
PEERS = CACHE / "peers/bin/python"
BIN = pathlib.Path(os.environ.get("RECKON_BIN", ROOT / "build/bin"))
PROMPTS, SAMPLES, NEW_TOKENS, STEPS = 8, 8, 64, 3

STEP_CONFIG = """
name: "step" output_dir: "{folder}" model {{ path: "{model}" }}
data {{ train: "{data}" eval: "{data}" }}
actor {{ max_batch: 64 kv_cache_mib: 1024 }}
eval {{ samples: 0 }}
stage {{
  ppo {{
    advantage {{ estimator: GRPO }} steps: {steps} prompts: 8 samples_per_prompt: 8 ppo_epochs: 1
    sampling {{ temperature: 1.0 max_new_tokens: 64 }} kl {{ coef: 0 }} eval_every: 1000
    reward {{ {reward} }}
  }}
  training {{ learning_rate: 1e-6 batch_size: 64 lora_rank: {rank} }}
}}
"""
# The last number of an answer, as the built-in reward reads it.
REWARD = """import re
from reckon_reward import serve
def score(request):
    numbers = re.findall(r"-?\\d+", request["completion"])
    return float(bool(numbers) and numbers[-1] == request["reference"])
serve(score)
"""
FIRST_CONFIG = """
name: "first" output_dir: "{folder}" model {{ path: "{model}" }}
data {{ train: "builtin" builtin {{ train_problems: 8 eval_problems: 8 }} }}
eval {{ samples: 0 max_new_tokens: 8 }}
stage {{ eval {{}} }}
"""


def call(*arguments):
    """The standard output of a program."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: {arguments[0]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def last_json(text):
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])


def problems(count):
    """Word problems of about a hundred tokens, the same for every program."""
    draw = random.Random(1)
    goods = ["apples", "pencils", "stamps", "marbles", "tickets", "books", "cakes", "shells"]
    out = []
    for _ in range(count):
        a, b, c = (draw.randrange(3, 60) for _ in range(3))
        one, two = draw.sample(goods, 2)
        out.append({"question": f"On Monday a shop has {a} boxes with {b} {one} in each of them, and {c} single {two}. During "
                                f"the week the owner sells a third of the {one} at two dollars each, gives {c // 2} {two} to a "
                                f"school, and orders {b} more {one} for the next month. How many {one} and {two} together does "
                                "the shop have at the end of the week?",
                    "answer": f"{a * b}\n#### {a * b}"})
    return out


def reckon_rollout():
    got = last_json(call(BIN / "reckon-engine-bench", "--model", MODEL, "--prompts", 16, "--samples", 4,
                         "--new_tokens", 64))
    return got["sampled_tokens_per_s"], got.get("product_share")


def transformers_rollout():
    return last_json(call(ORACLE, ROOT / "tests/bench/transformers_bench.py", MODEL, 64, 71, 64, 0, 0))[
        "sampled_tokens_per_s"], None


def reckon_train():
    got = last_json(call(BIN / "reckon-update-bench", "--model", MODEL))
    return got["trained_tokens_per_s"], got.get("product_share")


def transformers_train():
    return last_json(call(ORACLE, ROOT / "tests/bench/transformers_bench.py", MODEL, 0, 71, 64, 8, 200))[
        "trained_tokens_per_s"], None


def write_reward(folder):
    """The command of a reward of one's own."""
    (folder / "reckon_reward.py").write_text((ROOT / "deploy/rewards/reckon_reward.py").read_text())
    (folder / "reward.py").write_text(REWARD)
    return f"python3 {folder}/reward.py"


def reckon_step(own_reward=False, rank=0):
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        folder = pathlib.Path(folder)
        data = folder / "data.jsonl"
        data.write_text("".join(json.dumps(p) + "\n" for p in problems(64)))
        config = folder / "step.textproto"
        reward = f'kind: PROCESS command: "{write_reward(folder)}"' if own_reward else "kind: EXACT_MATCH_FLEXIBLE"
        config.write_text(STEP_CONFIG.format(folder=folder, model=MODEL, data=data, steps=STEPS + 1, reward=reward, rank=rank))
        call(BIN / "reckon", "train", config)
        steps = [m for m in map(json.loads, (folder / "step/metrics.jsonl").open()) if "actor/pg_loss" in m]
    for m in steps[1:]:
        print("  " + "  ".join(f"{name} {m[name]:.2f}" for name in
                               ("timing_s/gen", "timing_s/old_log_prob", "timing_s/update_actor",
                                "timing_s/step", "response_length/mean")), file=sys.stderr)
    # From one step's line to the next's: with saving, publishing and fetching.
    seconds = [b["time"] - a["time"] for a, b in zip(steps, steps[1:])]
    return sum(m["num_tokens"] for m in steps[1:]) / sum(seconds), None


def trl_step(rank=0):
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        prompts = pathlib.Path(folder) / "prompts.jsonl"
        prompts.write_text("".join(json.dumps(f"Question: {p['question']}\nAnswer:") + "\n" for p in problems(64)))
        got = last_json(call(PEERS, ROOT / "tests/bench/trl_bench.py", MODEL, prompts, PROMPTS, SAMPLES, NEW_TOKENS, 1, rank))
    return sum(got["sampled_tokens"]) / sum(got["seconds"]), None


def reckon_first():
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        folder = pathlib.Path(folder)
        config = folder / "first.textproto"
        config.write_text(FIRST_CONFIG.format(folder=folder, model=MODEL))
        begin = time.time()
        call(BIN / "reckon", "train", config)
        log = (folder / "first/logs/latest/actor-0.log").read_text()
    # A line of the log: I20240131 12:34:56.123456 ...
    first = re.search(r"^I(\d{8} \d\d:\d\d:\d\d\.\d+) .*first token sampled", log, re.M).group(1)
    return datetime.strptime(first, "%Y%m%d %H:%M:%S.%f").timestamp() - begin, None


def reckon_scores():
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        folder = pathlib.Path(folder)
        data = folder / "data.jsonl"
        data.write_text("".join(json.dumps(p | {"question": f"{i}. {p['question']}"}) + "\n" for i, p in enumerate(problems(4000))))
        got = json.loads(call(BIN / "reckon", "score-rewards", data, "--command", write_reward(folder), "--json"))
    return got["scored_per_second"], None


WORK = {
    "rollout": ("sampled tok/s", {"reckon": reckon_rollout, "transformers": transformers_rollout}),
    "train": ("trained tok/s", {"reckon": reckon_train, "transformers": transformers_train}),
    "step": ("sampled tok/s of a whole step", {"reckon": reckon_step, "trl": trl_step}),
    "adapters": ("sampled tok/s of a whole step", {"reckon": lambda: reckon_step(rank=16), "trl": lambda: trl_step(rank=16)}),
    "first": ("seconds", {"reckon": reckon_first}),
    "rewards": ("sampled tok/s of a whole step", {"reckon": lambda: reckon_step(own_reward=True), "built_in": reckon_step}),
    "scores": ("answers/s", {"reckon": reckon_scores}),
}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", metavar="WORK", help="of the list above; default: all")
    parser.add_argument("--rounds", type=int, default=2, help="times that each program runs (2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a kind of work, and nothing else")
    options = parser.parse_args()
    if unknown := set(options.work) - set(WORK):
        parser.error(f"unknown work: {', '.join(unknown)}; known: {', '.join(WORK)}")
    for work in options.work or WORK:
        unit, programs = WORK[work]
        values = {name: [] for name in programs}
        shares = []
        for _ in range(options.rounds):
            for name, measure in programs.items():
                value, share = measure()
                values[name].append(value)
                shares += [] if share is None else [share]
        out = {"work": work, "unit": unit}
        for name, of in values.items():
            out[name] = {"median": round(statistics.median(of), 2), "least": round(min(of), 2), "most": round(max(of), 2)}
        peers = [name for name in programs if name != "reckon"]
        for peer in peers:
            # Of neighbours, so that a machine that slows down slows both.
            ratios = [a / b for a, b in zip(values["reckon"], values[peer])]
            out["ratio"] = round(statistics.median(ratios), 2)
        if shares:
            out["share_of_matrix_product"] = round(statistics.median(shares), 3)
        if options.json:
            print(json.dumps(out), flush=True)
            continue
        print(f"{work}, {unit}:", *(f"{name} {v['median']} ({v['least']} to {v['most']})" for name, v in out.items()
                                    if isinstance(v, dict)),
              *(f"{key} {out[key]}" for key in ("ratio", "share_of_matrix_product") if key in out), flush=True)


if __name__ == "__main__":
    main()
