"""A reward of kind PROCESS: 1 if the completion's answer equals the reference by `math-verify` (PyPI).

It reads LaTeX and plain expressions: fractions, decimals, sets, intervals, matrices, equations. The verdict
is `unparsable` without an answer, `truncated` if the completion was cut before it, and
`reference_unparsable` if the reference is none.

    python3 math_verify_reward.py
"""

from math_verify import parse, verify

from reckon_reward import serve


def score(request):
    reference = parse("\\boxed{" + request["reference"] + "}")
    if not reference:
        return {"value": 0, "verdict": "reference_unparsable"}
    answer = parse(request["completion"])
    if not answer or request["truncated"]:
        return {"value": 0, "verdict": "truncated" if request["truncated"] else "unparsable"}
    right = verify(reference, answer)
    return {"value": right, "verdict": "correct" if right else "wrong", "extracted": str(answer[-1])}


if __name__ == "__main__":
    serve(score)
