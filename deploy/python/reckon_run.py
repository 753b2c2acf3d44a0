"""Reads a run of Reckon: metrics, evaluations and rollouts, as pandas tables where pandas is installed.

    from reckon_run import Run
    run = Run("runs/quickstart")
    run.metrics()                      # a row for each line of metrics.jsonl
    run.evaluations()                  # a row for each evaluation: name, maj@1, maj@1/low, ...
    run.rollouts("ppo_1", limit=1000)  # a row for each rollout

Without pandas, or with tables=False, each is a list of dicts. Only the standard library is needed. Works
while the run is in progress and after it.

Rollouts are in the run's store, which only Reckon's coordinator opens, so they come from
`reckon rollouts RUN --jsonl`: the program is $RECKON_BIN/reckon, or build/bin/reckon of this checkout, or
the `reckon` of PATH. A file that this command has written is read by read_rollouts.
"""

import json
import os
import pathlib
import shutil
import subprocess


def find_program():
    """The program `reckon`."""
    folders = [os.environ.get("RECKON_BIN"), pathlib.Path(__file__).resolve().parents[2] / "build/bin"]
    for folder in folders:
        if folder and os.access(pathlib.Path(folder) / "reckon", os.X_OK):
            return pathlib.Path(folder) / "reckon"
    found = shutil.which("reckon")
    if found is None:
        raise FileNotFoundError("no program `reckon`: set RECKON_BIN to the folder that has it")
    return pathlib.Path(found)


def table(rows, tables=True):
    """A pandas.DataFrame of dicts; the list itself without pandas or with tables=False."""
    if not tables:
        return rows
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows)


def read_rollouts(lines):
    """The rollouts of an iterable of JSON lines, one dict each."""
    for line in lines:
        if line.strip():
            yield json.loads(line)


def sampled_tokens(rollout):
    """(token, log-probability) of what the policy drew."""
    return [pair for span in rollout["spans"] if span["kind"] == "sampled"
            for pair in zip(span["tokens"], span["logprobs"])]


class Run:
    """The folder of one run, as `reckon train` makes it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        if not (self.folder / "config.textproto").exists():
            raise FileNotFoundError(f"{folder}: not a run directory, because it has no config.textproto")

    @property
    def config(self):
        """The resolved config, as text."""
        return (self.folder / "config.textproto").read_text()

    def progress(self):
        """What the run does now; docs/architecture.md says where its keys are described."""
        path = self.folder / "progress.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def metrics(self, tables=True):
        """Every line of metrics.jsonl; docs/metrics.md lists the names. The last one may be missing while
        the run writes it."""
        rows = []
        path = self.folder / "metrics.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return table(rows, tables)

    def evaluations(self, tables=True):
        """Every evaluation in order. A metric with an interval is three columns: maj@1, maj@1/low and
        maj@1/high."""
        rows = []
        for path in (self.folder / "eval").glob("*.json"):
            if path.name == "summary.json":
                continue
            row = {}
            for name, value in json.loads(path.read_text()).items():
                if isinstance(value, dict) and {"value", "low", "high"} <= value.keys():
                    row |= {name: value["value"], f"{name}/low": value["low"], f"{name}/high": value["high"]}
                elif not isinstance(value, dict):
                    row[name] = value
            rows.append(row)
        return table(sorted(rows, key=lambda row: row["index"]), tables)

    def iterate_rollouts(self, plan=None, limit=0):
        """Rollouts one by one, for runs with more of them than memory."""
        command = [str(find_program()), "rollouts", str(self.folder), "--jsonl", "--limit", str(limit)]
        if plan is not None:
            command += ["--plan", plan]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
            yield from read_rollouts(process.stdout)
        if process.returncode != 0:
            raise RuntimeError(f"`{' '.join(command)}` ended with status {process.returncode}")

    def rollouts(self, plan=None, limit=0, tables=True):
        """Those of one plan or of all; limit 0 means all. The verdict, the number of sampled tokens and their
        mean log-probability are columns of their own."""
        rows = []
        for rollout in self.iterate_rollouts(plan, limit):
            drawn = sampled_tokens(rollout)
            rollout["verdict"] = rollout["rewards"][0]["verdict"] if rollout["rewards"] else None
            rollout["num_tokens"] = len(drawn)
            rollout["mean_logprob"] = sum(p for _, p in drawn) / len(drawn) if drawn else None
            rows.append(rollout)
        return table(rows, tables)
