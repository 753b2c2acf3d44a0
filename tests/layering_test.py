"""The dependency law over every #include: what each part may include, and nothing else.

Exit code 0: the law holds. 1: one line an offence.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = {"proto", "common/base"}
LAW = {
    "common/base": set(),
    "common/net": BASE,
    "common/text": BASE,
    "common/config": BASE | {"common/text"},
    "common/telemetry": BASE | {"common/text"},
    "common/task": BASE | {"common/text"},
    "common/plan": BASE | {"common/net", "common/task"},
    "common/weights": BASE | {"common/net", "common/text"},
    "common/model": BASE | {"common/text", "common/weights"},
    "common/init": BASE | {"common/text", "common/task", "common/weights"},
    "common/testing": BASE | {"common/init", "common/net", "common/text", "common/weights"},
    "coordinator": BASE | {"common/net", "common/telemetry"},
    "actor": BASE | {"common/net", "common/text", "common/task", "common/model",
                     "common/weights", "common/telemetry"},
    "learner": BASE | {"common/net", "common/text", "common/task", "common/model", "common/plan",
                       "common/weights", "common/telemetry", "common/config", "common/init"},
    "cli": BASE | {"common/net", "common/text", "common/task", "common/plan", "common/weights",
                   "common/telemetry", "common/config", "common/init"},
}
TORCH = {"common/model", "actor", "learner"}
TORCH_HEADER = re.compile(r"^(ATen|torch|c10)/")
# Tests may also use the test helpers, and the real parts beside them.
TEST_EXTRA = {"common/testing", "common/net", "common/plan", "common/weights", "common/text"}


def part_of(path):
    for depth in (2, 1):
        part = "/".join(path.split("/")[:depth])
        if part in LAW or part == "proto":
            return part
    return None


def offences():
    for path in sorted(ROOT.rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        name = path.relative_to(ROOT).as_posix()
        part = part_of(name)
        if part is None or name.startswith("build"):
            continue
        test = re.search(r"_(test|bench|tool)\.cc$", name) is not None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if not match:
                continue
            include = match.group(1)
            where = f"{name}:{number}: includes {include}"
            if TORCH_HEADER.match(include) and part not in TORCH:
                yield f"{where}, but {part} must not use LibTorch"
            target = part_of(include)
            if target is None or target == part or target in LAW[part]:
                continue
            if test and target in TEST_EXTRA:
                continue
            yield f"{where}, but {part} may not use {target}"


if __name__ == "__main__":
    found = list(offences())
    print("\n".join(found) if found else "layering: the law holds")
    sys.exit(1 if found else 0)
