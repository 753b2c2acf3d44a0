#!/usr/bin/env python3
"""Advantages, losses, gradients and metrics against an independent oracle.

The oracle is plain torch in float64 over padded [samples, time] tensors with masks, as TRL, trlX and
verl lay things out; Reckon's is flat, in fp32, and split into micro-batches. Every option of
PpoSettings, and of a reward model's loss, is drawn at random. Values and gradients must agree within
1e-5 of the largest.

loss_parity.py TOOL [CASES]    see oracle.py for what it needs
"""

import json
import random
import struct
import subprocess
import sys

from oracle import run

CASES = 300
HIDDEN = 6


class Fp32(random.Random):
    """Draws numbers that fp32 holds, so that both sides begin with the same."""

    def gauss(self, mean, deviation):
        return struct.unpack("f", struct.pack("f", super().gauss(mean, deviation)))[0]

    def uniform(self, low, high):
        return struct.unpack("f", struct.pack("f", super().uniform(low, high)))[0]


def draw_settings(rng):
    kind = rng.choice(("GAE", "GAE", "GRPO", "DR_GRPO", "RLOO"))
    return {
        "advantage": {"estimator": kind, "gamma": rng.choice((1.0, 0.97)),
                      "lam": rng.choice((1.0, 0.95, 0.0)), "whiten": rng.random() < 0.5},
        "clip": {"ratio_low": rng.choice((0.2, 0.1)), "ratio_high": rng.choice((0.2, 0.28)),
                 "ratio_c": rng.choice((0, 0, 1.2, 3)), "importance_cap": rng.choice((0, 1.1, 2))},
        "loss_agg_mode": rng.choice(("TOKEN_MEAN", "SEQ_MEAN_TOKEN_MEAN", "SEQ_MEAN_TOKEN_SUM_NORM")),
        "kl": {"coef": rng.choice((0, 0.05, 0.3)), "estimator": rng.choice(("K1", "K2", "K3")),
               "place": rng.choice(("REWARD", "LOSS"))},
        "critic": {"vf_coef": rng.choice((1.0, 0.1)), "value_clip": rng.choice((0, 0.2)),
                   "detach": rng.random() < 0.5},
        "sampling": {"max_new_tokens": 16},
    }


def text(settings):
    def value(v):
        return str(v).lower() if isinstance(v, bool) else str(v)
    return " ".join(f"{k} {{ {text(v)} }}" if isinstance(v, dict) else f"{k}: {value(v)}"
                    for k, v in settings.items())


def draw_case(rng):
    settings = draw_settings(rng)
    samples = []
    for group in range(rng.randint(1, 4)):
        for _ in range(rng.randint(2, 4)):
            n = rng.randint(1, 12)
            old = [rng.uniform(-4, -0.01) for _ in range(n)]
            near = lambda spread: [rng.gauss(x, spread) for x in old]
            # Sometimes so far from the reference that log-ratios are clamped. Without a critic, as
            # fp32 cannot tell the clipped from the unclipped error of a return of 1e8.
            far = (settings["kl"]["place"] == "REWARD" and rng.random() < 0.1
                   and settings["advantage"]["estimator"] != "GAE")
            samples.append({
                "group": group, "reward": rng.choice((0, 1, 1, rng.uniform(-1, 1))), "old": old,
                "steps": [rng.choice((0, 0, 0.25)) for _ in range(n)],
                "behaviour": near(0.2), "logprobs": near(0.3),
                "ref": near(40 if far else 0.3) if settings["kl"]["coef"] > 0 else [],
                "values": [rng.gauss(0, 0.5) for _ in range(n)],
                "hidden": [rng.gauss(0, 1) for _ in range(n * HIDDEN)]})
    order = list(range(len(samples)))
    rng.shuffle(order)
    micro, at = [], 0
    while at < len(order):
        size = rng.randint(1, 4)
        micro.append(order[at:at + size])
        at += size
    return {"settings": text(settings), "samples": samples, "micro": micro}, settings


def padded(rows, shape=()):
    import torch
    rows = [torch.tensor(row, dtype=torch.float64).reshape(-1, *shape) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def kl_of(kind, logprobs, ref):
    d = logprobs - ref
    if kind == "K1":
        return d
    d = d.clamp(-20, 20)
    return 0.5 * d ** 2 if kind == "K2" else (-d).exp() - 1 + d


def advantages_of(s, samples, old, ref, values, mask):
    import torch
    rewards = torch.zeros_like(old)
    kl = kl_of(s["kl"]["estimator"], old, ref) * mask if s["kl"]["coef"] > 0 else torch.zeros_like(old)
    mean_kl = (kl.sum() / mask.sum()).item()
    penalty = s["kl"]["coef"] * kl if s["kl"]["place"] == "REWARD" else torch.zeros_like(old)
    lengths = mask.sum(1).long()
    for i, sample in enumerate(samples):
        rewards[i, :lengths[i]] += torch.tensor(sample["steps"], dtype=torch.float64)
        rewards[i, lengths[i] - 1] += sample["reward"] - sum(sample["steps"])
    returns = torch.zeros_like(old)
    if s["advantage"]["estimator"] == "GAE":
        rewards = rewards - penalty
        advantages = torch.zeros_like(old)
        running = torch.zeros(len(samples), dtype=torch.float64)
        following = torch.zeros(len(samples), dtype=torch.float64)
        for t in reversed(range(old.shape[1])):
            delta = rewards[:, t] + s["advantage"]["gamma"] * following - values[:, t]
            running = (delta + s["advantage"]["gamma"] * s["advantage"]["lam"] * running) * mask[:, t]
            following = values[:, t] * mask[:, t]
            advantages[:, t] = running
        returns = (advantages + values) * mask
    else:
        scores = rewards.sum(1)
        advantages = torch.zeros_like(scores)
        for group in {x["group"] for x in samples}:
            rows = [i for i, x in enumerate(samples) if x["group"] == group]
            r = scores[rows]
            if s["advantage"]["estimator"] == "RLOO":
                others = torch.stack([torch.cat((r[:i], r[i + 1:])).mean() for i in range(len(r))])
                advantages[rows] = r - others
            else:
                advantages[rows] = r - r.mean()
                if s["advantage"]["estimator"] == "GRPO":
                    advantages[rows] /= r.std() + 1e-6
        # The group compares what the task pays; a token answers for its own KL and the later ones'.
        to_go = penalty.flip(1).cumsum(1).flip(1)
        advantages = (advantages[:, None] - to_go) * mask
    if s["advantage"]["whiten"]:
        mean = (advantages * mask).sum() / mask.sum()
        variance = ((advantages - mean) ** 2 * mask).sum() / mask.sum()
        advantages = (advantages - mean) * torch.rsqrt(variance + 1e-8) * mask
    return advantages, returns, mean_kl


def aggregate(s, losses, mask):
    if s["loss_agg_mode"] == "TOKEN_MEAN":
        return (losses * mask).sum() / mask.sum()
    if s["loss_agg_mode"] == "SEQ_MEAN_TOKEN_MEAN":
        return ((losses * mask).sum(1) / mask.sum(1)).mean()
    return ((losses * mask).sum(1) / s["sampling"]["max_new_tokens"]).mean()


def oracle(question, s, answer):
    import torch
    samples = question["samples"]
    mask = padded([[1.0] * len(x["old"]) for x in samples])
    old, behaviour = padded([x["old"] for x in samples]), padded([x["behaviour"] for x in samples])
    ref = padded([x["ref"] or [0.0] * len(x["old"]) for x in samples])
    values = padded([x["values"] for x in samples])
    logprobs = padded([x["logprobs"] for x in samples]).requires_grad_()
    hidden = padded([x["hidden"] for x in samples], (HIDDEN,)).requires_grad_()
    head = {name: torch.tensor(v, dtype=torch.float64) for name, v in answer["head"].items()}
    head["value_head.0.weight"] = head["value_head.0.weight"].reshape(2 * HIDDEN, HIDDEN)
    for tensor in head.values():
        tensor.requires_grad_()

    advantages, returns, kl = advantages_of(s, samples, old, ref, values, mask)
    ratio = (logprobs - old).clamp(-20, 20).exp()
    surrogate = torch.minimum(
        ratio * advantages,
        ratio.clamp(1 - s["clip"]["ratio_low"], 1 + s["clip"]["ratio_high"]) * advantages)
    clipped = ((ratio * advantages > surrogate) * mask).sum() / mask.sum()
    if s["clip"]["ratio_c"] > 0:
        surrogate = torch.where(advantages < 0,
                                torch.maximum(surrogate, s["clip"]["ratio_c"] * advantages), surrogate)
    if s["clip"]["importance_cap"] > 0:
        surrogate = surrogate * (old - behaviour).exp().clamp(max=s["clip"]["importance_cap"])
    loss = policy = aggregate(s, -surrogate, mask)
    if s["kl"]["coef"] > 0 and s["kl"]["place"] == "LOSS":
        loss = loss + s["kl"]["coef"] * aggregate(s, kl_of(s["kl"]["estimator"], logprobs, ref), mask)
    metrics = {"actor/pg_loss": policy.item(), "actor/pg_clipfrac": clipped.item(),
               "actor/ppo_kl": (((old - logprobs) * mask).sum() / mask.sum()).item()}
    if s["advantage"]["estimator"] == "GAE":
        seen = hidden.detach() if s["critic"]["detach"] else hidden
        inner = torch.relu(seen @ head["value_head.0.weight"].T + head["value_head.0.bias"])
        predicted = inner @ head["value_head.2.weight"] + head["value_head.2.bias"]
        errors = (predicted - returns) ** 2
        if s["critic"]["value_clip"] > 0:
            near = torch.max(torch.min(predicted, values + s["critic"]["value_clip"]), values - s["critic"]["value_clip"])
            errors = torch.maximum(errors, (near - returns) ** 2)
        value_loss = 0.5 * aggregate(s, errors, mask)
        metrics["critic/vf_loss"] = value_loss.item()
        loss = loss + s["critic"]["vf_coef"] * value_loss
    loss.backward()

    def cut(tensor):
        if tensor is None:
            return []
        return [x for i, sample in enumerate(samples)
                for x in tensor[i, :len(sample["old"])].reshape(-1).tolist()]
    def flat(rows):
        return [x for row in rows for x in row]
    pairs = {
        "kl": ([answer["kl"]], [kl]), "loss": ([answer["loss"]], [loss.item()]),
        "advantages": (flat(answer["advantages"]), cut(advantages.detach())),
        "grad_logprobs": (flat(answer["grad_logprobs"]), cut(logprobs.grad)),
        "metrics": ([answer["metrics"][m] for m in metrics], list(metrics.values()))}
    if s["advantage"]["estimator"] == "GAE":
        pairs["returns"] = (flat(answer["returns"]), cut(returns.detach()))
        pairs["grad_hidden"] = (flat(answer["grad_hidden"]), cut(hidden.grad))
        for name, tensor in head.items():
            pairs["grad " + name] = (answer["grad_head"][name], tensor.grad.reshape(-1).tolist())
    return pairs


def draw_reward_case(rng):
    samples = []
    for _ in range(rng.randint(1, 6)):
        prefixes = rng.randint(1, 9)
        samples.append({"prefixes": prefixes, "target": rng.randint(0, 1),
                        "hidden": [rng.gauss(0, 1) for _ in range(prefixes * HIDDEN)]})
    order = list(range(len(samples)))
    cut = rng.randint(0, len(order))
    return {"reward_loss": rng.choice(("BCE", "MSE")), "samples": samples,
            "head": [rng.gauss(0, 1) for _ in range(HIDDEN + 1)],
            "micro": [part for part in (order[:cut], order[cut:]) if part]}


def reward_oracle(question, answer):
    import torch
    import torch.nn.functional as F
    hidden = torch.tensor([x for s in question["samples"] for x in s["hidden"]],
                          dtype=torch.float64).reshape(-1, HIDDEN).requires_grad_()
    head = torch.tensor(question["head"], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([float(s["target"]) for s in question["samples"]
                           for _ in range(s["prefixes"])], dtype=torch.float64)
    predicted = torch.sigmoid(hidden @ head[:-1] + head[-1])
    loss = (F.mse_loss if question["reward_loss"] == "MSE" else F.binary_cross_entropy)(
        predicted, target)
    loss.backward()
    return {"reward loss": ([answer["loss"]], [loss.item()]),
            "reward grad_hidden": ([x for row in answer["grad_hidden"] for x in row],
                                   hidden.grad.reshape(-1).tolist()),
            "reward grad_head": (answer["grad_head"], head.grad.tolist())}


def main():
    count = int(sys.argv[2]) if len(sys.argv) == 3 else CASES
    rng = Fp32(20240307)
    cases = [draw_case(rng) for _ in range(count)]
    cases += [(draw_reward_case(rng), None) for _ in range(count)]
    lines = "".join(json.dumps(question) + "\n" for question, _ in cases)
    process = subprocess.run([sys.argv[1]], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    worst, failures = {}, 0
    for (question, settings), answer in zip(cases, answers, strict=True):
        pairs = (oracle(question, settings, answer) if settings
                 else reward_oracle(question, answer))
        for name, (ours, theirs) in pairs.items():
            if len(ours) != len(theirs):
                sys.exit(f"{name}: {len(ours)} numbers, should be {len(theirs)}: {settings}")
            scale = max([abs(x) for x in theirs] + [1e-2])
            error = max([abs(a - b) for a, b in zip(ours, theirs)] + [0]) / scale
            worst[name] = max(worst.get(name, 0), error)
            if error > 1e-5:
                failures += 1
                if failures <= 5:
                    print(f"{name}: {error:.1e} apart with {settings}")
    for name, error in worst.items():
        print(f"{name}: largest relative difference {error:.1e} in {count} cases")
    sys.exit(f"{failures} differ" if failures else 0)


if __name__ == "__main__":
    run(main)
