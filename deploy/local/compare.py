"""Expert iteration, PPO and return-conditioned RL side by side: the same start, the same problems, as
many seeds as asked for. Called by `./dev lab compare`, which builds first.

Of each start and seed three runs are made: the start itself with a reward model of its samples, then
from its weights expert iteration with return-conditioned RL on the samples of that, and PPO. A run
that is finished is not made again, an unfinished one goes on. Prints a table in Markdown.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = ["maj@1", "maj@K", "rerank_weighted@K", "pass@K"]

TINY = """
base: "{root}/recipes/tiny_sft.textproto"
name: "{name}"
output_dir: "{out}"
seed: {seed}
data {{ builtin {{ eval_problems: 512 }} }}
eval {{ samples: 8 temperature: 1.0 {orm} }}
"""
INIT = "stage { init {} }"
SFT = "stage {{ sft {{ limit: {limit} }} training {{ learning_rate: 2e-3 min_learning_rate: 2e-4 epochs: {epochs} }} }}"
REWARD_MODEL = """
stage {
  orm { samples_per_prompt: 2 sampling { temperature: 1.0 max_new_tokens: 96 } }
  training { learning_rate: 1e-3 min_learning_rate: 1e-4 epochs: 2 }
}
"""
EI = """
stage {
  ei {
    rounds: 2 prompts: 2048 samples_per_prompt: 4 restart_from: PREVIOUS include_sft_data: false dedup: TEXT
    sampling { temperature: 1.0 max_new_tokens: 96 }
  }
  training { learning_rate: 1e-3 min_learning_rate: 1e-4 epochs: 2 }
}
"""
RCRL = """
stage {{
  rcrl {{
    selection: "ei_1" orm: "{orm}" good_label: "^" bad_label: "~" good_ratio: 0.7 restart_from: BASE
    include_sft_data: false
  }}
  training {{ learning_rate: 1e-3 min_learning_rate: 1e-4 epochs: 3 }}
}}
"""
PPO = """
stage {
  ppo {
    steps: 44 prompts: 32 samples_per_prompt: 8 ppo_epochs: 1 kl_coef: 0.01 eval_every: 44
    sampling { temperature: 1.0 max_new_tokens: 96 }
  }
  training { learning_rate: 3e-4 min_learning_rate: 3e-5 warmup_ratio: 0.1 batch_size: 64 }
}
"""
# Worked solutions seen before the algorithms begin.
STARTS = {"sft": SFT.format(limit=1024, epochs=2), "no_sft": SFT.format(limit=512, epochs=2)}
# Row, stage whose evaluation it shows, rollouts sampled to get there.
ROWS = [("start", "start", 0), ("EI", "ei_1_round_2", 2 * 2048 * 4),
        ("RCRL on EI's samples", "rcrl_1", 2 * 2048 * 4), ("PPO", "ppo_1_step_44", 44 * 32 * 8)]


def run(out, name, text, options):
    """Returns the run's folder, finished."""
    folder, config = out / name, out / f"{name}.textproto"
    config.write_text(text)
    progress = folder / "progress.json"
    if progress.exists() and json.loads(progress.read_text())["finished"]:
        return folder
    print(f"== {name}", file=sys.stderr, flush=True)
    resume = ["--resume"] if folder.exists() else []
    with open(out / f"{name}.log", "a") as log:
        done = subprocess.run([ROOT / "build/bin/reckon", "train", config, *resume, *options],
                              stdout=log, stderr=log)
    if done.returncode != 0:
        sys.exit(f"compare: {name} failed; its last lines are in {out / name}.log")
    return folder


def evaluations(folder):
    return {e["name"]: e for e in json.loads((folder / "eval/summary.json").read_text())}


def compare(out, start, seed, options):
    """The evaluations of a start and what was made from it, by name of their stage."""
    def text(kind, body, orm="", more=""):
        head = TINY.format(root=ROOT, name=f"{start}_{seed}_{kind}", out=out, seed=seed, orm=orm)
        return f"{start}_{seed}_{kind}", head + more + body

    base = run(out, *text("start", INIT + STARTS[start] + REWARD_MODEL), options)
    orm = base / "orm/orm_1"
    model = f'model {{ path: "{base}/weights/sft_1" }}\n'
    rerank = f'orm: "{orm}"'
    found = evaluations(run(out, *text("ei", EI + RCRL.format(orm=orm), rerank, model), options))
    found.update(evaluations(run(out, *text("ppo", PPO, rerank, model), options)))
    return found


def cell(values):
    values = [100 * v for v in values]
    mean = sum(values) / len(values)
    return f"{mean:.1f} ({min(values):.1f}–{max(values):.1f})" if len(values) > 1 else f"{mean:.1f}"


def table(start, by_seed):
    print(f"\n{start}, {len(by_seed)} seeds: mean (lowest–highest), %\n")
    print("| | rollouts | " + " | ".join(METRICS) + " |\n|" + " --- |" * (2 + len(METRICS)))
    for row, stage, rollouts in ROWS:
        found = [evaluations[stage] for evaluations in by_seed if stage in evaluations]
        cells = [cell([e[metric]["value"] for e in found]) for metric in METRICS]
        print(f"| {row} | {rollouts:,} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(prog="./dev lab compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/compare")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    arguments, options = parser.parse_known_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for start in arguments.starts:
        table(start, [compare(out, start, seed, options) for seed in arguments.seeds])


if __name__ == "__main__":
    main()
