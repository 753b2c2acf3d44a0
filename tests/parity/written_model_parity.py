"""A model that Reckon trained and wrote, loaded by transformers: the same logits within 1e-3.

Usage: written_model_parity.py TOOL, with RECKON_BIN. Trains a tiny model by `reckon train`, reads
the folder of its last version with both, and compares; the tokenizer must be the one it began with.
See oracle.py for what it needs.
"""

import pathlib
import subprocess
import sys
import tempfile

import oracle

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))


def main():
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from harness import Train, tiny_model, write_config

    with tempfile.TemporaryDirectory(prefix="reckon_written_") as temporary:
        folder = pathlib.Path(temporary)
        base = tiny_model(folder / "model")
        run = Train(write_config(folder, "written", base)).finish().run_dir
        written = max((run / "weights").iterdir(), key=lambda f: f.stat().st_mtime)
        model = AutoModelForCausalLM.from_pretrained(written, dtype=torch.float32)
        before = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        torch.manual_seed(1)
        ids = torch.randint(0, model.config.vocab_size, (1, 100))
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0].numpy()
            moved = np.abs(before(input_ids=ids).logits[0].numpy() - logits).max()
        ids[0].numpy().astype(np.int32).tofile(folder / "tokens")
        subprocess.run([sys.argv[1], written, folder / "tokens", folder / "result"], check=True)
        ours = np.fromfile(folder / "result", dtype=np.float32).reshape(logits.shape)
        worst = np.abs(ours - logits).max()
        print(f"{written.name}: training moved logits by up to {moved:.2e}; "
              f"largest difference between Reckon and transformers: {worst:.2e}")
        same = all((written / f).read_bytes() == (base / f).read_bytes()
                   for f in ("tokenizer.json", "tokenizer_config.json"))
        text = "There are 3+4=<<3+4=7>>7 apples.\n#### 7"
        tokenizer = AutoTokenizer.from_pretrained(written)
        same = same and tokenizer.decode(tokenizer(text).input_ids) == text
        if not same:
            print("the tokenizer is not the one the run began with")
        sys.exit(0 if worst < 1e-3 < moved and same else 1)


if __name__ == "__main__":
    oracle.run(main)
