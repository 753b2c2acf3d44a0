"""SmolLM2-135M in fp32: Reckon's logits and gradients against those of transformers.

Logits within 1e-3; gradients within 1e-3 of their norm. Usage: model_parity.py TOOL; see oracle.py
for what it needs.
"""

import subprocess
import sys
import tempfile

import oracle

PARAMETERS = ["model.embed_tokens.weight", "model.norm.weight",
              "model.layers.0.self_attn.q_proj.weight", "model.layers.7.self_attn.k_proj.weight",
              "model.layers.7.self_attn.v_proj.weight", "model.layers.29.self_attn.o_proj.weight",
              "model.layers.15.mlp.gate_proj.weight", "model.layers.15.mlp.down_proj.weight",
              "model.layers.3.input_layernorm.weight"]


def main():
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    ids = torch.randint(0, 49152, (1, 130))
    model = AutoModelForCausalLM.from_pretrained(oracle.MODEL, dtype=torch.float32)
    out = model(input_ids=ids, labels=ids)
    (-out.loss).backward()
    named = dict(model.named_parameters())
    with tempfile.TemporaryDirectory() as folder:
        tokens, result = f"{folder}/tokens", f"{folder}/result"
        ids[0].numpy().astype(np.int32).tofile(tokens)
        subprocess.run([sys.argv[1], oracle.MODEL, tokens, result, *PARAMETERS], check=True)
        data = np.fromfile(result, dtype=np.float32)
    logits = out.logits[0].detach().numpy()
    worst = np.abs(data[:logits.size].reshape(logits.shape) - logits).max()
    print(f"largest difference of logits: {worst:.2e}")
    good = worst < 1e-3
    at = logits.size
    for name in PARAMETERS:
        want = named[name].grad.numpy()
        have = data[at:at + want.size].reshape(want.shape)
        at += want.size
        error = np.linalg.norm(have - want) / np.linalg.norm(want)
        print(f"gradient of {name}: relative difference {error:.2e}")
        good = good and error < 1e-3
    assert at == data.size
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    oracle.run(main, oracle.MODEL / "model.safetensors")
