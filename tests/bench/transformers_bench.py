"""The same work in `transformers`, for the ratios in docs/performance.md. Prints one JSON object. With
0 sequences of a kind that kind is left out.

Usage: transformers_bench.py MODEL SEQUENCES PROMPT_TOKENS NEW_TOKENS TRAIN_SEQUENCES TRAIN_TOKENS [DEVICE]
"""

import json
import sys
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM

folder = sys.argv[1]
sequences, prompt, new, train_sequences, train_tokens = map(int, sys.argv[2:7])
device = sys.argv[7] if len(sys.argv) > 7 else "cpu"
torch.manual_seed(0)
out = {}


def tokens_of(rows, columns):
    vocabulary = AutoConfig.from_pretrained(folder).vocab_size
    return torch.randint(min(100, vocabulary // 4), min(40000, vocabulary), (rows, columns), device=device)


def now():
    """The time when the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.time()


def generate():
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device)
    ids = tokens_of(sequences, prompt)
    with torch.no_grad():
        model.generate(ids[:2], max_new_tokens=2, do_sample=True)
        begin = now()
        model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0,
                       top_k=0, max_new_tokens=new, min_new_tokens=new, pad_token_id=0)
        return sequences * new / (now() - begin)


def train():
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    ids = tokens_of(train_sequences, train_tokens)

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    begin = now()
    for _ in range(3):
        step()
    return 3 * ids.numel() / (now() - begin)


if sequences > 0:
    out["sampled_tokens_per_s"] = round(generate(), 1)
if train_sequences > 0:
    out["trained_tokens_per_s"] = round(train(), 1)
print(json.dumps(out))
