"""A whole `reckon train` on a device: a new model, SFT, GRPO and PPO with a critic; with two learner ranks as
well where each can have a GPU, which it shares with an actor by turns. It runs on GPUs as a `gpu` test and in
`./dev gpu`, and on the CPU to try itself.

Usage: device_train.py BIN CUDA|CPU

It checks that actor and learner agree on the log-probabilities of what was sampled, that the run on the device
learns what a run on the CPU learns, and that two ranks learn what one does. Only the standard library is used.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

BIN, DEVICE = pathlib.Path(sys.argv[1]), sys.argv[2]
CONFIG = """
name: "{name}" output_dir: "{out}" seed: 3
model {{ device: {device} }}
data {{ train: "builtin" eval: "builtin" format: PLAIN
        builtin {{ train_problems: 256 eval_problems: 16 min_steps: 1 max_steps: 1 }} }}
resources {{ actors: {ranks} learner_ranks: {ranks} }}
actor {{ max_batch: 32 kv_cache_mib: 64 }}
eval {{ samples: 2 max_new_tokens: 24 bootstrap: 50 }}
stage {{ init {{ hidden_size: 64 intermediate_size: 128 num_hidden_layers: 2 }} }}
stage {{ sft {{}} training {{ learning_rate: 3e-3 batch_size: 32 epochs: 6 }} }}
stage {{
  ppo {{
    advantage {{ estimator: GRPO }} steps: 3 prompts: 8 samples_per_prompt: 4 ppo_epochs: 1 eval_every: 100
    reward {{ kind: EXACT_MATCH_FLEXIBLE }} sampling {{ temperature: 1.0 max_new_tokens: 24 }}
  }}
  training {{ learning_rate: 1e-4 batch_size: 32 }}
}}
stage {{
  ppo {{
    steps: 3 prompts: 8 samples_per_prompt: 4 ppo_epochs: 2 eval_every: 100
    reward {{ kind: EXACT_MATCH_FLEXIBLE }} sampling {{ temperature: 1.0 max_new_tokens: 24 }}
  }}
  training {{ learning_rate: 1e-4 batch_size: 32 }}
}}
"""
# In bf16: the issue of row-invariance aside, sums differ by their order.
MOST_MISMATCH = 1e-3


def gpus():
    """How many there are, by the driver's own list."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip()])
    return len(list(pathlib.Path("/proc/driver/nvidia/gpus").glob("*")))


def train(folder, name, device, ranks=1):
    """The lines of metrics.jsonl."""
    config = folder / f"{name}.textproto"
    config.write_text(CONFIG.format(name=name, out=folder / "runs", device=device, ranks=ranks))
    done = subprocess.run([BIN / "reckon", "train", config], capture_output=True, text=True)
    if done.returncode != 0:
        logs = sorted((folder / "runs" / name / "logs/latest").glob("*"))
        tails = "".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}\n" for log in logs if log.is_file())
        sys.exit(f"device_train: {name} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}\n{tails}")
    return [json.loads(line) for line in (folder / "runs" / name / "metrics.jsonl").open()]


def values(lines, metric):
    found = [line[metric] for line in lines if metric in line]
    if not found or not all(math.isfinite(value) for value in found):
        sys.exit(f"device_train: {metric} is missing or not finite: {found}")
    return found


def expect(condition, message):
    if not condition:
        sys.exit(f"device_train: {message}")


def main():
    if DEVICE == "CUDA" and gpus() == 0:
        print("skipped: needs a GPU")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="reckon_device_") as folder:
        folder = pathlib.Path(folder)
        here, cpu = train(folder, "device", DEVICE), train(folder, "cpu", "CPU")
        mismatch = max(map(abs, values(here, "mismatch_kl")))
        expect(mismatch <= MOST_MISMATCH, f"actor and learner differ: mismatch_kl {mismatch}")
        for metric in ("actor/pg_loss", "critic/vf_loss", "grad_norm"):
            values(here, metric)
        # SFT sees the same batches on both.
        ours, theirs = values(here, "loss"), values(cpu, "loss")
        expect(len(ours) == len(theirs), f"{len(ours)} lines of loss, {len(theirs)} on the CPU")
        expect(abs(ours[-1] / theirs[-1] - 1) < 0.05, f"loss {ours[-1]}, {theirs[-1]} on the CPU")
        expect(ours[-1] < 0.5 * ours[0], f"loss {ours[0]} -> {ours[-1]}")
        print(f"mismatch_kl at most {mismatch:.2g}; loss {ours[0]:.3f} -> {ours[-1]:.3f}, on the CPU {theirs[-1]:.3f}")
        if DEVICE == "CUDA" and gpus() < 2:
            print("two ranks: needs two GPUs")
        else:
            two = values(train(folder, "two", DEVICE, ranks=2), "loss")
            expect(abs(two[-1] / ours[-1] - 1) < 0.05, f"loss {two[-1]} with two ranks, {ours[-1]} with one")
            print(f"two ranks: loss {two[-1]:.3f}")
    print("ok")


main()
