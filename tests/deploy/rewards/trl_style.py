"""Rewards as people write them for TRL's GRPOTrainer(reward_funcs=...)."""


def accuracy(completions, answer, **kwargs):
    return [1.0 if a in c else 0.0 for c, a in zip(completions, answer)]


def format_of_messages(prompts, completions, **kwargs):
    return [float(len(c[0]["content"]) / len(p)) for c, p in zip(completions, prompts)]


async def not_for_this(completions, **kwargs):
    return [None] * len(completions)
