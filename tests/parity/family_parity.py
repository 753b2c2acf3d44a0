"""Random small models of every family, in fp32: logits within 1e-3 and gradients within 1e-3 of their
norm, both ways: transformers' folders read by Reckon, and those that Reckon writes by transformers.

Usage: family_parity.py TOOL, with RECKON_BIN; see oracle.py for what it needs.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import oracle

TOKENS = 150
SHAPE = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
Q, K, V = (f"model.layers.1.self_attn.{p}_proj" for p in "qkv")


def families():
    """(name, config, options of saving, parameters whose gradient is compared)."""
    from transformers import (CwmConfig, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config,
                              SeedOssConfig, SmolLM3Config)
    weights = ["model.embed_tokens.weight", f"{Q}.weight", f"{K}.weight", "model.norm.weight"]
    yield "Llama 2", LlamaConfig(**SHAPE, tie_word_embeddings=False), {}, weights + ["lm_head.weight"]
    yield ("Llama 3.1", LlamaConfig(**SHAPE, rope_parameters=LLAMA3, tie_word_embeddings=False),
           {"max_shard_size": "100KB"}, weights)
    yield ("linear RoPE scaling", LlamaConfig(**SHAPE, tie_word_embeddings=True, rope_parameters={
        "rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}), {}, weights)
    yield ("SmolLM2", LlamaConfig(**SHAPE, tie_word_embeddings=True, rope_parameters={
        "rope_type": "default", "rope_theta": 1e5}), {}, weights)
    bias = [f"{p}.bias" for p in (Q, K, V)]
    yield "Qwen2.5, tied", Qwen2Config(**SHAPE, tie_word_embeddings=True), {}, weights + bias
    yield ("Qwen2, untied", Qwen2Config(**SHAPE, tie_word_embeddings=False),
           {"max_shard_size": "100KB"}, weights + bias)
    yield ("Seed-OSS", SeedOssConfig(
        **SHAPE, head_dim=16, attention_dropout=0, residual_dropout=0), {}, weights + bias)
    yield "Mistral", MistralConfig(**SHAPE, sliding_window=256), {}, weights + ["lm_head.weight"]
    yield ("CWM", CwmConfig(**SHAPE, head_dim=32, sliding_window=256, pad_token_id=None), {},
           weights + ["lm_head.weight"])
    out = "model.layers.1.self_attn.o_proj"
    mlp = [f"model.layers.1.mlp.{p}_proj.bias" for p in ("gate", "up", "down")]
    yield ("Llama with biases", LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True), {},
           weights + bias + mlp + [f"{out}.weight", f"{out}.bias"])
    yield ("Seed-OSS, other biases", SeedOssConfig(
        **SHAPE, head_dim=16, attention_dropout=0, residual_dropout=0, attention_bias=False,
        attention_out_bias=True, mlp_bias=True), {}, weights + mlp + [f"{out}.bias"])
    yield "Qwen2.5, YaRN", Qwen2Config(**SHAPE, tie_word_embeddings=True, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0,
        "original_max_position_embeddings": 64}), {}, weights
    yield "Llama, YaRN with its options", LlamaConfig(**SHAPE, rope_parameters={
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 16.0, "beta_fast": 24.0, "beta_slow": 2.0,
        "mscale": 1.0, "mscale_all_dim": 0.7, "truncate": False,
        "original_max_position_embeddings": 32}), {}, weights
    yield "Qwen3 with biases, YaRN's factor given", Qwen3Config(
        **SHAPE, head_dim=32, attention_bias=True, rope_parameters={
            "rope_type": "yarn", "rope_theta": 1e6, "factor": 8.0, "attention_factor": 1.3,
            "original_max_position_embeddings": 64}), {}, weights + bias + [f"{out}.bias"]
    yield "Phi-3", Phi3Config(**SHAPE, pad_token_id=None, sliding_window=256), {
        "max_shard_size": "100KB"}, [
            "model.embed_tokens.weight", "model.layers.1.self_attn.qkv_proj.weight",
            "model.layers.1.mlp.gate_up_proj.weight", "lm_head.weight"]
    # The layer whose gradients are compared is without RoPE.
    yield "SmolLM3", SmolLM3Config(**SHAPE, no_rope_layers=[1, 0, 1], pad_token_id=None), {}, weights
    norms = [f"model.layers.1.self_attn.{p}_norm.weight" for p in "qk"]
    for tied in (True, False):
        yield (f"Qwen3, {'tied' if tied else 'untied'}",
               Qwen3Config(**SHAPE, head_dim=32, tie_word_embeddings=tied), {}, weights + norms)


def main():
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM

    good = True
    with tempfile.TemporaryDirectory(prefix="reckon_families_") as temporary:
        root = pathlib.Path(temporary)
        subprocess.run([f"{os.environ['RECKON_BIN']}/reckon-tiny-model", root / "tiny"], check=True)
        for index, (name, config, saving, parameters) in enumerate(families()):
            torch.manual_seed(index)
            model = AutoModelForCausalLM.from_config(config).float()
            for parameter in model.parameters():  # norms and biases of some size, too
                parameter.data += 0.1 * torch.randn_like(parameter)
            theirs, ours = root / f"theirs_{index}", root / f"ours_{index}"
            model.save_pretrained(theirs, **saving)
            shards = len(list(theirs.glob("*.safetensors")))
            assert shards > 1 or not saving, "not sharded"
            for text in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(root / "tiny" / text, theirs)

            ids = torch.randint(0, config.vocab_size, (1, TOKENS))
            out = model(input_ids=ids, labels=ids)
            (-out.loss).backward()
            logits = out.logits[0].detach().numpy()
            ids[0].numpy().astype(np.int32).tofile(root / "tokens")
            subprocess.run([sys.argv[1], theirs, root / "tokens", root / "result", *parameters],
                           check=True, env={**os.environ, "RECKON_WRITE_TO": str(ours)})
            data = np.fromfile(root / "result", dtype=np.float32)
            worst = np.abs(data[:logits.size].reshape(logits.shape) - logits).max()
            at, gradient = logits.size, 0.0
            named = dict(model.named_parameters())
            for parameter in parameters:
                want = named[parameter].grad.numpy()
                have = data[at:at + want.size].reshape(want.shape)
                at += want.size
                gradient = max(gradient, np.linalg.norm(have - want) / np.linalg.norm(want))
            assert at == data.size, "a parameter's gradient is missing"
            again = AutoModelForCausalLM.from_pretrained(ours, dtype=torch.float32)
            with torch.no_grad():
                back = np.abs(again(input_ids=ids).logits[0].numpy() - logits).max()
            print(f"{name} ({shards} files): logits {worst:.1e}, gradients {gradient:.1e}, "
                  f"written by Reckon and read back {back:.1e}")
            good = good and worst < 1e-3 and gradient < 1e-3 and back < 1e-3
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    oracle.run(main)
