"""Low-rank adapters in fp32 against plain torch: transformers' layers with W x + (alpha / rank) B (A x).

Logits and the gradients of every A and B within 1e-5 of their norm. Usage: lora_parity.py TOOL, with
RECKON_BIN; see oracle.py for what it needs.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import oracle

ALPHA = 16
SHAPE = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)


def main():
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

    class Adapted(torch.nn.Module):
        def __init__(self, linear, a, b, scale):
            super().__init__()
            self.linear, self.scale = linear, scale
            self.a, self.b = torch.nn.Parameter(a), torch.nn.Parameter(b)

        def forward(self, x):
            return self.linear(x) + self.scale * (x @ self.a.T @ self.b.T)

    def relative(have, want):
        return float(np.linalg.norm(have - want) / np.linalg.norm(want))

    good = True
    with tempfile.TemporaryDirectory(prefix="reckon_lora_") as temporary:
        root = pathlib.Path(temporary)
        subprocess.run([f"{os.environ['RECKON_BIN']}/reckon-tiny-model", root / "tiny"], check=True)
        for index, (config, rank) in enumerate([
                (LlamaConfig(**SHAPE, tie_word_embeddings=True), 4),
                (LlamaConfig(**SHAPE, tie_word_embeddings=False), 1),
                (Qwen2Config(**SHAPE, tie_word_embeddings=False), 33)]):
            torch.manual_seed(index)
            model = AutoModelForCausalLM.from_config(config).float()
            model.save_pretrained(root / "model")
            for text in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(root / "tiny" / text, root / "model")
            ids = torch.randint(0, config.vocab_size, (1, 150))
            ids[0].numpy().astype(np.int32).tofile(root / "tokens")
            linears = [name for name, module in model.named_modules()
                       if isinstance(module, torch.nn.Linear) and name != "lm_head"]
            wanted = [f"{name}.lora_{half}.weight" for name in linears for half in "AB"]
            subprocess.run([sys.argv[1], root / "model", root / "tokens", root / "result", *wanted],
                           check=True, env={**os.environ, "RECKON_LORA_RANK": str(rank)})
            data = np.fromfile(root / "result", dtype=np.float32)
            at = 150 * config.vocab_size

            def take(*shape):
                nonlocal at
                size = int(np.prod(shape))
                at += size
                return data[at - size:at].reshape(shape)

            have = {}
            for name in linears:
                parent = model.get_submodule(name.rpartition(".")[0])
                linear = getattr(parent, name.rpartition(".")[2])
                a, grad_a = (take(rank, linear.in_features) for _ in range(2))
                b, grad_b = (take(linear.out_features, rank) for _ in range(2))
                adapted = Adapted(linear, torch.tensor(a), torch.tensor(b), ALPHA / rank)
                setattr(parent, name.rpartition(".")[2], adapted)
                have[name] = (adapted, grad_a, grad_b)
            assert at == data.size, "an adapter is missing"
            out = model(input_ids=ids, labels=ids)
            (-out.loss).backward()
            logits = out.logits[0].detach().numpy()
            worst = {"logits": relative(data[:logits.size].reshape(logits.shape), logits)}
            worst["A"] = max(relative(a, m.a.grad.numpy()) for m, a, _ in have.values())
            worst["B"] = max(relative(b, m.b.grad.numpy()) for m, _, b in have.values())
            print(f"{config.model_type}, rank {rank}, {len(linears)} layers: relative difference of "
                  + ", ".join(f"{key} {value:.1e}" for key, value in worst.items()))
            good = good and max(worst.values()) < 1e-5
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    oracle.run(main)
