"""What a reward process shares: reads requests and writes replies, a line of JSON each (docs/rewards.md).

Only the standard library is used. A reward of one's own may import this or do the same itself:

    from reckon_reward import serve
    serve(lambda request: float(request["reference"] in request["completion"]))
"""

import asyncio
import inspect
import json
import math
import os
import sys
import traceback


def as_number(value):
    """A float of what functions return: numbers, booleans, tensors of one element."""
    if isinstance(value, str):
        raise ValueError(f"{value!r} is no number")
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    return value


def reply_to(score, request):
    try:
        result = score(request)
        if inspect.isawaitable(result):
            result = asyncio.run(wait_for(result))
        fields = dict(result) if isinstance(result, dict) else {"value": result}
        if fields.get("error") is None:
            fields["value"] = as_number(fields["value"])
    except Exception as error:  # the run counts it as a refusal, by this text
        traceback.print_exc()
        fields = {"error": f"{type(error).__name__}: {error}"}
    return {"id": request["id"], **fields}


async def wait_for(result):
    return await result


def serve(score):
    """Calls score(request) for every line of standard input until it ends.

    It returns the value, or a dict with "value" and if it likes "verdict", "extracted" and "steps", or
    with "error", why it cannot score this one. What it raises is such an error; what it prints goes to
    standard error, because standard output is for replies alone.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        reply = reply_to(score, json.loads(line))
        # ASCII, and no NaN, which is no JSON.
        replies.write(json.dumps(reply, allow_nan=False) + "\n")
        replies.flush()
