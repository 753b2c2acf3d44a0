"""Adapters of PEFT, both ways, in fp32: folders that PEFT saved, read by Reckon over their base (logits
within 1e-4 of PEFT's, or of what the adapter changes, if that is more than 1), and the adapter folders
of a Reckon run, applied by PEFT (the same of the merged version's).

Usage: adapter_parity.py TOOL, with RECKON_BIN; see oracle.py for what it needs.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import oracle

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

SHAPE = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main():
    import numpy as np
    import torch
    from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig
    from transformers.utils import logging
    logging.disable_progress_bar()

    from harness import Train, tiny_model, write_config

    def logits_of(model, ids):
        with torch.no_grad():
            return model(input_ids=ids).logits[0].numpy()

    good = True

    def report(name, worst, moved):
        nonlocal good
        good = good and worst < 1e-4 * max(1, moved) and moved > 1e-3
        print(f"{name}: largest difference {worst:.1e}; the adapter moves logits by {moved:.1e}")

    with tempfile.TemporaryDirectory(prefix="reckon_adapter_") as temporary:
        root = pathlib.Path(temporary)
        tiny = tiny_model(root / "tiny")
        config = LlamaConfig(**SHAPE, tie_word_embeddings=False)
        ids = torch.randint(0, config.vocab_size, (1, 100), generator=torch.Generator().manual_seed(1))
        ids[0].numpy().astype(np.int32).tofile(root / "tokens")
        for index, (name, options) in enumerate({
                "all layers": dict(target_modules=ALL),
                "two, rank-stabilised": dict(target_modules=["q_proj", "v_proj"], use_rslora=True),
                "patterns, with the head": dict(target_modules=ALL + ["lm_head"],
                                                rank_pattern={"layers.0.mlp.up_proj": 2},
                                                alpha_pattern={"v_proj": 3}),
                "one layer, a whole embedding": dict(target_modules=["o_proj"],
                                                     layers_to_transform=[1],
                                                     modules_to_save=["embed_tokens"]),
        }.items()):
            torch.manual_seed(index)
            base = AutoModelForCausalLM.from_config(config).float()
            folder = root / f"base_{index}"
            base.save_pretrained(folder)
            for text in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(tiny / text, folder)
            before = logits_of(base, ids)
            peft = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
                                  LoraConfig(r=4, lora_alpha=8, **options)).eval()
            for key, parameter in peft.named_parameters():
                if "lora_" in key or "modules_to_save" in key:
                    parameter.data += 0.2 * torch.randn_like(parameter)
            peft.save_pretrained(root / f"adapter_{index}")
            subprocess.run([sys.argv[1], root / f"adapter_{index}", root / "tokens", root / "result"],
                           check=True)
            want = logits_of(peft, ids)
            have = np.fromfile(root / "result", dtype=np.float32).reshape(-1)[:want.size]
            report(f"read, {name}", np.abs(have.reshape(want.shape) - want).max(),
                   np.abs(want - before).max())

        path = write_config(root, "lora", tiny, problems=8)
        run = Train(path, "--set", "model.compute=FP32", "--set", "training.lora_rank=4",
                    "--set", "training.lora_alpha=8").finish().run_dir
        ids = torch.randint(0, 259, (1, 100), generator=torch.Generator().manual_seed(1))
        for version in sorted(p.parent for p in (run / "weights").glob("*/adapter")):
            merged = logits_of(AutoModelForCausalLM.from_pretrained(version, dtype=torch.float32), ids)
            base_folder = PeftConfig.from_pretrained(version / "adapter").base_model_name_or_path
            base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
            before = logits_of(base, ids)
            applied = logits_of(PeftModel.from_pretrained(base, version / "adapter").eval(), ids)
            report(f"written, {version.name} over {pathlib.Path(base_folder).name}",
                   np.abs(applied - merged).max(), np.abs(merged - before).max())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    oracle.run(main)
