"""A model from nothing (`init` stage) learns the built-in problems within half a minute of SFT."""

import json
import pathlib
import subprocess
import tempfile

from harness import BIN, ROOT, Train, expect


def main():
    with tempfile.TemporaryDirectory(prefix="reckon_init_") as temporary:
        folder = pathlib.Path(temporary)
        config = folder / "learns.textproto"
        base = f'base: "{ROOT}/recipes/tiny_sft.textproto" output_dir: "{folder}/runs" '
        config.write_text(base + "data { builtin { train_problems: 2048 } }")
        run = Train(config, "--set", "name=learns").finish()
        evaluation = json.loads((run.run_dir / "eval" / "0_sft_1.json").read_text())
        accuracy = evaluation["maj@1"]
        print("maj@1", accuracy)
        expect(accuracy["low"] > 0.25, f"maj@1 {accuracy} after SFT", run)
        shown = subprocess.run([BIN / "reckon", "show", run.run_dir, "--limit", "8"],
                               capture_output=True, text=True, timeout=300)
        expect(shown.returncode == 0 and "####" in shown.stdout, shown.stdout + shown.stderr, run)

        # Rank 0 makes the folder, the other reads it.
        ranks = folder / "ranks.textproto"
        ranks.write_text(base + "resources { learner_ranks: 2 } eval { limit: 4 samples: 0 } "
                                "data { builtin { train_problems: 64 } }")
        Train(ranks, "--set", "name=ranks").finish()
    print("passed")


if __name__ == "__main__":
    main()
