"""A GRPO step in TRL, for the ratio in docs/performance.md. Prints one JSON object.

Usage: trl_bench.py MODEL PROMPTS_FILE PROMPTS SAMPLES NEW_TOKENS STEPS LORA_RANK
PROMPTS_FILE has a JSON string a line. LORA_RANK 0 trains all weights. The first of STEPS + 1 steps is not counted.
"""

import json
import sys
import tempfile
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

folder, file = sys.argv[1:3]
prompts, samples, new_tokens, steps, rank = map(int, sys.argv[3:8])
data = Dataset.from_list([{"prompt": json.loads(line)} for line in open(file)])


class Clock(TrainerCallback):
    """When each step ended, and how many tokens it sampled."""

    def __init__(self):
        self.ends, self.tokens = [], []

    def on_step_end(self, args, state, control, **kwargs):
        self.ends.append(time.time())

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "completions/mean_length" in logs:
            self.tokens.append(logs["completions/mean_length"] * prompts * samples)


def reward(completions, **kwargs):
    """Something that differs within a group."""
    return [float(len(text) % 7) for text in completions]


with tempfile.TemporaryDirectory() as out:
    trainer = GRPOTrainer(
        model=folder, reward_funcs=reward, train_dataset=data, callbacks=[clock := Clock()],
        peft_config=LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear", task_type="CAUSAL_LM") if rank else None,
        args=GRPOConfig(
            output_dir=out, use_cpu=True, bf16=True, model_init_kwargs={"dtype": torch.bfloat16},
            per_device_train_batch_size=16, gradient_accumulation_steps=prompts * samples // 16,
            num_generations=samples, max_completion_length=new_tokens, temperature=1.0, beta=0.0,
            learning_rate=1e-6, max_steps=steps + 1, logging_steps=1, save_strategy="no", report_to=[],
            disable_tqdm=True, gradient_checkpointing=False))
    trainer.train()
print(json.dumps({"seconds": [b - a for a, b in zip(clock.ends, clock.ends[1:])],
                  "sampled_tokens": clock.tokens[1:steps + 1]}))
