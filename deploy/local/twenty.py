"""What each algorithm did to the same twenty problems: the tables and pictures of docs/algorithms_by_example.md.

    deploy/local/twenty.py RUNS PICTURES      prints Markdown, writes PICTURES/twenty_*.svg

RUNS is the folder with the runs that the page says how to make. Only the standard library is used.
"""

import json
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/python"))

from reckon_run import Run  # noqa: E402

NAMES = {"ei": "expert iteration", "grpo": "GRPO", "ppo": "PPO", "rcrl": "return-conditioned RL"}
COLORS = {"ei": "#c9510c", "grpo": "#1668c4", "ppo": "#14804a", "rcrl": "#8e3bb0"}


def right(rollout):
    return rollout["verdict"] == "correct"


def by_group(rollouts):
    groups = {}
    for rollout in rollouts:
        groups.setdefault(rollout["group"], []).append(rollout)
    return {group: sorted(of, key=lambda r: r["sample"]) for group, of in sorted(groups.items())}


class Evaluated:
    """One evaluation of a run: the greedy answer to each problem, and K samples."""

    def __init__(self, run, row):
        plan = f"eval/{row['index']}_{row['name']}"
        self.greedy = {r["group"]: r for r in run.rollouts(f"{plan}/greedy", tables=False)}
        self.samples = by_group(run.rollouts(f"{plan}/samples", tables=False))

    def share(self, problem):
        return statistics.mean(map(right, self.samples[problem]))

    def figures(self):
        """Greedy answers that are right, the share of right samples, problems with a right sample."""
        shares = [self.share(problem) for problem in self.samples]
        return [f"{sum(map(right, self.greedy.values()))} of {len(self.greedy)}", percent(self.mean()),
                f"{sum(share > 0 for share in shares)} of {len(shares)}"]

    def mean(self):
        return statistics.mean(self.share(problem) for problem in self.samples)


class Algorithm:
    """A run on the twenty problems: the evaluations at its start and at its end, and what it sampled."""

    def __init__(self, runs, name):
        self.run = Run(runs / f"twenty_{name}")
        evaluations = self.run.evaluations(tables=False)
        self.before, self.after = (Evaluated(self.run, evaluations[i]) for i in (0, -1))
        self.metrics = self.run.metrics(tables=False)
        self.sampled = [row for row in self.metrics if "reward" in row]  # rounds or steps

    def rollouts(self, plan):
        return by_group(self.run.rollouts(plan, tables=False))

    def updates(self):
        """Optimizer steps of the policy: those of fine-tuning have lines of their own."""
        return sum("loss" in row and "lr" in row for row in self.metrics)


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |")
    print()


def percent(value):
    return f"{100 * value:.1f} %"


def one_line(text):
    return "`" + text.strip().replace("\n", " ⏎ ").replace("`", "'") + "`"


def answer(rollout):
    """What the greedy text answers; `-` where no answer can be read."""
    found = rollout["rewards"][0]["extracted"] or "-"
    return f"**{found}**" if right(rollout) else found


def results(algorithms):
    rows = [["the start", "", "", *algorithms["ei"].before.figures()]]
    for name, algorithm in algorithms.items():
        drawn = sum(row["num_samples"] for row in algorithm.sampled)
        reward = sum(row["reward"] * row["num_samples"] for row in algorithm.sampled) / drawn
        rows.append([NAMES[name], f"{drawn:,.0f}", percent(reward), *algorithm.after.figures()])
    table(["", "samples drawn", "of these right", "greedy answer right", "right of 32 samples each",
           "right at least once in 32"], rows)


def answers(algorithms, problems):
    rows = []
    for number, problem in enumerate(problems):
        equation = problem["answer"].split("<<")[1].split(">>")[0]
        rows.append([number + 1, equation, answer(algorithms["ei"].before.greedy[number])] +
                    [answer(a.after.greedy[number]) for a in algorithms.values()])
    table(["", "problem", "start", *(NAMES[name] for name in algorithms)], rows)


def kept_by_expert_iteration(algorithm):
    rows = [[f"round {i + 1}", f"{r['num_samples']:,.0f}", f"{r['sample/accepted']:,.0f}",
             f"{r['sample/distinct']:,.0f}", f"{20 * r['sample/solved_ratio']:.0f} of 20"]
            for i, r in enumerate(algorithm.sampled)]
    table(["", "sampled", "right", "of these different: learned", "problems with one"], rows)


def texts_of_expert_iteration(group):
    """The different texts of a problem's samples, the most frequent first, and whether they are kept."""
    texts = {}
    for rollout in group:
        texts.setdefault(rollout["completion"].strip(), []).append(rollout)
    order = sorted(texts.items(), key=lambda item: (not right(item[1][0]), -len(item[1]), item[0]))
    kept = [item for item in order if right(item[1][0])]
    rows = [[one_line(text), len(of), "1", "kept, once"] for text, of in kept[:4]]
    rows += [[one_line(text), len(of), "0", "no"] for text, of in order[len(kept):][:3]]
    table(["completion", "times", "reward", "kept"], rows)
    print(f"{len(group)} samples, {len(texts)} texts, {len(kept)} kept\n")


def advantages(group):
    """Of GRPO: (r - mean) / (std + 1e-6), std with K - 1."""
    rewards = [rollout["reward"] for rollout in group]
    mean, std = statistics.mean(rewards), statistics.stdev(rewards)
    rows = [[one_line(r["completion"]), f"{r['reward']:g}", f"{(r['reward'] - mean) / (std + 1e-6):+.2f}"]
            for r in group]
    table(["completion", "reward", "advantage of each token"], rows)


def steps_of(algorithm, metrics):
    steps = [1, 2, 4, 8, 12, 16]
    rows = [[step, *(f"{algorithm.sampled[step - 1][metric]:.3g}" for metric in metrics)] for step in steps]
    table(["step", *(f"`{metric}`" for metric in metrics)], rows)


def other_problems(runs):
    rows = []
    for name, folder in [("the start", "twenty_start")] + [(NAMES[n], f"others_{n}") for n in ("ei", "grpo", "ppo")]:
        row = Run(runs / folder).evaluations(tables=False)[-1]
        rows.append([name, "{} [{:.1f}, {:.1f}]".format(percent(row["maj@1"]), 100 * row["maj@1/low"],
                                                       100 * row["maj@1/high"])])
    table(["", "maj@1 on 256 other problems"], rows)


# Pictures.

def svg(width, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" fill="#333"><rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>", ""])


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{words}</text>'


def problems_picture(algorithms):
    """A row for the start and each algorithm, a cell for each problem: the darker, the more of its
    samples are right; a ring where the greedy answer is."""
    left, cell, top = 170, 26, 44
    start = algorithms["ei"].before
    order = sorted(start.samples, key=lambda p: -start.share(p))
    rows = [("the start", start), *((NAMES[n], a.after) for n, a in algorithms.items())]
    parts = [text(left, 16, "right of 32 samples of each problem; ring: the greedy answer is right", 'font-size="14"')]
    for i, problem in enumerate(order):
        parts.append(text(left + (i + 0.5) * cell, top - 8, problem + 1, 'text-anchor="middle" fill="#666"'))
    for j, (name, evaluated) in enumerate(rows):
        y = top + j * (cell + 4)
        parts.append(text(left - 8, y + cell * 0.66, name, 'text-anchor="end"'))
        for i, problem in enumerate(order):
            share, x = evaluated.share(problem), left + i * cell
            parts.append(f'<rect x="{x + 1}" y="{y}" width="{cell - 2}" height="{cell}" rx="3" fill="#1668c4" '
                         f'fill-opacity="{0.05 + 0.95 * share:.3f}"><title>problem {problem + 1}, {name}: '
                         f'{100 * share:.0f} %</title></rect>')
            if right(evaluated.greedy[problem]):
                ring = "#fff" if share > 0.5 else "#1668c4"
                parts.append(f'<circle cx="{x + cell / 2}" cy="{y + cell / 2}" r="6" fill="none" stroke="{ring}" '
                             f'stroke-width="2"/>')
        parts.append(text(left + len(order) * cell + 8, y + cell * 0.66, f"{100 * evaluated.mean():.0f} %"))
    return svg(left + len(order) * cell + 60, top + len(rows) * (cell + 4) + 8, parts)


def reward_picture(algorithms):
    """The share of right samples against the samples drawn so far, as they are drawn."""
    width, height, left, bottom, top = 720, 320, 54, 44, 34
    most = max(a.sampled[-1]["total/num_samples"] for a in algorithms.values())

    def place(samples, reward):
        return (left + samples / most * (width - left - 180),
                height - bottom - reward * (height - bottom - top))

    parts = [text(left, 18, "right of the samples that the run learns from, against samples drawn", 'font-size="14"')]
    for i in range(6):
        x, y = place(0, i / 5)
        parts += [f'<line x1="{left}" x2="{place(most, 0)[0]:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
                  text(left - 8, y + 4, f"{20 * i} %", 'text-anchor="end"'),
                  text(place(most * i / 5, 0)[0], height - bottom + 18, f"{most * i / 5:,.0f}", 'text-anchor="middle"')]
    ends = []
    for name, algorithm in algorithms.items():
        points, before = [], 0
        for row in algorithm.sampled:
            points += [(before, row["reward"]), (row["total/num_samples"], row["reward"])]
            before = row["total/num_samples"]
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>')
        ends.append([place(*points[-1])[1], name])
    lowest = 0
    for y, name in sorted(ends):
        lowest = max(y, lowest + 16)
        parts.append(text(place(most, 0)[0] + 8, lowest + 4, NAMES[name], f'fill="{COLORS[name]}"'))
    return svg(width, height, parts)


def main():
    runs, pictures = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    problems = [json.loads(line) for line in (ROOT / "recipes/twenty/problems.jsonl").open()]
    algorithms = {name: Algorithm(runs, name) for name in NAMES}
    results(algorithms)
    answers(algorithms, problems)
    print("expert iteration\n")
    kept_by_expert_iteration(algorithms["ei"])
    first = algorithms["ei"].rollouts("ei_1/round_1")
    problem = min(first, key=lambda p: abs(statistics.mean(map(right, first[p])) - 0.3))
    print(f"{one_line(problems[problem]['question'])}\n")
    texts_of_expert_iteration(first[problem])
    print("GRPO\n")
    groups = {group: of for group, of in algorithms["grpo"].rollouts("ppo_1").items() if group < len(problems)}
    flat = sum(len({r["reward"] for r in of}) == 1 for of in groups.values())
    print(f"groups of the first step with one reward: {flat} of {len(groups)}\n")
    mixed = min(groups, key=lambda g: abs(statistics.mean(map(right, groups[g])) - 0.4))
    print(f"{one_line(groups[mixed][0]['prompt'])}\n")
    advantages(groups[mixed])
    steps_of(algorithms["grpo"], ["reward", "frac_reward_zero_std", "actor/entropy", "actor/pg_clipfrac"])
    print("PPO\n")
    steps_of(algorithms["ppo"], ["reward", "critic/vf_explained_var", "actor/reward_kl_penalty", "actor/entropy"])
    print("return-conditioned RL\n")
    for row in algorithms["rcrl"].metrics:
        found = {name: value for name, value in row.items() if name.startswith(("orm/", "rcrl/"))}
        if found:
            print(json.dumps(found))
    print()
    other_problems(runs)
    for name, algorithm in algorithms.items():
        print(f"{NAMES[name]}: {algorithm.updates()} lines of optimizer steps, "
              f"{algorithm.metrics[-1]['timing_s/total']:.0f} s")
    pictures.mkdir(parents=True, exist_ok=True)
    (pictures / "twenty_problems.svg").write_text(problems_picture(algorithms))
    (pictures / "twenty_reward.svg").write_text(reward_picture(algorithms))


if __name__ == "__main__":
    main()
