"""Rewards as people write them for verl: numbers, dicts, coroutines; and what goes wrong in them."""

import re

import helper_beside_it


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    print("scoring", data_source)  # many do
    found = re.findall(helper_beside_it.ANSWER, solution_str)
    if not found:
        return 0
    return 1.0 if found[-1].replace(",", "") == ground_truth else 0.1


def with_details(data_source, solution_str, ground_truth, extra_info):
    right = ground_truth in solution_str
    return {"score": 2.0 if right else -2.0, "acc": right, "pred": extra_info["index"]}


async def later(data_source, solution_str, ground_truth, extra_info):
    return True


def raises(data_source, solution_str, ground_truth, extra_info):
    return {}["missing"]


def not_finite(data_source, solution_str, ground_truth, extra_info):
    return float("nan")
