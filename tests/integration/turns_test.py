"""Actor and learner that take turns on the device that they share end with the bits of those that do not.

SFT, PPO with a KL penalty and expert iteration, on the CPU, where resources.turns: ON makes them take turns. The
last run loses its learner and its actor in the middle of their turns.
"""

import pathlib
import tempfile

from harness import ROOT, Train, expect, final_weights

CONFIG = """
base: "{root}/recipes/tiny_ppo.textproto"
name: "{name}" output_dir: "{out}"
data {{ builtin {{ train_problems: 256 eval_problems: 8 }} }}
coordinator {{ lease_ms: 3000 }}
actor {{ max_batch: 16 }}
eval {{ samples: 2 max_new_tokens: 24 bootstrap: 50 }}
stage {{ init {{ hidden_size: 64 intermediate_size: 128 num_hidden_layers: 2 }} }}
stage {{ sft {{ limit: 256 }} training {{ learning_rate: 3e-3 epochs: 1 }} }}
stage {{
  ppo {{
    steps: 6 prompts: 8 samples_per_prompt: 4 ppo_epochs: 1 eval_every: 3 kl {{ coef: 0.05 }}
    reward {{ kind: EXACT_MATCH_FLEXIBLE }} sampling {{ temperature: 1.0 max_new_tokens: 24 }}
    max_staleness: {staleness}
  }}
  training {{ learning_rate: 1e-3 batch_size: 32 }}
}}
stage {{
  ei {{
    rounds: 1 prompts: 32 samples_per_prompt: 2 threshold: 0 dedup: TEXT keep_truncated: true
    sampling {{ temperature: 1.0 max_new_tokens: 24 }}
  }}
  training {{ learning_rate: 1e-3 batch_size: 32 epochs: 1 }}
}}
"""


def start(folder, name, turns, staleness=0):
    path = folder / f"{name}.textproto"
    path.write_text(CONFIG.format(root=ROOT, out=folder / "runs", name=name, staleness=staleness))
    return Train(path, "--set", f"resources.turns={turns}")


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_turns_") as temporary:
        folder = pathlib.Path(temporary)
        together = start(folder, "together", "OFF").finish()
        expect(not (together.run_dir / "turn").exists(), "turns were taken", together)
        expected = final_weights(together.run_dir)

        turns = start(folder, "turns", "ON").finish()
        expect(final_weights(turns.run_dir) == expected, "turns gave other weights", turns)
        # The actor has loaded a version for each turn in which it had work.
        log = (turns.run_dir / "logs/latest/actor-0.log").read_text()
        loads = log.count(" in use")
        expect(loads >= 9, f"the actor has loaded {loads} times", turns)

        killed = start(folder, "killed", "ON")
        killed.wait_phase("ppo_1", done=1)
        killed.kill("reckon-learner")
        killed.wait_phase("ppo_1", done=3)
        killed.kill("reckon-actor")
        killed.finish()
        expect(final_weights(killed.run_dir) == expected, "turns with killed roles gave other weights", killed)

        # Which version a rollout is of depends on time here.
        start(folder, "ahead", "ON", staleness=2).finish()
    print("passed")


if __name__ == "__main__":
    main()
