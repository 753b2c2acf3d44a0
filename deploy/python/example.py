"""example.py RUN: what a run has learned, from Python. Uses the standard library alone."""

import collections
import sys

from reckon_run import Run


def main():
    run = Run(sys.argv[1])
    for row in run.evaluations(tables=False):
        print(f"{row['name']:20} maj@1 {row['maj@1']:.3f} [{row['maj@1/low']:.3f}, {row['maj@1/high']:.3f}]")

    steps = [row for row in run.metrics(tables=False) if "reward" in row]
    if steps:
        print(f"reward: {steps[0]['reward']:.3f} at step {steps[0]['step']}, "
              f"{steps[-1]['reward']:.3f} at step {steps[-1]['step']}")

    # Does the policy believe its right answers more than its wrong ones?
    beliefs = collections.defaultdict(list)
    for rollout in run.rollouts(limit=2000, tables=False):
        if rollout["mean_logprob"] is not None:
            beliefs[rollout["verdict"]].append(rollout["mean_logprob"])
    for verdict, values in sorted(beliefs.items()):
        print(f"{verdict:20} {len(values):5} rollouts, mean log-probability of a token {sum(values) / len(values):.3f}")


if __name__ == "__main__":
    main()
