"""A run that `reckon launch --slurm` has submitted to a SlurmCluster, for the tests."""

import json
import subprocess
import sys
import time
import urllib.request

from harness import BIN, Train, expect


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class SlurmRun(Train):
    """`process` is the launch, which has ended."""

    def __init__(self, cluster, config, *options):
        self.cluster = cluster
        self.run_dir = config.parent / "runs" / config.stem
        self.log = open(config.parent / f"{config.stem}.out", "ab")
        self.process = subprocess.Popen([BIN / "reckon", "launch", config, "--slurm", *options],
                                        stdout=self.log, stderr=subprocess.STDOUT)
        expect(self.process.wait(240) == 0, "launch --slurm failed", self)
        self.job = (self.run_dir / "slurm" / "job").read_text().strip()

    def actors(self):
        """{index: (task, state)} of the array."""
        return {int(index): (task, state) for task, (name, state, _, index) in
                self.cluster.queue().items() if name.endswith(f"-actors-{self.job}")}

    def running(self, count):
        tasks = self.actors()
        return sorted(tasks) == list(range(count)) and all(s == "RUNNING" for _, s in tasks.values())

    def until(self, what, ready, timeout=240):
        deadline = time.time() + timeout
        while not ready():
            if time.time() > deadline:
                print(subprocess.run(["squeue"], capture_output=True, text=True).stdout, file=sys.stderr)
                expect(False, f"not within {timeout} s: {what}", self)
            time.sleep(0.05)

    def node(self):
        return self.cluster.queue().get(self.job, ("", "", "", ""))[2]

    def metrics(self):
        """Names of the processes that Prometheus would find, and that answer."""
        names = set()
        for file in (self.run_dir / "targets").glob("*.json"):
            try:
                target = json.loads(file.read_text())[0]
                page = urllib.request.urlopen(f"http://{target['targets'][0]}/metrics", timeout=5).read()
            except (OSError, ValueError):
                continue
            if b"reckon_build_info" in page:
                names.add(target["labels"]["process"])
        return names

    def phase_has(self, word):
        return word in self.progress().get("phase", "")

    def attempts(self):
        return len(list((self.run_dir / "logs").glob("attempt_*")))

    def job_log(self, attempt):
        return (self.run_dir / "logs" / f"attempt_{attempt}" / "job.log").read_text()

    def in_queue(self):
        """Whether the learner's job or an actor of it waits or runs."""
        return any(task == self.job or task.startswith(self.job + "+") or
                   name.endswith(f"-actors-{self.job}")
                   for task, (name, *_) in self.cluster.queue().items())

    def leave_queue(self, timeout=400):
        self.until("the run has left the queue", lambda: not self.in_queue(), timeout)
        return self

    def finish(self):
        self.leave_queue()
        expect(self.progress().get("finished"), "the run is not finished", self)
        return self
