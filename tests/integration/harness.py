"""What the process tests share: a tiny model, a small config, runs of `reckon train`, and kills.

Environment: RECKON_BIN, the folder of the programs. Only the standard library is used.

Nothing here depends on how fast the machine is: limits are many times what is needed, and a lease that
expires because an actor did not run for three seconds sets no group aside.
"""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

BIN = pathlib.Path(os.environ["RECKON_BIN"])
ROOT = pathlib.Path(__file__).resolve().parents[2]

CONFIG = """
name: "{name}"
output_dir: "{out}"
seed: 7
model {{ path: "{model}" }}
data {{
  train: "builtin" eval: "builtin" format: PLAIN
  builtin {{ train_problems: {problems} eval_problems: 8 min_steps: 1 max_steps: 1 }}
}}
resources {{ actors: {actors} learner_ranks: {ranks} }}
actor {{ max_batch: 8 kv_cache_mib: 64 }}
coordinator {{ lease_ms: 3000 max_attempts: 1000 }}
training {{ learning_rate: 1e-3 batch_size: 8 epochs: 2 max_tokens: 1024 }}
eval {{ samples: 2 max_new_tokens: 16 bootstrap: 50 }}
stage {{ sft {{ limit: 8 }} }}
stage {{
  ei {{
    rounds: 2 samples_per_prompt: 2 threshold: 0 dedup: TEXT keep_truncated: true
    sampling {{ temperature: 1.0 max_new_tokens: {new_tokens} }}
  }}
}}
"""


def tiny_model(folder):
    subprocess.run([BIN / "reckon-tiny-model", folder], check=True)
    return folder


def write_config(folder, name, model, problems=16, actors=1, ranks=1, new_tokens=24):
    path = folder / f"{name}.textproto"
    path.write_text(CONFIG.format(name=name, out=folder / "runs", model=model, problems=problems,
                                  actors=actors, ranks=ranks, new_tokens=new_tokens))
    return path


class Train:
    """One `reckon train` process and its children."""

    def __init__(self, config, *options):
        self.run_dir = config.parent / "runs" / config.stem
        self.log = open(config.parent / f"{config.stem}.out", "ab")
        self.process = subprocess.Popen([BIN / "reckon", "train", config, *options],
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def children(self, program):
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text()
                link = os.readlink(stat.parent / "exe")
            except OSError:
                continue
            parent = int(text.rpartition(")")[2].split()[1])
            if parent == self.process.pid and os.path.basename(link) == program:
                found.append(int(stat.parent.name))
        return found

    def progress(self):
        try:
            return json.loads((self.run_dir / "progress.json").read_text())
        except (OSError, ValueError):
            return {}

    def wait_phase(self, word, done=0, timeout=600):
        """Waits until the name of the phase contains `word` and at least `done` of it is done."""
        deadline = time.time() + timeout
        while time.time() < deadline:
            progress = self.progress()
            if word in progress.get("phase", "") and progress.get("done", 0) >= done:
                return
            if self.process.poll() is not None:
                fail(f"the run ended before a phase '{word}'", self)
            time.sleep(0.01)
        fail(f"no phase '{word}' within {timeout} s", self)

    def kill(self, program, which=0, timeout=300):
        """SIGKILLs a child, in the order of their process ids, and waits until the supervisor has started another."""
        before = sorted(self.children(program))
        if len(before) <= which:
            fail(f"no {program} {which} is running", self)
        os.kill(before[which], signal.SIGKILL)
        deadline = time.time() + timeout
        while time.time() < deadline:
            if self.process.poll() is not None:
                return
            if set(self.children(program)) - set(before):
                return
            time.sleep(0.02)
        fail(f"{program} was not started again", self)

    def interrupt(self, timeout=300):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def finish(self, timeout=900):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            fail(f"the run did not end within {timeout} s", self)
        if code != 0:
            fail(f"exit code {code}", self)
        self.check_secrets()
        return self

    def check_secrets(self):
        """No log, metric or result of the run tells its token or a key."""
        certificates = self.run_dir / "certificates"
        secrets = [b"PRIVATE KEY", (certificates / "user" / "token").read_bytes().strip()]
        told = [pathlib.Path(self.log.name), *(self.run_dir / "logs").rglob("*.log"),
                *self.run_dir.glob("*.json*"), *self.run_dir.glob("eval/*")]
        for path in told:
            text = path.read_bytes()
            if any(secret in text for secret in secrets):
                fail(f"{path} tells a secret", self)


def final_weights(run_dir):
    """SHA-256 of the last weight folder's tensors."""
    folders = sorted((run_dir / "weights").iterdir(), key=lambda f: f.stat().st_mtime)
    return hashlib.sha256((folders[-1] / "model.safetensors").read_bytes()).hexdigest()


def fail(message, train=None):
    print(f"FAILED: {message}", file=sys.stderr)
    if train is not None:
        train.log.flush()
        for path in [pathlib.Path(train.log.name), *sorted((train.run_dir / "logs").glob("latest/*.log"))]:
            text = path.read_text(errors="replace").splitlines()[-25:]
            print(f"--- {path}", *text, sep="\n", file=sys.stderr)
        train.process.kill()
    sys.exit(1)


def expect(condition, message, train=None):
    if not condition:
        fail(message, train)
