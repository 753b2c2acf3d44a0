#!/usr/bin/env python3
"""The speed of Reckon and of what it is compared with, on the same work, in turn: A B A B.
Called by `./dev bench`, which builds first; docs/performance.md says more.

  rollout  64 samples of 64 tokens after prompts of 71 tokens, 4 samples a prompt   transformers, llama.cpp
  train    optimizer steps on 8 sequences of 200 tokens                             transformers
  step     one GRPO step: 8 prompts, 8 samples each of at most 64 tokens, an
           update, and the new weights in use                                       TRL
  adapters the same with adapters of rank 16 (LoRA) over frozen weights             TRL
  first    from `reckon train` to the first sampled token                           -
  rewards  the GRPO step with a Python program as the reward        a built-in reward
  scores   answers that one such program scores                                     -
  weights  from the end of an optimizer step until the last of two actors on this
           host uses the version; whole weights and adapters                        -
  coordinator  acknowledgements of 20,000 rollouts a second, offered for 20 seconds -
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
# Of `weights`: steps with little work between versions, of which the first ones are packed into new memory.
VERSIONS, FIRST_VERSIONS = 9, 3

STEP_CONFIG = """
name: "step" output_dir: "{folder}" model {{ path: "{model}" }}
data {{ train: "{data}" eval: "{data}" }}
resources {{ actors: {actors} }}
actor {{ max_batch: 64 kv_cache_mib: {cache} }}
eval {{ samples: 0 }}
stage {{
  ppo {{
    advantage {{ estimator: GRPO }} steps: {steps} prompts: {prompts} samples_per_prompt: {samples} ppo_epochs: 1
    sampling {{ temperature: 1.0 max_new_tokens: {tokens} }} kl {{ coef: 0 }} eval_every: 1000
    reward {{ {reward} }}
  }}
  training {{ learning_rate: 1e-6 batch_size: {batch} lora_rank: {rank} }}
}}
"""
BUILT_IN = "kind: EXACT_MATCH_FLEXIBLE"
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


def llama_cpp_rollout():
    threads = len(os.sched_getaffinity(0))
    return last_json(call(PEERS, ROOT / "tests/bench/llama_cpp_bench.py", MODEL, 16, 4, 71, 64, threads))[
        "sampled_tokens_per_s"], None


def has_llama_cpp():
    return PEERS.exists() and subprocess.run([str(PEERS), "-c", "import llama_cpp, gguf"], capture_output=True).returncode == 0


def transformers_train():
    return last_json(call(ORACLE, ROOT / "tests/bench/transformers_bench.py", MODEL, 0, 71, 64, 8, 200))[
        "trained_tokens_per_s"], None


def write_reward(folder):
    """The command of a reward of one's own."""
    (folder / "reckon_reward.py").write_text((ROOT / "deploy/rewards/reckon_reward.py").read_text())
    (folder / "reward.py").write_text(REWARD)
    return f"python3 {folder}/reward.py"


def train_steps(folder, steps, prompts=PROMPTS, samples=SAMPLES, tokens=NEW_TOKENS, reward=BUILT_IN, rank=0, actors=1):
    """A run of GRPO steps in folder/step."""
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(p) + "\n" for p in problems(64)))
    config = folder / "step.textproto"
    config.write_text(STEP_CONFIG.format(folder=folder, model=MODEL, data=data, steps=steps, prompts=prompts, samples=samples,
                                         tokens=tokens, batch=prompts * samples, reward=reward, rank=rank, actors=actors,
                                         cache=1024 // actors))
    call(BIN / "reckon", "train", config)


def reckon_step(own_reward=False, rank=0):
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        folder = pathlib.Path(folder)
        reward = f'kind: PROCESS command: "{write_reward(folder)}"' if own_reward else BUILT_IN
        train_steps(folder, STEPS + 1, reward=reward, rank=rank)
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
        first = log_lines(folder / "first/logs/latest/actor-0.log", "first token sampled")[0][0]
    return first - begin, None


def log_lines(log, pattern):
    """When a process of a run wrote the lines with the pattern, and its groups: I20240131 12:34:56.123456 ..."""
    lines = re.finditer(rf"^I(\d{{8}} \d\d:\d\d:\d\d\.\d+) .*?{pattern}", log.read_text(), re.M)
    return [(datetime.strptime(line.group(1), "%Y%m%d %H:%M:%S.%f").timestamp(), line.groups()[1:]) for line in lines]


def seconds_to_actors(rank):
    """Of each version but the last, which no work may need: from its optimizer step to its use by the last actor."""
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        folder = pathlib.Path(folder)
        train_steps(folder, VERSIONS + 1, prompts=4, samples=4, tokens=16, rank=rank, actors=2)
        logs = folder / "step/logs/latest"
        number = r"([\d.e+-]+)"
        published, used = {}, {}
        for at, (version, packing, publishing, since) in log_lines(
                logs / "learner-0.log",
                rf"weights: version (\d+), .* packed in {number} s, published in {number} s, {number} s after"):
            published[int(version)] = (float(packing), float(publishing), at - float(since))
        for i in range(2):
            for at, (version, fetching, loading) in log_lines(
                    logs / f"actor-{i}.log", rf"weights: version (\d+) in use: .* fetched in {number} s, loaded in {number} s"):
                used.setdefault(int(version), []).append((at, float(fetching), float(loading)))
    out = []
    for version in range(1, VERSIONS + 1):
        if len(used.get(version, [])) != 2:
            sys.exit(f"bench: version {version} was not used by both actors")
        packing, publishing, trained = published[version]
        at, fetching, loading = max(used[version])
        out.append(at - trained)
        print(f"  rank {rank}, version {version}: {out[-1]:.4f} s; packed in {packing:.4f} s, published in {publishing:.4f}, "
              f"fetched in {fetching:.4f}, loaded in {loading:.4f}", file=sys.stderr)
    return out


def weights():
    out = {}
    for name, rank in (("whole", 0), ("adapters", 16)):
        seconds = seconds_to_actors(rank)
        out[f"{name}_first"], out[f"{name}_later"] = seconds[:FIRST_VERSIONS], seconds[FIRST_VERSIONS:]
    return out


def coordinator():
    got = last_json(call(BIN / "reckon", "bench", "coordinator", "--rate", 20000, "--streams", 8, "--bytes", 2048,
                         "--seconds", 20, "--json"))
    return {"p50_ms": [got["p50_ms"]], "p99_ms": [got["p99_ms"]], "achieved_per_s": [got["achieved"]],
            "cpu_us": [1e6 * got["coordinator_cpu_s"] / got["acknowledged"]], "disk_p99_ms": [got["sync_p99_ms"]]}


def reckon_scores():
    with tempfile.TemporaryDirectory(prefix="reckon_bench_") as folder:
        folder = pathlib.Path(folder)
        data = folder / "data.jsonl"
        data.write_text("".join(json.dumps(p | {"question": f"{i}. {p['question']}"}) + "\n" for i, p in enumerate(problems(4000))))
        got = json.loads(call(BIN / "reckon", "score-rewards", data, "--command", write_reward(folder), "--json"))
    return got["scored_per_second"], None


WORK = {
    "rollout": ("sampled tok/s", {"reckon": reckon_rollout, "transformers": transformers_rollout,
                                  "llama_cpp": llama_cpp_rollout}),
    "train": ("trained tok/s", {"reckon": reckon_train, "transformers": transformers_train}),
    "step": ("sampled tok/s of a whole step", {"reckon": reckon_step, "trl": trl_step}),
    "adapters": ("sampled tok/s of a whole step", {"reckon": lambda: reckon_step(rank=16), "trl": lambda: trl_step(rank=16)}),
    "first": ("seconds", {"reckon": reckon_first}),
    "rewards": ("sampled tok/s of a whole step", {"reckon": lambda: reckon_step(own_reward=True), "built_in": reckon_step}),
    "scores": ("answers/s", {"reckon": reckon_scores}),
}


# Several figures of one program each.
FIGURES = {
    "weights": ("seconds from the optimizer step to the last of two actors", weights),
    "coordinator": ("20,000 rollouts/s offered", coordinator),
}


def spread(values):
    return {name: float(f"{of(values):.4g}") for name, of in (("median", statistics.median), ("least", min), ("most", max))}


def compare(work, rounds):
    """The programs of a kind of work in turn."""
    unit, programs = WORK[work]
    if "llama_cpp" in programs and not has_llama_cpp():
        print("bench: llama.cpp is not there, as its build failed; going without it", file=sys.stderr)
        programs = {name: measure for name, measure in programs.items() if name != "llama_cpp"}
    values = {name: [] for name in programs}
    shares = []
    for _ in range(rounds):
        for name, measure in programs.items():
            value, share = measure()
            values[name].append(value)
            shares += [] if share is None else [share]
    out = {"work": work, "unit": unit, **{name: spread(of) for name, of in values.items()}}
    for peer in programs:
        if peer != "reckon":
            # Of neighbours, so that a machine that slows down slows both.
            ratios = [a / b for a, b in zip(values["reckon"], values[peer])]
            out[f"ratio_{peer}"] = round(statistics.median(ratios), 2)
    if shares:
        out["share_of_matrix_product"] = round(statistics.median(shares), 3)
    return out


def measure_figures(work, rounds):
    unit, measure = FIGURES[work]
    values = {}
    for _ in range(rounds):
        for name, of in measure().items():
            values.setdefault(name, []).extend(of)
    return {"work": work, "unit": unit, **{name: spread(of) for name, of in values.items()}}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*WORK, *FIGURES]
    parser.add_argument("work", nargs="*", metavar="WORK", help="of the list above; default: all")
    parser.add_argument("--rounds", type=int, default=2, help="times that each program runs (2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a kind of work, and nothing else")
    options = parser.parse_args()
    if unknown := set(options.work) - set(known):
        parser.error(f"unknown work: {', '.join(unknown)}; known: {', '.join(known)}")
    for work in options.work or known:
        out = compare(work, options.rounds) if work in WORK else measure_figures(work, options.rounds)
        if options.json:
            print(json.dumps(out), flush=True)
            continue
        print(f"{work}, {out['unit']}:", *(f"{name} {v['median']} ({v['least']} to {v['most']})" for name, v in out.items()
                                           if isinstance(v, dict)),
              *(f"{key} {v}" for key, v in out.items() if isinstance(v, float)), flush=True)


if __name__ == "__main__":
    main()
