"""The replay of deploy/local/scale.py: a rank's calls, computed by hand."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "deploy/local"))
sys.dont_write_bytecode = True
from scale import COLLECTIVES, COMPUTE, replay, steady  # noqa: E402


def event(track, name, ts, dur, identity=-1, size=0, group="all"):
    return {"ph": "X", "tid": track, "name": name, "ts": ts, "dur": dur,
            "args": {"id": identity, "bytes": size, "group": group}}


def all_ranks(ranks, gigabytes, latency):
    return {"all": (ranks, "between hosts", gigabytes, latency)}


# A gather that is begun ahead of 100 us of computation, then one that nothing hides.
CALLS = [event(COMPUTE, "begin", 0, 1, 1), event(COMPUTE, "compute", 1, 100),
         event(COMPUTE, "wait", 101, 1, 1), event(COMPUTE, "begin", 102, 1, 2),
         event(COMPUTE, "wait", 103, 1, 2), event(COMPUTE, "compute", 104, 50),
         event(COLLECTIVES, "all-gather", 0, 102, 1, 80_000), event(COLLECTIVES, "all-gather", 102, 2, 2, 80_000)]


def expect(got, wanted, what):
    if abs(got - wanted) > 1e-6:
        sys.exit(f"{what}: {got}, not {wanted}")


def main():
    # Half of 80,000 bytes at 1 GB/s and one hop: 41 us each. The second one is waited for.
    out, computed, total = replay(CALLS, all_ranks(2, 1, 1))
    expect(computed, 150, "computed")
    expect(total, 100 + 41 + 50, "the second gather is not hidden")
    expect(sum(e["dur"] for e in out if e["name"] == "wait"), 41, "waits")
    # On a link of a tenth, the first gather takes 401 us: 301 of them are waited for, then 401.
    expect(replay(CALLS, all_ranks(2, 0.1, 1))[2], 401 + 401 + 50, "a slow link")
    # Four times as fast a processor hides less of the first.
    expect(replay(CALLS, all_ranks(2, 1, 1), speed=4)[2], 41 + 41 + 12.5, "a fast processor")
    # Collectives follow one another on a link: here the second starts when the first ends.
    queued = [event(COMPUTE, "begin", 0, 1, 1), event(COMPUTE, "begin", 1, 1, 2), *CALLS[1:3],
              event(COMPUTE, "wait", 103, 1, 2), *CALLS[6:]]
    expect(replay(queued, all_ranks(2, 0.5, 0))[2], 160, "two on one link")
    # An all-reduce goes around the ring twice, and whoever calls it waits.
    one = [event(COMPUTE, "call", 0, 1, 7), event(COLLECTIVES, "all-reduce", 0, 1, 7, 4_000)]
    expect(replay(one, all_ranks(4, 1, 2))[2], 2 * (3 + 6), "an all-reduce")
    # Links within a host and between hosts are used at the same time: here both gathers take 81 us.
    two = [event(COMPUTE, "begin", 0, 1, 1), event(COMPUTE, "begin", 1, 1, 2), event(COMPUTE, "wait", 2, 1, 1),
           event(COMPUTE, "wait", 3, 1, 2), event(COLLECTIVES, "all-gather", 0, 1, 1, 80_000, "shards"),
           event(COLLECTIVES, "all-reduce", 1, 1, 2, 40_000, "replicas")]
    groups = {"shards": (2, "within a host", 1, 41), "replicas": (2, "between hosts", 1, 20.5)}
    expect(replay(two, groups)[2], 81, "two kinds of links")
    groups["replicas"] = (2, "within a host", 1, 20.5)
    expect(replay(two, groups)[2], 81 + 81, "one kind of links")
    # The first step warms up.
    reduces = [event(COLLECTIVES, "all-reduce", t, 1, t) for t in (10, 200)]
    kept = steady(reduces + CALLS)
    if [e["ts"] for e in kept if e["name"] == "compute"] != [104]:
        sys.exit(f"steady kept {kept}")
    print("passed")


if __name__ == "__main__":
    main()
