"""Online learning is a function of config and data: runs whose learner, actor and coordinator were
killed, or that were interrupted and resumed, end with the same weights, bit for bit. Another number
of ranks adds numbers in another order: a run of two ranks ends close to a run of one, and one that
goes from two to one and back very close to a run of two.
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
FINE_TUNING = """
base: "{root}/recipes/tiny_ppo.textproto"
output_dir: "{out}"
name: "{name}"
data {{ builtin {{ train_problems: 512 eval_problems: 8 }} }}
stage {{ init {{ hidden_size: 64 intermediate_size: 128 num_hidden_layers: 2 }} }}
stage {{ sft {{ limit: 512 }} training {{ learning_rate: 3e-3 epochs: 8 }} }}
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


def expect_close(name, run, other, bound):
    ours, theirs = parameters(other), parameters(run)
    apart = (sum((a - b) ** 2 for a, b in zip(ours, theirs)) / sum(a * a for a in ours)) ** 0.5
    print(f"{name}: relative distance {apart:.1e}")
    expect(apart < bound, f"{name} learned something else: {apart}", run)


def two_ranks_one_and_two(folder):
    """Of a fine-tuning, in which rounding never decides which token is drawn."""
    def config(name):
        path = folder / f"{name}.textproto"
        path.write_text(FINE_TUNING.format(root=ROOT, out=folder / "runs", name=name))
        return path

    def start(ranks, *options):
        (folder / "runs/moved/progress.json").unlink(missing_ok=True)  # of the start before
        return Train(config("moved"), "--set", f"resources.learner_ranks={ranks}", *options)

    two = Train(config("two"), "--set", "resources.learner_ranks=2").finish()
    first = start(2)
    first.wait_phase("sft_1", done=40)
    first.interrupt()
    second = start(1, "--resume")
    second.wait_phase("sft_1", done=120)
    expect(len(second.children("reckon-learner")) == 1, "not one rank", second)
    second.interrupt()
    run = start(2, "--resume").finish()
    expect(final_weights(run.run_dir) != final_weights(two.run_dir), "one rank gave the bits of two", run)
    expect_close("two ranks, one, and two, to two", run, two, 1e-3)


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_ppo_") as temporary:
        folder = pathlib.Path(temporary)
        for name in VARIANTS:
            whole = killed_and_resumed_end_like_the_whole(folder, name)
            two = Train(write(folder, f"{name}_two", VARIANTS[name], "resources { learner_ranks: 2 }")).finish()
            expect_close(f"{name}, two ranks to one", two, whole, 0.05)
        two_ranks_one_and_two(folder)
    print("passed")


if __name__ == "__main__":
    main()
