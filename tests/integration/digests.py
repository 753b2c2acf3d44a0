"""Prints the SHA-256 of the final weights of runs that cover every algorithm's arithmetic, to compare
two trees before and after a change that must not change results. Not a test of its own.

digests.py [--root TREE] [NAME..]    NAME: loop, ppo_weights, ppo_curricula, ppo_adapters, rcrl; default all

RECKON_BIN is the folder of TREE's programs; configs, recipes and the harness are TREE's too (default:
the tree of this file), because field names may differ between the two. Takes about five minutes.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile

RUNS = ["loop", "ppo_weights", "ppo_curricula", "ppo_adapters", "rcrl"]


def config_of(name, folder, root):
    harness, ppo = map(importlib.import_module, ("harness", "ppo_resume_test"))
    if name == "loop":
        return harness.write_config(folder, name, harness.tiny_model(folder / "model"))
    if name.startswith("ppo_"):
        return ppo.write(folder, name, ppo.VARIANTS[name.removeprefix("ppo_")])
    config = folder / "tiny_rcrl.textproto"
    config.write_text(f'base: "{root}/recipes/tiny_rcrl.textproto" output_dir: "{folder}/runs"')
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RUNS))
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    unknown = set(arguments.names) - set(RUNS)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    sys.path.insert(0, str(root / "tests/integration"))
    harness = importlib.import_module("harness")
    with tempfile.TemporaryDirectory(prefix="reckon_digests_") as temporary:
        for name in arguments.names or RUNS:
            config = config_of(name, pathlib.Path(temporary), root)
            run = harness.Train(config).finish(timeout=600)
            print(name, harness.final_weights(run.run_dir), flush=True)


if __name__ == "__main__":
    main()
