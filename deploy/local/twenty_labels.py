"""The labels that return-conditioned RL gave to samples of twenty_rcrl, and what its policy answers under each
label: computed again by transformers from the folders of the run, for docs/algorithms_by_example.md.

    deploy/local/twenty_labels.py runs/twenty_rcrl [PROBLEM]     prints Markdown; PROBLEM counts from 1

Needs torch and transformers (./dev setup --oracle makes an environment with them).
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/python"))

from reckon_run import Run  # noqa: E402

LABELS = {"good": "^", "bad": "~"}  # of recipes/twenty/rcrl.textproto
NEW_TOKENS, THRESHOLD = 96, 0.5
torch.set_num_threads(1)  # the model is small


def step_ends(tokens, prompt, tokenizer):
    """Ends of the solution steps: after tokens with a newline, and after the last token."""
    return [i for i in range(prompt, len(tokens))
            if i + 1 == len(tokens) or "\n" in tokenizer.decode([tokens[i]])]


class RewardModel:
    def __init__(self, folder):
        self.body = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        head = json.loads((folder / "reward_head.json").read_text())
        self.weight = torch.tensor(head["reward_head.weight"]).reshape(-1)
        self.bias = torch.tensor(head["reward_head.bias"]).reshape(())

    @torch.no_grad()
    def probabilities(self, tokens):
        hidden = self.body(torch.tensor([tokens])).last_hidden_state[0]
        return torch.sigmoid(hidden @ self.weight + self.bias).tolist()


def labelled(rollout, model, tokenizer):
    """The steps of a sample, each with the reward model's probability at its end and its label."""
    prompt = [t for span in rollout["spans"] if span["kind"] == "prompt" for t in span["tokens"]]
    tokens = prompt + [t for span in rollout["spans"] if span["kind"] != "prompt" for t in span["tokens"]]
    probabilities, begin, steps = model.probabilities(tokens), len(prompt), []
    for end in step_ends(tokens, len(prompt), tokenizer):
        text = tokenizer.decode(tokens[begin:end + 1], skip_special_tokens=True).strip()
        label = LABELS["good" if probabilities[end] >= THRESHOLD else "bad"]
        steps.append((label, text, probabilities[end]))
        begin = end + 1
    return steps


@torch.no_grad()
def greedy(model, tokenizer, prompt, label, end):
    """The greedy answer with a label forced before each step."""
    tokens, text = list(prompt), ""
    tokens.append(label)
    for _ in range(NEW_TOKENS):
        drawn = int(model(torch.tensor([tokens])).logits[0, -1].argmax())
        if drawn == end:
            break
        tokens.append(drawn)
        piece = tokenizer.decode([drawn])
        text += piece
        if "\n" in piece:
            tokens.append(label)
    return text


def main():
    folder = pathlib.Path(sys.argv[1])
    problem = int(sys.argv[2]) - 1 if len(sys.argv) > 2 else 0
    run = Run(folder)
    policy = sorted((folder / "weights").glob("rcrl*"))[-1]
    tokenizer = AutoTokenizer.from_pretrained(policy)
    model = RewardModel(folder / "orm/orm_1")
    print(f"Samples of problem {problem + 1} with their labels\n")
    of_problem = [r for r in run.iterate_rollouts("orm_1/round_1") if r["group"] == problem]
    of_problem.sort(key=lambda r: r["sample"])
    print("| reward | probability after each step | as it is learned |\n| --- | --- | --- |")
    seen = set()
    for rollout in of_problem:
        if rollout["completion"] in seen or len(seen) == 6:
            continue
        seen.add(rollout["completion"])
        steps = labelled(rollout, model, tokenizer)
        text = " ⏎ ".join(label + " " + words for label, words, _ in steps)
        print(f"| {rollout['reward']:g} | {', '.join(f'{p:.2f}' for _, _, p in steps)} | `{text}` |")

    language = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32).eval()
    end = language.generation_config.eos_token_id
    problems = [json.loads(line) for line in (ROOT / "recipes/twenty/problems.jsonl").open()]
    right = {name: 0 for name in LABELS}
    print("\n| problem | with good | with bad |\n| --- | --- | --- |")
    for number, record in enumerate(problems):
        prompt = tokenizer(f"Question: {record['question']}\nAnswer:")["input_ids"]
        reference, row = record["answer"].split("####")[1].strip(), []
        for name, label in LABELS.items():
            text = greedy(language, tokenizer, prompt, tokenizer(label)["input_ids"][-1],
                          end[0] if isinstance(end, list) else end)
            found = text.partition("####")[2].strip().split("\n")[0] or "-"
            right[name] += found == reference
            row.append(f"**{found}**" if found == reference else found)
        print(f"| {number + 1}: {reference} | {row[0]} | {row[1]} |")
    print(f"\nright of {len(problems)}: {right}")


if __name__ == "__main__":
    main()
