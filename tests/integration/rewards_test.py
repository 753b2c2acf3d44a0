"""A run whose rewards are processes of the user's own, of which some crash, hang and print rubbish; and
runs that end because their rewards fail.

rewards_test.py    The answers are words, so nothing but these rewards can score them.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from harness import BIN, ROOT, Train, expect, tiny_model

LIMIT = 600  # seconds
REWARD = ROOT / "tests/integration/own_reward.py"
WORDS = ["nine", "ten", "eleven", "twelve"]

CONFIG = """
name: "{name}" output_dir: "{folder}/runs" seed: 7
model {{ path: "{model}" }}
data {{ train: "{folder}/train.jsonl" eval: "{folder}/eval.jsonl" }}
actor {{ max_batch: 8 kv_cache_mib: 64 }}
coordinator {{ lease_ms: 3000 max_attempts: 1000 }}
training {{ learning_rate: 1e-3 batch_size: 8 epochs: 1 max_tokens: 1024 }}
eval {{ samples: 2 max_new_tokens: 8 bootstrap: 50 reward {{ kind: PROCESS {reward} }} }}
stage {{ ei {{
  rounds: 1 samples_per_prompt: 2 threshold: 0 dedup: NONE keep_truncated: true include_sft_data: false
  sampling {{ temperature: 1.0 max_new_tokens: 8 }}
  reward {{ kind: PROCESS name: "mine" weight: 2 {reward} }}
  reward {{ kind: EXACT_MATCH_STRICT }}
}} }}
"""


def write_data(folder):
    for name, problems in (("train", 16), ("eval", 4)):
        records = [{"question": f"Say {WORDS[i % 4]}.", "answer": WORDS[i % 4], "level": i,
                    "tags": [name, "ä"]} for i in range(problems)]
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(text)


def write_run(folder, name, model, command, more=""):
    config = folder / f"{name}.textproto"
    reward = f"command: {json.dumps(command)} timeout_ms: 2000 {more}"
    config.write_text(CONFIG.format(name=name, folder=folder, model=model, reward=reward))
    return config


def own(folder, failing):
    folder.mkdir()
    return f"{sys.executable} {REWARD} {folder} {failing}"


def metrics_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def failures_are_repeated_and_never_zeros(folder, model):
    config = write_run(folder, "own", model, own(folder / "noted", "once"), "max_failed_share: 1")
    train = Train(config).finish()
    noted = [json.loads(line) for line in (folder / "noted/noted.jsonl").read_text().splitlines()]
    trained = {n["request"]["id"]: n for n in noted if n["request"]["id"].startswith("ei")}
    expect(len(trained) == 32, f"{len(trained)} of 32 samples were scored", train)
    for n in noted:
        request = n["request"]
        record = request["columns"]
        expect(record["answer"] == request["reference"] and record["tags"][1] == "ä",
               f"the columns are not those of the record: {request}", train)
        expect(record["question"] in request["prompt"], f"another prompt: {request}", train)
        expect(0 < request["tokens"] <= 8, f"{request['tokens']} tokens", train)
    (line,) = [m for m in metrics_of(train.run_dir) if "sample/accepted" in m]
    mean = sum(n["reply"]["value"] for n in trained.values()) / len(trained)
    expect(abs(line["reward"] - 2 * mean) < 1e-9, f"the mean reward is {line['reward']}, not {2 * mean}",
           train)
    expect(line["sample/set_aside"] == 0, "groups were set aside", train)
    evaluations = [m for m in metrics_of(train.run_dir) if "val/greedy/correct" in m]
    expect(evaluations and all(m["val/greedy/correct"] + m["val/greedy/wrong"] == 4 for m in evaluations),
           f"the evaluations have other verdicts: {evaluations}", train)
    return train


def rewards_that_fail_end_the_run(folder, model):
    ended = ("attempts failed", "max_failed_share 0.05")
    for name, command, texts in (
            ("crashing", own(folder / "crashing_noted", "always"), (*ended, "I always crash")),
            # Before anything is trained.
            ("missing", str(folder / "no_such_program"), ("cannot run here", "No such file or directory"))):
        config = write_run(folder, name, model, command)
        done = subprocess.run([BIN / "reckon", "train", config], capture_output=True, text=True,
                              timeout=LIMIT)
        expect(done.returncode == 1, f"{name}: exit status {done.returncode}")
        causes = [line for line in done.stderr.splitlines()
                  if line.startswith("reckon: ") and "waiting for" not in line]
        expect(len(causes) == 1, f"{name}: not one line of a cause: {done.stderr}")
        for text in texts:
            expect(text in causes[0], f"{name}: the cause does not say '{text}': {causes[0]}")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = tiny_model(folder / "model")
        write_data(folder)
        failures_are_repeated_and_never_zeros(folder, model)
        rewards_that_fail_end_the_run(folder, model)
    print("rewards of one's own scored a run, and ended those in which they failed")


if __name__ == "__main__":
    main()
