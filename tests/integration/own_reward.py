"""A reward of the user's own for rewards_test.py. Arguments: a folder for what it notes, and how it fails:

once     for some groups it crashes, hangs, prints rubbish or replies NaN, the first time it is asked
always   it crashes each time
"""

import json
import os
import pathlib
import sys
import time

folder, failing = pathlib.Path(sys.argv[1]), sys.argv[2]


def fail_like(group):
    if group % 8 == 1:
        print("ValueError: I crash", file=sys.stderr)
        os._exit(3)
    if group % 8 == 2:
        time.sleep(100000)
    if group % 8 == 3:
        print("rubbish", flush=True)
        return True
    if group % 8 == 4:
        print(json.dumps({"id": request["id"], "value": float("nan")}), flush=True)
        return True
    return False


for line in sys.stdin:
    request = json.loads(line)
    plan, group, sample = request["id"].rsplit("/", 2)
    if failing == "always":
        sys.exit("I always crash")
    try:
        first = os.open(folder / request["id"].replace("/", "_"), os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        first = None
    if first is not None and plan.startswith("ei") and fail_like(int(group)):
        continue
    right = len(request["completion"]) % 2 == 0
    reply = {"id": request["id"], "value": 1.0 if right else 0.25, "extracted": request["reference"],
             "verdict": "correct" if right else "wrong"}
    with open(folder / "noted.jsonl", "a") as noted:
        noted.write(json.dumps({"request": request, "reply": reply}) + "\n")
    print(json.dumps(reply), flush=True)
