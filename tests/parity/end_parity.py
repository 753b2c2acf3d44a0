"""Where a trained model stops: a base model whose files end at <|endoftext|>, fine-tuned in its chat
template and without one. transformers' generate, with nothing but the written folder, must stop by
itself at the end that was trained, and the tokenizer and both configs must name it.

Usage: end_parity.py, with RECKON_BIN; see oracle.py for what it needs.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import oracle

BIN = pathlib.Path(os.environ.get("RECKON_BIN", "."))
LONGEST = 60


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def main():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging
    logging.disable_progress_bar()

    def generated(folder, chat):
        """The new tokens, with the settings of the folder alone."""
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if chat:
            ids = tokenizer.apply_chat_template([{"role": "user", "content": f"Why?\n\n{instruction}"}],
                                                add_generation_prompt=True, return_tensors="pt",
                                                return_dict=True)["input_ids"]
        else:
            ids = tokenizer("Question: Why?\nAnswer:", return_tensors="pt").input_ids
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                             max_new_tokens=LONGEST)
        return out[0, ids.shape[1]:].tolist(), model, tokenizer

    good = True
    with tempfile.TemporaryDirectory(prefix="reckon_end_") as temporary:
        root = pathlib.Path(temporary)
        base = root / "base"
        subprocess.run([BIN / "reckon-tiny-model", base], check=True)
        edit(base / "config.json", eos_token_id=0, pad_token_id=0)
        edit(base / "tokenizer_config.json", eos_token="<|endoftext|>", pad_token="<|endoftext|>")
        (base / "generation_config.json").write_text('{"eos_token_id": 0, "bos_token_id": 1}')
        (root / "data.jsonl").write_text(8 * (json.dumps({"question": "Why?", "answer": "#### 1"}) + "\n"))
        source = pathlib.Path(__file__).parents[2] / "common/task/prompt/prompt_format.cc"
        instruction = "".join(line.strip().strip(";").strip('"') for line in
                              source.read_text().split("kNumberInstruction =")[1].split(";\n")[0].splitlines())
        for form, end, name in (("chat", 2, "<|im_end|>"), ("plain", 0, "<|endoftext|>")):
            before, _, _ = generated(base, form == "chat")
            output = root / form
            subprocess.run([BIN / "reckon", "sft", "--model", base, "--data", root / "data.jsonl",
                            "--eval-data", root / "data.jsonl", "--output", output, "--format", form,
                            "--epochs", "40", "--batch-size", "8", "--learning-rate", "3e-3"],
                           check=True, stdout=subprocess.DEVNULL)
            ids, model, tokenizer = generated(output / "weights/sft", form == "chat")
            ends = model.generation_config.eos_token_id
            checks = {
                "the base does not stop": len(before) == LONGEST,
                "it stops by itself": len(ids) < LONGEST and ids[-1] == end,
                "the answer is the trained one": tokenizer.decode(ids, skip_special_tokens=True).strip()
                                                 == "#### 1",
                "config.json": model.config.eos_token_id == end,
                "generation_config.json": end in (ends if isinstance(ends, list) else [ends]),
                "tokenizer": tokenizer.eos_token == name,
            }
            print(f"{form}: {tokenizer.decode(ids)!r} after {len(ids)} tokens; "
                  + (", ".join(k for k, v in checks.items() if not v) + ": FAILED"
                     if not all(checks.values()) else "all as trained"))
            good = good and all(checks.values())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    oracle.run(main)
