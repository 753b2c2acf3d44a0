"""Compares expert iteration, return-conditioned RL and PPO on the same problems from the same start,
with several seeds. Called by `./dev lab compare`, which builds first.

A setting is a model and how it starts. For each setting and seed there are three runs: the start,
which ends with a reward model of its samples; expert iteration from its weights, then
return-conditioned RL on the samples of that; and PPO from its weights. Finished runs are not
repeated, unfinished ones are resumed. Prints a Markdown table for each setting.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = ["maj@1", "maj@K", "rerank@K", "rerank_weighted@K", "pass@K"]


@dataclasses.dataclass
class Setting:
    head: str     # config of all runs
    start: str    # stages of the start; the last one trains the reward model
    model: str    # weights of the other runs: a version of the start, or "" for the pretrained model
    ei: str       # stages of expert iteration, then of return-conditioned RL
    ppo: str
    rows: list    # (row of the table, name of its evaluation, samples drawn until then)
    ei_orm: str = "{orm}"  # the reward model of the EI run: that of the start, or a stage of its own
    shown: bool = False    # two worked problems before each prompt of the start and of PPO


TINY_HEAD = """
base: "{root}/recipes/tiny_sft.textproto"
data {{ builtin {{ eval_problems: 512 }} }}
eval {{ samples: 8 temperature: 1.0 }}
"""
TINY_START = """
stage {{ init {{}} }}
stage {{ sft {{ limit: %d }} training {{ learning_rate: 2e-3 min_learning_rate: 2e-4 epochs: 2 }} }}
stage {{
  orm {{ samples_per_prompt: 2 sampling {{ temperature: 1.0 max_new_tokens: 96 }} }}
  training {{ learning_rate: 1e-3 min_learning_rate: 1e-4 epochs: 2 }}
}}
"""
TINY_EI = """
stage {{
  ei {{
    rounds: 2 prompts: 2048 samples_per_prompt: 4 restart_from: PREVIOUS include_sft_data: false dedup: TEXT
    sampling {{ temperature: 1.0 max_new_tokens: 96 }}
  }}
  training {{ learning_rate: 1e-3 min_learning_rate: 1e-4 epochs: 2 }}
}}
stage {{
  rcrl {{
    selection: "ei_1" orm: "{orm}" label_by: RISE good_label: "^" bad_label: "~" good_ratio: 0.7
    restart_from: BASE include_sft_data: false
  }}
  training {{ learning_rate: 1e-3 min_learning_rate: 1e-4 epochs: 3 }}
}}
"""
TINY_PPO = """
stage {{
  ppo {{
    steps: 44 prompts: 32 samples_per_prompt: 8 ppo_epochs: 1 kl {{ coef: 0.01 }} eval_every: 44
    sampling {{ temperature: 1.0 max_new_tokens: 96 }}
  }}
  training {{ learning_rate: 3e-4 min_learning_rate: 3e-5 warmup_ratio: 0.1 batch_size: 64 }}
}}
"""
TINY_ROWS = [("start", "start", 0), ("EI", "ei_1_round_2", 2 * 2048 * 4),
             ("RCRL on EI's samples", "rcrl_1", 2 * 2048 * 4), ("PPO", "ppo_1_step_44", 44 * 32 * 8)]

# One-step problems. The pretrained model solves a fifth of them with two worked problems in the prompt.
SMOLLM2_HEAD = """
base: "{root}/recipes/quickstart.textproto"
model {{ path: "{smollm2}" }}
data {{ builtin {{ train_problems: 160 eval_problems: 96 min_steps: 1 max_steps: 1 max_number: 30 }} }}
eval {{ samples: 4 temperature: 0.7 max_new_tokens: 48 }}
"""
SMOLLM2_ORM = """
stage {{
  orm {{ samples_per_prompt: 4 sampling {{ temperature: 1.0 max_new_tokens: 48 }} }}
  training {{ learning_rate: 1e-4 min_learning_rate: 0 epochs: 1 }}
}}
"""
SMOLLM2_EI_ROUNDS = """
stage {{
  ei {{
    rounds: %d samples_per_prompt: %d restart_from: PREVIOUS include_sft_data: false dedup: TEXT
    sampling {{ temperature: %.1f max_new_tokens: 48 }} %s
  }}
  training {{ learning_rate: 5e-5 min_learning_rate: 5e-6 epochs: %d }}
}}
"""
SMOLLM2_RCRL = """
stage {{
  rcrl {{ selection: "%s" orm: "{orm}" label_by: RISE restart_from: BASE include_sft_data: false }}
  training {{ learning_rate: 1e-4 min_learning_rate: 1e-5 epochs: 1 }}
}}
"""
SMOLLM2_PPO = """
stage {{
  ppo {{
    steps: 10 prompts: 16 samples_per_prompt: 4 ppo_epochs: 2 eval_every: 10
    kl {{ coef: 0.05 }} critic {{ layers: 2 }}
    sampling {{ temperature: %s max_new_tokens: 48 }}
  }}
  training {{
    learning_rate: 3e-4 min_learning_rate: 3e-5 warmup_ratio: 0.1 batch_size: 32 lora_rank: 16
  }}
}}
"""


def smollm2_rows(ei, drawn):
    return [("start", "start", 0), ("EI", ei, drawn), ("RCRL on EI's samples", "rcrl_1", drawn),
            ("PPO", "ppo_1_step_10", 10 * 16 * 4)]


SETTINGS = {
    "tiny_sft": Setting(TINY_HEAD, TINY_START % 1024, "sft_1", TINY_EI, TINY_PPO, TINY_ROWS),
    "tiny_light": Setting(TINY_HEAD, TINY_START % 512, "sft_1", TINY_EI, TINY_PPO, TINY_ROWS),
    "smollm2_sft": Setting(
        SMOLLM2_HEAD,
        "stage {{ sft {{ limit: 96 }} training {{ epochs: 1 }} }}" + SMOLLM2_ORM, "sft_1",
        SMOLLM2_EI_ROUNDS % (2, 2, 1.0, "", 1) + SMOLLM2_RCRL % "ei_1", SMOLLM2_PPO % 0.7,
        smollm2_rows("ei_1_round_2", 2 * 160 * 2)),
    # Two worked problems are in the prompts of PPO and of EI's first round. The reward model of the EI
    # run scores samples without them.
    "smollm2_no_sft": Setting(
        SMOLLM2_HEAD, SMOLLM2_ORM, "",
        SMOLLM2_EI_ROUNDS % (1, 8, 0.7, "few_shot_first_round: true", 2) + SMOLLM2_ORM +
        SMOLLM2_EI_ROUNDS % (1, 4, 0.7, "", 2) + SMOLLM2_RCRL % "ei_2", SMOLLM2_PPO % 0.7,
        smollm2_rows("ei_2_round_1", 160 * (8 + 4 + 4)), ei_orm="orm_1", shown=True),
}


def run(out, name, text, options):
    """Runs a config to the end and returns the run directory."""
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


def compare(out, name, seed, options):
    """Runs a setting with one seed. Returns the evaluations of EI, RCRL and PPO by their names."""
    setting = SETTINGS[name]
    models = os.environ.get("RECKON_MODELS", pathlib.Path.home() / ".cache/reckon/models")

    def made(kind, body, orm="", model="", shown=False):
        full = f"{name}_{seed}_{kind}"
        text = f'{setting.head}\nname: "{full}" output_dir: "{out}" seed: {seed}\n{body}'
        text = text.format(root=ROOT, smollm2=f"{models}/smollm2-135m", orm=orm)
        sets = {"eval.orm": orm, "model.path": model, "data.format": "FEW_SHOT" if shown else ""}
        return run(out, full, text,
                   [f"--set={key}={value}" for key, value in sets.items() if value] + options)

    base = made("start", setting.start, shown=setting.shown)
    orm = f"{base}/orm/orm_1"
    model = f"{base}/weights/{setting.model}" if setting.model else ""
    found = evaluations(made("ei", setting.ei, setting.ei_orm.format(orm=orm), model))
    found.update(evaluations(made("ppo", setting.ppo, orm, model, setting.shown)))
    return found


def cell(values):
    values = [100 * v for v in values]
    mean = sum(values) / len(values)
    return f"{mean:.1f} ({min(values):.1f}–{max(values):.1f})" if len(values) > 1 else f"{mean:.1f}"


def table(name, by_seed):
    print(f"\n{name}, {len(by_seed)} seeds: mean (lowest–highest), %\n")
    print("| | samples | " + " | ".join(METRICS) + " |\n|" + " --- |" * (2 + len(METRICS)))
    for row, stage, samples in SETTINGS[name].rows:
        cells = [cell([found[stage][metric]["value"] for found in by_seed]) for metric in METRICS]
        print(f"| {row} | {samples:,} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(
        prog="./dev lab compare", description=__doc__, epilog="Other arguments go to reckon train.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/compare")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    arguments, options = parser.parse_known_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in arguments.settings:
        table(name, [compare(out, name, seed, options) for seed in arguments.seeds])


if __name__ == "__main__":
    main()
