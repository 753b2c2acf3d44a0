"""The dependency law over every #include, and where test doubles and headers belong.

layering_test.py            exit code 0: the law holds; 1: one line for each offence
layering_test.py --report   also lists sources without a header of their name and headers that may be
                            too small to exist; never fails for these
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# When True, a source without a header of its name is an offence, not a line of the report.
HEADERS_REQUIRED = True

# Its macros have the names of LibTorch's own, whose messages go nowhere.
LOG = "common/base/log.h"

# What each part may include, beside itself. Roles share the proto folder and never include one
# another.
BASE = {"proto", "common/base"}
LAW = {
    "common/base": set(),
    "common/net": BASE,
    "common/text": BASE,
    "common/config": BASE | {"common/text"},
    "common/telemetry": BASE | {"common/text"},
    "common/task": BASE | {"common/text"},
    "common/reward": BASE | {"common/net", "common/text", "common/task"},
    "common/model": BASE | {"common/net", "common/text"},
    "common/model/init": BASE | {"common/text", "common/task", "common/model"},
    "common/testing": BASE,
    "coordinator": BASE | {"common/net", "common/config", "common/telemetry"},
    "actor": BASE | {"common/net", "common/config", "common/text", "common/task", "common/reward",
                     "common/model", "common/telemetry"},
    "learner": BASE | {"common/net", "common/text", "common/task", "common/model",
                       "common/model/init", "common/telemetry", "common/config"},
    "cli": BASE | {"common/net", "common/text", "common/task", "common/reward", "common/model",
                   "common/model/init", "common/telemetry", "common/config"},
}
# The folders of learner/ from the bottom: each includes those before it. What is in learner/ itself
# may include all.
LEARNER = ["report", "parallel", "data", "update", "checkpoint", "publish", "context", "experience",
           "loss", "sampling", "evaluate", "run", "algorithm"]
# LibTorch: the half of common/model that computes, and the roles that compute. The other half
# (config, sampling, files, transfer, init) stays free of it, for the command line and for tests.
TORCH = {"common/model", "actor", "learner"}
NO_TORCH = re.compile(r"^common/model/(files/|transfer/|init/|config|families|sampling|kernels/dtype)")
TORCH_HEADER = re.compile(r"^(ATen|torch|c10)/")
# What tests beside a unit may include as well; tests/ itself may include everything.
TEST_EXTRA = {"common/testing", "common/net", "common/text", "common/model", "common/model/init"}
TEST_FILE = re.compile(r"_(test|bench|tool|fuzz)\.cc$|^tests/")
TEST_ONLY = re.compile(r"^(tests/|common/testing/)")
# Names of doubles and test helpers, which belong in tests/support.
DOUBLE = re.compile(r"(^|_)(fake|mock|scripted|in_process|harness|injector|memory_store)(_|\.)")
# Sources without a header of their name: programs and tests.
NO_HEADER = re.compile(r"(^|_)main\.cc$|_(test|bench|tool|fuzz)\.cc$|^(replay|lying_actor)\.cc$|^tsan_mutex\.cc$")
TEMP_FOLDER = re.compile(r'TempDir\(|"/tmp/(?!\w*XXXXXX)')
SMALL = 25  # lines


def part_of(path):
    for depth in (3, 2, 1):
        part = "/".join(path.split("/")[:depth])
        if part in LAW or part == "proto":
            return part
    return None


def sources():
    """(path relative to the root, its text) of every C++ file outside of build folders."""
    for folder in ("actor", "cli", "common", "coordinator", "learner", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cc", ".cu"):
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1)


def learner_folder(path):
    """Its place in LEARNER; the end of it for learner/ itself; None outside of learner/."""
    parts = path.split("/")
    if parts[0] != "learner":
        return None
    if len(parts) == 2:
        return len(LEARNER)
    return LEARNER.index(parts[1]) if parts[1] in LEARNER else -1


def learner_offence(name, include):
    own, target = learner_folder(name), learner_folder(include)
    if own is None or target is None or own >= target >= 0:
        return None
    if min(own, target) < 0:
        return "LEARNER in tests/layering_test.py does not say where that folder is in the order"
    return f"learner/{LEARNER[own]} is below it in the order of the learner's folders"


def include_offence(name, include):
    """Why the file may not include this; None if it may."""
    part, test = part_of(name), TEST_FILE.search(name) is not None
    if TEST_ONLY.match(include) and not test and not TEST_ONLY.match(name):
        return "test helpers are for tests"
    if part is None or name.startswith("tests/"):
        return None
    if TORCH_HEADER.match(include) and (part not in TORCH or NO_TORCH.match(name)):
        return f"{part} must not use LibTorch"
    why = learner_offence(name, include) if not test else None
    if why is not None:
        return why
    target = part_of(include)
    if target == "common/model" and part not in TORCH and not NO_TORCH.match(include):
        return f"{part} must not use LibTorch"
    if target is None or target == part or target in LAW[part]:
        return None
    if test and target in TEST_EXTRA:
        return None
    return f"{part} may not use {target}"


def offences():
    for name, text in sources():
        if TEMP_FOLDER.search(text) and name != "common/testing/temp_folder.h":
            yield f"{name}: tests that run at once would share its folder; use TempFolder"
        if DOUBLE.search(name.rpartition("/")[2]) and not name.startswith("tests/support/"):
            yield f"{name}: test doubles belong in tests/support"
        included = [include for _, include in includes(text)]
        if name.endswith(".cc") and LOG in included and included[-1] != LOG:
            yield f"{name}: {LOG} is not its last include, so a header of LibTorch may take its macros"
        for number, include in includes(text):
            why = include_offence(name, include)
            if why is not None:
                yield f"{name}:{number}: includes {include}, but {why}"


def without_header():
    for name, _ in sources():
        if name.endswith(".cc") and not NO_HEADER.search(name.rpartition("/")[2]):
            if not (ROOT / name).with_suffix(".h").exists():
                yield f"{name}: has no header of its name"


def small_headers():
    users = {}
    for name, text in sources():
        for _, include in includes(text):
            users.setdefault(include, []).append(name)
    for name, text in sources():
        lines, own = text.count("\n"), name[:-2]
        using = [user for user in users.get(name, []) if user not in (own + ".cc", own + "_test.cc")]
        if name.endswith(".h") and lines < SMALL and len(using) <= 1:
            yield f"{name}: {lines} lines, included by {', '.join(using) or 'nobody'}"


def main():
    found = list(offences())
    headers = list(without_header())
    if HEADERS_REQUIRED:
        found += headers
    if "--report" in sys.argv[1:]:
        small = list(small_headers())
        print(f"{len(headers)} sources without a header of their name:", *headers, sep="\n  ")
        print(f"{len(small)} headers below {SMALL} lines with one user:", *small, sep="\n  ")
    print("\n".join(found) if found else "layering: the law holds")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
