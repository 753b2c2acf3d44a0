"""Online learning is a function of config and data: runs whose learner, actor and coordinator were
killed, or that were interrupted and resumed, end with the same weights, bit for bit. A run of two
ranks ends close to a run of one.
"""

import json
import pathlib
import struct
import tempfile

from harness import ROOT, Train, expect, final_weights

CONFIG = """
base: "{root}/recipes/tiny_ppo.textproto"
output_dir: "{out}"
data {{ builtin {{ train_problems: 512 eval_problems: 8 }} }}
coordinator {{ lease_ms: 3000 }}
{more}
stage {{ init {{ hidden_size: 64 intermediate_size: 128 num_hidden_layers: 2 }} }}
stage {{ sft {{ limit: 512 }} training {{ learning_rate: 3e-3 epochs: 1 }} }}
stage {{
  ppo {{
    steps: 8 prompts: 16 samples_per_prompt: 4 ppo_epochs: 2 eval_every: 3 kl {{ coef: 0.05 target: 0.1 }}
    reward {{ kind: EXACT_MATCH_FLEXIBLE }}
    sampling {{ temperature: 1.0 max_new_tokens: 48 }}
    {ppo}
  }}
  training {{ learning_rate: 1e-3 batch_size: 32 {training} }}
}}
"""
VARIANTS = {
    "weights": {"ppo": "", "training": ""},
    "curricula": {"ppo": "backtracking { steps: 5 } replay { ratio: 0.5 temperature: 0.5 }",
                  "training": ""},
    "adapters": {"ppo": "critic { layers: 1 } filter { groups: true max_num_gen_batches: 3 }"
                        " overlong { buffer_len: 24 } clip { ratio_low: 0.01 ratio_high: 0.02 }",
                 "training": "lora_rank: 8"},
}


def write(folder, name, variant, more=""):
    path = folder / f"{name}.textproto"
    path.write_text(CONFIG.format(root=ROOT, out=folder / "runs", more=f'name: "{name}" ' + more,
                                  **variant))
    return path


def parameters(run):
    """The fp32 numbers of the last version."""
    folders = sorted((run.run_dir / "weights").iterdir(), key=lambda f: f.stat().st_mtime)
    data = (folders[-1] / "model.safetensors").read_bytes()
    data = data[8 + struct.unpack("<Q", data[:8])[0]:]
    return struct.unpack(f"<{len(data) // 4}f", data)


def killed_and_resumed_end_like_the_whole(folder, name):
    def config(kind):
        return write(folder, f"{name}_{kind}", VARIANTS[name])

    whole = Train(config("whole")).finish()
    expected = final_weights(whole.run_dir)
    steps = [m for m in map(json.loads, (whole.run_dir / "metrics.jsonl").open())
             if "actor/pg_loss" in m]
    expect(len(steps) == 8, f"{len(steps)} steps in metrics.jsonl", whole)
    expect(all(m["mismatch_kl"] == 0 for m in steps), "log-probabilities of actor and learner differ", whole)
    expect(any(m["actor/pg_clipfrac"] > 0 for m in steps), "nothing was clipped", whole)
    expect(len({m["actor/reward_kl_penalty_coeff"] for m in steps}) > 1, "kl_coef never changed", whole)

    if name == "adapters":
        expect(any(m["num_gen_batches"] > 1 for m in steps), "one batch was always enough", whole)

    killed = Train(config("killed"))
    killed.wait_phase("ppo_1", done=4)
    killed.kill("reckon-learner")
    killed.wait_phase("ppo_1", done=4)
    killed.kill("reckon-actor")
    killed.kill("reckon-coordinator")
    killed.finish()
    expect(final_weights(killed.run_dir) == expected,
           f"{name}: a run with killed roles gave other weights", killed)

    first = Train(config("resumed"))
    first.wait_phase("ppo_1", done=5)
    first.interrupt()
    resumed = Train(config("resumed"), "--resume").finish()
    expect(final_weights(resumed.run_dir) == expected,
           f"{name}: an interrupted and resumed run gave other weights", resumed)
    return whole


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_ppo_") as temporary:
        folder = pathlib.Path(temporary)
        for name in VARIANTS:
            whole = killed_and_resumed_end_like_the_whole(folder, name)
            two = Train(write(folder, f"{name}_two", VARIANTS[name], "resources { learner_ranks: 2 }")).finish()
            ours, theirs = parameters(whole), parameters(two)
            apart = sum((a - b) ** 2 for a, b in zip(ours, theirs)) / sum(a * a for a in ours)
            print(f"{name}, two ranks: relative distance {apart ** 0.5:.1e}")
            expect(apart ** 0.5 < 0.05, f"two ranks learned something else: {apart ** 0.5}", two)
    print("passed")


if __name__ == "__main__":
    main()
