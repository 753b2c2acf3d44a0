"""Runs the learning tests with an actor that returns wrong rewards for its training samples. Each must
fail because of what it measured, otherwise it does not test learning. Called by `./dev lab lies`, which
builds first. Prints for each lie and recipe what the test said; exit code 1 if a test passed, or failed
for another reason, as a run that takes too long does.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = ["ei", "grpo", "ppo", "rcrl", "orm"]


def programs(folder):
    """The built programs, with the lying actor in place of the honest one."""
    for program in (ROOT / "build/bin").iterdir():
        if program.name != "reckon-actor" and program.is_file():
            os.link(program, folder / program.name)
    os.link(ROOT / "build/tests/reckon-lying-actor", folder / "reckon-actor")


def main():
    parser = argparse.ArgumentParser(prog="./dev lab lies", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lies", nargs="+", choices=["flip", "shuffle"], default=["flip", "shuffle"])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    parser.add_argument("--seconds", type=int, default=600, help="time limit of one run")
    arguments = parser.parse_args()
    undecided = []
    # On the file system of build/bin, so that hard links work. They must be hard links, because a program
    # looks for the others in the folder of its own file.
    with tempfile.TemporaryDirectory(prefix="lies_", dir=ROOT / "build") as temporary:
        programs(pathlib.Path(temporary))
        for lie in arguments.lies:
            for recipe in arguments.recipes:
                test = subprocess.run(
                    [sys.executable, ROOT / "tests/integration/rl_test.py", recipe, str(arguments.seconds)],
                    env={**os.environ, "RECKON_BIN": temporary, "RECKON_LIE": lie},
                    capture_output=True, text=True)
                said = [line for line in test.stderr.splitlines() if line.startswith("FAILED")]
                measured = said and said[0].startswith(f"FAILED: tiny_{recipe}: ")
                if test.returncode == 0:
                    said = ["PASSED, which it must not"]
                print(f"{lie} {recipe}: {said[0] if said else test.stderr[-500:]}", flush=True)
                if not measured or test.returncode == 0:
                    undecided.append(f"{lie} {recipe}")
    sys.exit(f"did not fail by what was measured: {', '.join(undecided)}" if undecided else 0)


if __name__ == "__main__":
    main()
