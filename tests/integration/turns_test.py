"""Actor and learner that take turns on the device that they share end with the bits of those that do not.

SFT, PPO with a KL penalty and expert iteration, on the CPU, where resources.turns: ON makes them take turns. One
run loses its learner and its actor in the middle of their turns. Then the same with two ranks and two actors, of
which a rank and an actor take turns with each other: a rank and an actor are killed, and the run is stopped and
resumed.
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


def start(folder, name, turns, *options, staleness=0, each=1):
    path = folder / f"{name}.textproto"
    path.write_text(CONFIG.format(root=ROOT, out=folder / "runs", name=name, staleness=staleness))
    return Train(path, "--set", f"resources.turns={turns}", "--set", f"resources.learner_ranks={each}",
                 "--set", f"resources.actors={each}", *options)


def one_of_each(folder):
    together = start(folder, "together", "OFF").finish()
    expect(not (together.run_dir / "turn-0").exists(), "turns were taken", together)
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


def several_of_each(folder):
    together = start(folder, "ranks_together", "OFF", each=2).finish()
    expected = final_weights(together.run_dir)

    turns = start(folder, "ranks", "ON", each=2).finish()
    expect(final_weights(turns.run_dir) == expected, "turns of two ranks gave other weights", turns)
    for card in range(2):
        expect((turns.run_dir / f"turn-{card}").exists(), f"nobody took turns on card {card}", turns)

    killed = start(folder, "ranks_killed", "ON", each=2)
    killed.wait_phase("ppo_1", done=1)
    killed.kill("reckon-learner", which=1)
    killed.wait_phase("ppo_1", done=2)
    killed.kill("reckon-actor", which=1)
    killed.wait_phase("ppo_1", done=3)
    killed.interrupt()
    resumed = start(folder, "ranks_killed", "ON", "--resume", each=2).finish()
    expect(final_weights(resumed.run_dir) == expected, "turns with killed ranks gave other weights", resumed)

    # Which version a rollout is of depends on time here. The second rank has no actor on its card.
    start(folder, "ranks_ahead", "ON", "--set", "resources.actors=1", staleness=2, each=2).finish()


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_turns_") as temporary:
        folder = pathlib.Path(temporary)
        one_of_each(folder)
        several_of_each(folder)
    print("passed")


if __name__ == "__main__":
    main()
