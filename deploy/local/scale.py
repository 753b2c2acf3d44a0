#!/usr/bin/env python3
"""How much of its time a learner rank of `learner.sharding: FULL` waits for the others, or of HYBRID
with --shard_ranks. Called by `./dev bench scale`, which builds first; docs/performance.md says more.

  scale.py run --ranks 4          real ranks on this machine, by Gloo; a trace of all of them
  scale.py simulate --ranks 8 --gigabytes 300 --latency 10 [--gflops 400000 --tokens 8192
                    --layer 202e6 --table 131e6 --shard_ranks 8 --host_gigabytes 300 --host_latency 5]

`simulate` runs one rank alone, whose collectives end at once. So the order of its collectives, their
bytes and how computation is spread between them are those of the program, measured on this machine.
Then it gives each collective the time of a ring over links of this bandwidth (GB/s of a rank, each
direction) and latency (microseconds a hop), one collective after another, and computes when the rank
would wait. --gflops is what the rank computes of the model's own products (6 operations a parameter
and token; a layer that is computed again does not count), --tokens those of its micro-batch, --layer
and --table the parameters of a decoder layer and of the embedding: without them, those of the run.
With --shard_ranks, collectives of the ranks that divide a model go over the links within a host
(--host_gigabytes, --host_latency), those of ranks of several hosts over the others, at the same time.
It is a model of equal ranks: no slow one, no other traffic, no cost of beginning a collective.

Both print one JSON object and write a trace for chrome://tracing or Perfetto.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections import Counter

from bench import BIN, MODEL, last_json

COMPUTE, COLLECTIVES = 1, 2


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def update_bench(arguments, trace, *more):
    return [str(a) for a in (BIN / "reckon-update-bench", "--model", arguments.model, "--sharded",
                             "--sequences", arguments.sequences, "--tokens", arguments.tokens_each,
                             "--micro_batch_tokens", arguments.micro_batch_tokens,
                             "--steps", arguments.steps, "--world", arguments.ranks,
                             "--trace", trace, "--shard_ranks", arguments.shard_ranks,
                             *(["--recompute"] if arguments.recompute else []), *more)]


def steady(events):
    """The events of the timed steps. Each step ends with one all-reduce of all ranks, of its loss; the
    first step warms up."""
    ends = [e["ts"] + e["dur"] for e in events if e["name"] == "all-reduce" and e["args"]["group"] == "all"]
    return [e for e in events if e["ph"] == "X" and ends[0] <= e["ts"] and e["ts"] + e["dur"] <= ends[-1]]


def seconds(events, name):
    return sum(e["dur"] for e in events if e["tid"] == COMPUTE and e["name"] == name) * 1e-6


def run(arguments):
    merged, reports = [], []
    with tempfile.TemporaryDirectory(prefix="reckon_scale_") as folder:
        folder = pathlib.Path(folder)
        port = folder / "port"
        coordinator = subprocess.Popen([BIN / "reckon-coordinator", "--run=scale", "--listen=127.0.0.1:0",
                                        f"--store={folder / 'store'}", f"--port_file={port}"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not port.exists():
                if coordinator.poll() is not None:
                    sys.exit("scale: the coordinator ended")
                time.sleep(0.05)
            address = port.read_text().strip()
            ranks = [subprocess.Popen(update_bench(arguments, folder / f"{r}.json", "--rank", r,
                                                   "--coordinator", address, "--nonce", folder.name,
                                                   "--threads", arguments.threads),
                                      stdout=subprocess.PIPE, text=True) for r in range(arguments.ranks)]
            for rank in ranks:
                text, _ = rank.communicate()
                if rank.returncode != 0:
                    sys.exit("scale: a rank failed")
                reports.append(last_json(text))
        finally:
            coordinator.terminate()
            coordinator.wait()
        for r in range(arguments.ranks):
            merged.append(json.loads((folder / f"{r}.json").read_text())["traceEvents"])
    arguments.trace.write_text(json.dumps({"traceEvents": sum(merged, [])}))
    busy = [steady(events) for events in merged]
    total = sum(max(e["ts"] + e["dur"] for e in b) - min(e["ts"] for e in b) for b in busy) * 1e-6
    flight = sum(e["dur"] for b in busy for e in b
                 if e["tid"] == COLLECTIVES and
                 (e["args"]["group"] != "all" or e["name"] in ("all-gather", "reduce-scatter"))) * 1e-6
    waits = sum(seconds(b, name) for b in busy for name in ("wait", "call"))
    compute = sum(seconds(b, "compute") for b in busy)
    return {"ranks": arguments.ranks, "compute_share": round(compute / total, 4),
            "wait_share": round(waits / total, 4),
            "in_flight_while_computing": round(1 - sum(seconds(b, "wait") for b in busy) / flight, 4),
            "trained_tokens_per_s": round(sum(r["trained_tokens_per_s"] for r in reports) / len(reports), 1),
            "peak_rss_mib": max(r["peak_rss_mib"] for r in reports)}


def computation(event):
    """Of one compute thread without what else ran on its core."""
    return event["args"].get("cpu") or event["dur"]


def replay(events, group_of, speed=1, size_of=lambda event: event["args"]["bytes"]):
    """What the events of one rank alone would be in its groups, of which group_of gives ranks, links,
    GB/s and latency: a clock of the rank, and one of each kind of links, on which collectives follow
    one another. Returns the events, in microseconds from 0, with the time computed and the time in all."""
    of = {e["args"]["id"]: e for e in events if e["tid"] == COLLECTIVES}
    now = computed = 0.0
    links, ends, out = Counter(), {}, []

    def begin(event):
        ranks, kind, gigabytes, latency = group_of[event["args"]["group"]]
        passes = 2 if event["name"] == "all-reduce" else 1
        took = passes * ((ranks - 1) / ranks * size_of(event) / (gigabytes * 1e3) + (ranks - 1) * latency)
        start = max(now, links[kind])
        links[kind] = ends[event["args"]["id"]] = start + took
        out.append({"ph": "X", "pid": 0, "tid": COLLECTIVES, "ts": start, "dur": took,
                    "name": event["name"], "args": event["args"]})

    def wait(identity):
        nonlocal now
        until = max(now, ends.get(identity, now))
        if until > now:
            out.append({"ph": "X", "pid": 0, "tid": COMPUTE, "ts": now, "dur": until - now, "name": "wait"})
        now = until

    for e in sorted((e for e in events if e["tid"] == COMPUTE), key=lambda e: e["ts"]):
        identity = e["args"]["id"]
        if e["name"] == "compute":
            took = computation(e) / speed
            out.append({"ph": "X", "pid": 0, "tid": COMPUTE, "ts": now, "dur": took, "name": "compute"})
            now += took
            computed += took
        elif e["name"] in ("begin", "call") and identity in of:
            begin(of[identity])
        if e["name"] in ("wait", "call"):
            wait(identity)
    return out, computed, now


def simulate(arguments):
    with tempfile.TemporaryDirectory(prefix="reckon_scale_") as folder:
        trace = pathlib.Path(folder) / "alone.json"
        done = subprocess.run(update_bench(arguments, trace, "--threads", 1),
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"scale: the rank failed:\n{done.stderr[-2000:]}")
        report = last_json(done.stdout)
        events = steady(json.loads(trace.read_text())["traceEvents"])
    # Operations of all ranks' tokens, in the time of this one.
    operations = report["product_gflop_per_s"] * report["product_share"] * report["seconds"] / arguments.ranks
    gathered = Counter(e["args"]["bytes"] // 2 for e in events if e["name"] == "all-gather")
    layer, table = gathered.most_common(1)[0][0], max(gathered)
    layers = gathered[layer] / 2  # each is gathered in both passes
    tokens_here = arguments.sequences * arguments.tokens_each / arguments.ranks
    tokens = arguments.tokens or tokens_here
    new_layer, new_table = arguments.layer or layer, arguments.table or table
    operations *= ((layers * new_layer + arguments.steps * new_table) /
                   (layers * layer + arguments.steps * table) * tokens / tokens_here)
    here = sum(computation(e) for e in events if e["tid"] == COMPUTE and e["name"] == "compute") * 1e-6
    speed = here / (operations / arguments.gflops) if arguments.gflops else 1

    shards = arguments.shard_ranks or arguments.ranks
    between = ("between hosts", arguments.gigabytes, arguments.latency)
    within = ("within a host", arguments.host_gigabytes, arguments.host_latency)
    group_of = {"all": (arguments.ranks, *between), "shards": (shards, *within),
                "replicas": (arguments.ranks // shards, *between)}

    def size_of(event):
        # Of the whole unit, or of a shard of it.
        width = {"all-gather": 2, "reduce-scatter": 4, "all-reduce": 4}[event["name"]]
        share = shards if event["args"]["group"] == "replicas" else 1
        elements = event["args"]["bytes"] // width * share
        if elements not in (layer, table):
            return event["args"]["bytes"]  # of norms and single numbers
        return width * (new_table if elements == table else new_layer) / share

    out, computed, total = replay(events, group_of, speed, size_of)
    arguments.trace.write_text(json.dumps({"traceEvents": out}))
    flight = sum(e["dur"] for e in out if e["tid"] == COLLECTIVES)
    hybrid = {"shard_ranks": shards, "host_gigabytes_per_s": arguments.host_gigabytes,
              "host_latency_us": arguments.host_latency} if arguments.shard_ranks else {}
    return {"ranks": arguments.ranks, "gigabytes_per_s": arguments.gigabytes,
            "latency_us": arguments.latency, **hybrid, "efficiency": round(computed / total, 4),
            "step_s": round(total * 1e-6 / arguments.steps, 4),
            "collectives_s": round(flight * 1e-6 / arguments.steps, 4),
            "in_flight_while_computing": round(1 - (total - computed) / flight, 4),
            "tokens": tokens, "gflop_per_s": round(operations / (computed * 1e-6), 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "simulate"])
    parser.add_argument("--model", default=MODEL, help="model folder")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="GB/s of a rank's link, each direction")
    parser.add_argument("--latency", type=float, default=50, help="microseconds a hop")
    parser.add_argument("--shard_ranks", type=int, default=0, help="ranks of a host, which divide a model (HYBRID)")
    parser.add_argument("--host_gigabytes", type=float, default=300, help="GB/s between ranks of a host, each direction")
    parser.add_argument("--host_latency", type=float, default=5, help="microseconds a hop within a host")
    parser.add_argument("--gflops", type=float, help="what a rank computes, GFLOP/s; default: as measured")
    parser.add_argument("--tokens", type=float, help="tokens of a rank's micro-batch; default: as measured")
    parser.add_argument("--layer", type=float, help="parameters of a decoder layer; default: the model's")
    parser.add_argument("--table", type=float, help="parameters of the embedding; default: the model's")
    parser.add_argument("--threads", type=int, default=1, help="compute threads of a rank, of run")
    parser.add_argument("--sequences", type=int, default=16, help="of a step, for all ranks")
    parser.add_argument("--tokens_each", type=int, default=200)
    parser.add_argument("--micro_batch_tokens", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--recompute", action="store_true", help="layers are computed again in the backward pass")
    parser.add_argument("--trace", type=pathlib.Path, default=pathlib.Path("scale_trace.json"))
    arguments = parser.parse_args()
    print(json.dumps({"what": arguments.what, "processor": processor(),
                      **(run if arguments.what == "run" else simulate)(arguments)}))


if __name__ == "__main__":
    main()
