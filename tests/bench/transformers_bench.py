"""The same work in `transformers`, for the ratios in docs/performance.md. Prints one JSON object. With
0 sequences of a kind that kind is left out.

Usage: transformers_bench.py MODEL SEQUENCES PROMPT_TOKENS NEW_TOKENS TRAIN_SEQUENCES TRAIN_TOKENS
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder = sys.argv[1]
sequences, prompt, new, train_sequences, train_tokens = map(int, sys.argv[2:7])
torch.manual_seed(0)
out = {}


def generate():
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    ids = torch.randint(100, 40000, (sequences, prompt))
    with torch.no_grad():
        model.generate(ids[:2], max_new_tokens=2, do_sample=True)
        begin = time.time()
        model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0,
                       top_k=0, max_new_tokens=new, min_new_tokens=new, pad_token_id=0)
        return sequences * new / (time.time() - begin)


def train():
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    ids = torch.randint(100, 40000, (train_sequences, train_tokens))

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    begin = time.time()
    for _ in range(3):
        step()
    return 3 * ids.numel() / (time.time() - begin)


if sequences > 0:
    out["sampled_tokens_per_s"] = round(generate(), 1)
if train_sequences > 0:
    out["trained_tokens_per_s"] = round(train(), 1)
print(json.dumps(out))
