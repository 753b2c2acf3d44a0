"""The same rollouts in vLLM, for `./dev gpu` where it is installed. Prints one JSON object.

Usage: vllm_bench.py MODEL PROMPTS SAMPLES PROMPT_TOKENS NEW_TOKENS
"""

import json
import sys
import time

import torch
from transformers import AutoConfig
from vllm import LLM, SamplingParams

folder = sys.argv[1]
prompts, samples, prompt, new = map(int, sys.argv[2:6])
torch.manual_seed(0)
vocabulary = AutoConfig.from_pretrained(folder).vocab_size
ids = torch.randint(min(100, vocabulary // 4), min(40000, vocabulary), (prompts, prompt)).tolist()
llm = LLM(folder, dtype="bfloat16", skip_tokenizer_init=True, max_model_len=prompt + new, seed=1)


def generate(count, tokens):
    sampling = SamplingParams(n=samples, temperature=1.0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True, detokenize=False)
    llm.generate([{"prompt_token_ids": row} for row in ids[:count]], sampling, use_tqdm=False)


generate(2, 4)
begin = time.time()
generate(prompts, new)
print(json.dumps({"sampled_tokens_per_s": round(prompts * samples * new / (time.time() - begin), 1)}))
