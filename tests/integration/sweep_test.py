"""A sweep of two arms runs, is interrupted, resumes, is not repeated, and writes its reports."""

import csv
import pathlib
import signal
import subprocess
import tempfile
import time

from harness import BIN, expect, fail, tiny_model, write_config


class Sweep:
    """`reckon sweep` in `folder`, which has a file of the name s.textproto."""

    def __init__(self, folder):
        self.folder = folder
        self.made = folder / "out" / "s"

    def start(self, *options):
        return subprocess.Popen([BIN / "reckon", "sweep", self.folder / "s.textproto", *options],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, code, *options):
        """Runs it to the end and returns what it printed."""
        process = self.start(*options)
        text, _ = process.communicate(timeout=900)
        if process.returncode != code:
            for log in (self.made / "logs").glob("*.log"):
                text += f"--- {log}\n{log.read_text()}"
            fail(f"exit code {process.returncode}, not {code}:\n{text}")
        return text

    def rows(self):
        with open(self.made / "results.csv", newline="") as file:
            return list(csv.DictReader(file))


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_sweep_") as temporary:
        folder = pathlib.Path(temporary)
        write_config(folder, "base", tiny_model(folder / "model"))
        sweep = Sweep(folder)
        (folder / "s.textproto").write_text(f"""
            name: "s" config: "base.textproto" output_dir: "{folder}/out"
            grid {{ name: "K" field: "stage[1].ei.samples_per_prompt" value: "1" value: "2" }}""")

        plan = sweep.run(0, "--dry-run")
        expect("K-2_s1: arm K=2, seed 1, to do" in plan, plan)
        expect(not sweep.made.exists(), "a dry run has made a folder")

        first = sweep.start()
        deadline = time.time() + 600
        while not (sweep.made / "runs" / "K-1_s1" / "progress.json").exists():
            if first.poll() is not None or time.time() > deadline:
                fail(f"the first run has not begun:\n{first.communicate()[0]}")
            time.sleep(0.01)
        first.send_signal(signal.SIGINT)
        text, _ = first.communicate(timeout=300)
        expect(first.returncode == 130 and "to resume, run: reckon sweep" in text, text)

        text = sweep.run(0)
        expect("resuming K-1_s1" in text and "starting K-2_s1" in text, text)
        rows = sweep.rows()
        for arm, per_round in (("K=1", 16), ("K=2", 32)):
            evaluations = [(r["evaluation"], float(r["samples"])) for r in rows if r["arm"] == arm]
            expect(evaluations == [("start", 0), ("sft_1", 0), ("ei_1_round_1", per_round),
                                   ("ei_1_round_2", 2 * per_round)], evaluations)
        expect(all(r["state"] == "finished" and r["maj@1"] != "" for r in rows), rows)
        report = (sweep.made / "report.html").read_text()
        expect("pass@K against samples drawn for training" in report and "//" not in report,
               "the report lacks a chart, or has an address")

        text = sweep.run(0)
        expect("starting" not in text and "resuming" not in text, text)

        # A failed run stops no other, and the sweep names it.
        (folder / "s.textproto").write_text(f"""
            name: "t" config: "base.textproto" output_dir: "{folder}/out"
            grid {{ point {{ label: "bad" set: "model.path={folder}/none" }} point {{ label: "good" }} }}
            set: "stage[1].ei.rounds=1" """)
        text = sweep.run(1)
        expect("1 of 2 runs failed" in text and "bad_s1: " in text and "finished good_s1" in text,
               text)
    print("passed")


if __name__ == "__main__":
    main()
