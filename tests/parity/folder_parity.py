"""Folders as transformers saves them: every family and number type, in one file and in shards, with and
without the head's prefix. Reckon reads each (logits within 1e-3 of transformers' in fp32) and writes it
again; transformers then loads what was written and generates the same greedy text, with the same
weights, number type and side files. Prints the table of docs/results.md.

Usage: folder_parity.py TOOL, with RECKON_BIN; see oracle.py for what it needs.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

import oracle

TOKENS = 60
SHAPE = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=4,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
             bos_token_id=1, eos_token_id=[2, 0], pad_token_id=2)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
TYPES = ("float32", "bfloat16", "float16")
FORMS = ("one file", "shards", "no prefix")
SIDE_FILES = {"LICENSE": "as it is\n", "README.md": "# A card\n", "chat_template.jinja": "{{ é }}\n",
              "special_tokens_map.json": '{"eos_token": "<|im_end|>"}', "vocab.json": "{}"}


def families():
    from transformers import (CwmConfig, LlamaConfig, MinistralConfig, MistralConfig, Phi3Config, Qwen2Config,
                              Qwen3Config, SeedOssConfig, SmolLM3Config)
    yield "Llama 2", LlamaConfig(**SHAPE, tie_word_embeddings=False)
    yield "Llama 3.1", LlamaConfig(**SHAPE, rope_parameters=LLAMA3, tie_word_embeddings=False)
    yield "SmolLM2", LlamaConfig(**SHAPE, rope_parameters=LINEAR, tie_word_embeddings=True)
    yield "Mistral", MistralConfig(**SHAPE, sliding_window=None)
    yield "Mistral, window", MistralConfig(**SHAPE, sliding_window=256)
    yield "Ministral", MinistralConfig(**SHAPE, head_dim=32, sliding_window=256, layer_types=[
        "sliding_attention", "full_attention"] * 2)
    yield "CWM", CwmConfig(**SHAPE, head_dim=32, sliding_window=256)
    yield "Phi-3", Phi3Config(**SHAPE, sliding_window=256)
    yield "Qwen2.5", Qwen2Config(**SHAPE, tie_word_embeddings=True)
    yield "Qwen3", Qwen3Config(**SHAPE, head_dim=32, tie_word_embeddings=False)
    yield "SmolLM3", SmolLM3Config(**SHAPE)
    yield "Seed-OSS", SeedOssConfig(**SHAPE, head_dim=16)


def main():
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging
    logging.disable_progress_bar()
    torch.set_num_threads(1)

    def load(folder, dtype="float32"):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)

    def save(model, folder, form):
        if form == "no prefix":
            model.model.save_pretrained(folder)
        else:
            model.save_pretrained(folder, **({"max_shard_size": "60KB"} if form == "shards" else {}))
            assert (len(list(folder.glob("*.safetensors"))) > 1) == (form == "shards")
        if form == "no prefix":
            model.generation_config.save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tiny / name).read_bytes())
        for name, text in SIDE_FILES.items():
            (folder / name).write_text(text)

    def through_reckon(folder):
        ours = folder.with_name(folder.name + "_ours")
        done = subprocess.run([sys.argv[1], folder, root / "tokens", folder.with_suffix(".result")],
                              env={**os.environ, "RECKON_WRITE_TO": str(ours)},
                              capture_output=True, text=True)
        return ours, done

    def text_of(model, folder):
        out = model.generate(ids[:, :8], attention_mask=torch.ones(1, 8, dtype=torch.long),
                             max_new_tokens=24, do_sample=False)
        return AutoTokenizer.from_pretrained(folder).decode(out[0])

    bad = []
    with tempfile.TemporaryDirectory(prefix="reckon_folders_") as temporary:
        root = pathlib.Path(temporary)
        tiny = root / "tiny"
        subprocess.run([f"{os.environ['RECKON_BIN']}/reckon-tiny-model", tiny], check=True)
        torch.manual_seed(0)
        ids = torch.randint(3, 259, (1, TOKENS))
        ids[0].numpy().astype(np.int32).tofile(root / "tokens")
        cases = {}
        for index, (family, config) in enumerate(families()):
            for dtype in TYPES:
                torch.manual_seed(index)
                model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
                for parameter in model.parameters():  # norms and biases of some size, too
                    parameter.data += 0.1 * torch.randn_like(parameter)
                model = model.to(getattr(torch, dtype))
                model.config.dtype = getattr(torch, dtype)
                for form in FORMS:
                    if form == "no prefix" and not config.tie_word_embeddings:
                        continue  # it has no head
                    folder = root / f"{index}_{dtype}_{FORMS.index(form)}"
                    save(model, folder, form)
                    cases[family, dtype, form] = folder
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = dict(zip(cases, pool.map(through_reckon, cases.values())))
        worst = {}
        for (family, dtype, form), folder in cases.items():
            ours, done = results[family, dtype, form]
            if done.returncode != 0:
                bad.append((family, dtype, form, done.stderr.strip()))
                continue
            before, after = load(folder), load(ours)
            with torch.no_grad():
                logits = before(input_ids=ids).logits[0].numpy()
            data = np.fromfile(folder.with_suffix(".result"), dtype=np.float32)[:logits.size]
            worst[family] = max(worst.get(family, 0.0),
                                float(np.abs(data.reshape(logits.shape) - logits).max()))
            checks = {
                "logits": worst[family] < 1e-3,
                "weights": all(torch.equal(a, b) for a, b in zip(before.state_dict().values(),
                                                                 after.state_dict().values())),
                "number type": str(load(ours, "auto").dtype) == f"torch.{dtype}",
                "text": text_of(before, folder) == text_of(after, ours),
                "side files": all((ours / n).read_text() == t for n, t in SIDE_FILES.items()),
                "ends": after.generation_config.eos_token_id == [2, 0],
            }
            bad += [(family, dtype, form, what) for what, good in checks.items() if not good]
        print("| family | F32 | BF16 | F16 | logits |\n| --- | --- | --- | --- | --- |")
        for family, config in families():
            cells = []
            for dtype in TYPES:
                forms = [form for form in FORMS if (family, dtype, form) in cases]
                failed = [form for form in forms if any(b[:3] == (family, dtype, form) for b in bad)]
                cells.append("failed: " + ", ".join(failed) if failed else ", ".join(forms))
            print(f"| {family} | {' | '.join(cells)} | {worst.get(family, float('nan')):.1e} |")
    for line in bad:
        print("failed:", *line)
    print(f"{len(cases)} folders, {len(bad)} failures")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    oracle.run(main)
