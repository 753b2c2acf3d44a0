#!/usr/bin/env python3
"""A model folder of a known shape with random weights, for benchmarks where no published model can be had.

    random_model.py SHAPE FOLDER [--device cuda]

The tokenizer has a token for each byte and fills the vocabulary with names, so that every row of the head
is computed. Needs torch.
"""

import argparse
import json
from pathlib import Path

# Of the published configs. `head_dim` is hidden_size / num_attention_heads in all of them.
SHAPES = {
    "tiny": dict(model_type="llama", hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, vocab_size=512, rope_theta=10000.0,
                 tie_word_embeddings=True),
    "smollm2-135m": dict(model_type="llama", hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
                         num_attention_heads=9, num_key_value_heads=3, vocab_size=49152, rope_theta=100000.0,
                         tie_word_embeddings=True),
    "qwen2.5-1.5b": dict(model_type="qwen2", hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                         num_attention_heads=12, num_key_value_heads=2, vocab_size=151936, rope_theta=1000000.0,
                         tie_word_embeddings=True),
    "llama-2-7b": dict(model_type="llama", hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
                       num_attention_heads=32, num_key_value_heads=32, vocab_size=32000, rope_theta=10000.0,
                       tie_word_embeddings=False),
}
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def config_of(shape):
    return dict(SHAPES[shape], architectures=[ARCHITECTURES[SHAPES[shape]["model_type"]]], hidden_act="silu",
                max_position_embeddings=4096, rms_norm_eps=1e-5, eos_token_id=0, torch_dtype="bfloat16",
                attention_bias=False)


def tensors_of(shape):
    """[(name, shape)] in the order of a published folder; 1-d ones whose name has `norm` are ones."""
    config = SHAPES[shape]
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    out = [("model.embed_tokens.weight", (config["vocab_size"], hidden))]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        out.append((layer + "input_layernorm.weight", (hidden,)))
        for name, rows in (("q", hidden), ("k", keys), ("v", keys)):
            out.append((f"{layer}self_attn.{name}_proj.weight", (rows, hidden)))
            if config["model_type"] == "qwen2":
                out.append((f"{layer}self_attn.{name}_proj.bias", (rows,)))
        out += [(layer + "self_attn.o_proj.weight", (hidden, hidden)),
                (layer + "post_attention_layernorm.weight", (hidden,)),
                (layer + "mlp.gate_proj.weight", (inner, hidden)),
                (layer + "mlp.up_proj.weight", (inner, hidden)),
                (layer + "mlp.down_proj.weight", (hidden, inner))]
    out.append(("model.norm.weight", (hidden,)))
    if not config["tie_word_embeddings"]:
        out.append(("lm_head.weight", (config["vocab_size"], hidden)))
    return out


def tokenizer_of(vocabulary):
    """Byte-level, without merges: the characters by which GPT-2 writes bytes, then names."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shown = {byte: chr(byte) for byte in printable}
    shown |= {byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in shown)}
    tokens = ["<|endoftext|>"] + [shown[byte] for byte in range(256)]
    tokens += [f"<token {i}>" for i in range(len(tokens), vocabulary)]
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": 0, "content": tokens[0], "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": []},
    }


def write(shape, folder, device="cpu"):
    import torch

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(shape), indent=1))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_of(SHAPES[shape]["vocab_size"])))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    header, offset = {}, 0
    tensors = tensors_of(shape)
    for name, size in tensors:
        count = 2 * torch.Size(size).numel()
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [offset, offset + count]}
        offset += count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator(device).manual_seed(1)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, size in tensors:
            if "norm" in name:
                tensor = torch.ones(size, dtype=torch.bfloat16, device=device)
            else:
                tensor = torch.empty(size, dtype=torch.bfloat16, device=device).normal_(0, 0.02, generator=generator)
            file.write(memoryview(tensor.view(torch.uint8).cpu().contiguous().numpy()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES, metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("folder")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    write(options.shape, options.folder, options.device)
