"""`./dev package` of the CPU build: the folder runs from another place, with nothing of the build machine but the C
library and a torch wheel, and its `./dev gpu --rehearse` does on the CPU what `./dev gpu` does on a GPU.

Usage: package_test.py BUILD
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv[1])
ORACLE = os.environ.get("RECKON_ORACLE", "")
sys.path.insert(0, str(ROOT / "deploy/package"))
from make_package import OF_THE_MACHINE, PROGRAMS  # noqa: E402

# The programs that `reckon` starts, which are beside it.
started = {name for file in (ROOT / "cli").rglob("*.cc") if not file.name.endswith("_test.cc")
           for name in re.findall(r'"/?(reckon-[a-z]+)"', file.read_text())}
assert "reckon-actor" in started and started <= set(PROGRAMS), f"the package lacks {started - set(PROGRAMS)}"

if not os.access(ORACLE, os.X_OK):
    print("skipped: needs RECKON_ORACLE, a Python with torch and transformers (./dev setup --oracle)")
    sys.exit(77)


def call(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


with tempfile.TemporaryDirectory(prefix="reckon_package_") as scratch:
    scratch = Path(scratch)
    site = Path(call(ORACLE, "-c", "import importlib.util as u; print(u.find_spec('torch').origin)").strip()).parents[1]
    made = call(sys.executable, ROOT / "deploy/package/make_package.py", BUILD, "--out", scratch / "made", "--site",
                sorted(Path(os.environ["RECKON_TOOLS"]).glob("lib/python3*/site-packages"))[0], "--no-tarball")
    print(made, end="")
    (scratch / "elsewhere").mkdir()
    folder = Path(shutil.move(next((scratch / "made").iterdir()), scratch / "elsewhere"))
    shutil.rmtree(scratch / "made")

    # An environment without a word of this machine.
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(scratch)}
    call(folder / "dev", "torch", ORACLE, env=bare)
    for program in [*(folder / "bin").iterdir(), *(folder / "tests").glob("*_test")]:
        shown = call("ldd", program, env=bare)
        assert "not found" not in shown, f"{program.name}:\n{shown}"
        for name, path in re.findall(r"^\s*(\S+) => (/\S+) \(", shown, re.M):
            inside = Path(path).resolve().is_relative_to(folder) or Path(path).resolve().is_relative_to(site.resolve())
            assert inside or OF_THE_MACHINE.match(name), f"{program.name} finds {name} at {path}"

    print(call(folder / "dev", "gpu", "--rehearse", "--out", scratch / "out", env=bare), end="")
    result = json.loads(next((scratch / "out").iterdir()).read_text())
    programs = [entry for entry in result["tests"] if not entry["program"].endswith(".py")]
    assert {entry["program"] for entry in programs} >= {"device_test", "learner_device_test"}, result["tests"]
    assert [entry["status"] for entry in result["tests"] if entry not in programs] == [0], result["tests"]
    for entry in programs:
        assert entry["status"] == 0 and entry["skipped"] and entry["passed"] == 0, f"without a GPU all are skipped: {entry}"
    measured = {(entry["work"], entry["program"]): entry for entry in result["bench"] if "share_of_roofline" in entry}
    works = ("rollout", "train")
    assert set(measured) == {(work, program) for work in works for program in ("reckon", "transformers")} | {
        (work + ", row-invariant", "reckon") for work in works}, result["bench"]
    assert all(entry["share_of_roofline"] > 0 for entry in measured.values()), measured
    assert all(measured[work + ", row-invariant", "reckon"]["times_as_long"] > 0 for work in works), measured

    # A Python without torch is named, not tried.
    lacking = subprocess.run([folder / "dev", "torch", "/usr/bin/python3"], env=bare, capture_output=True, text=True)
    assert lacking.returncode == 1 and "/usr/bin/python3 has no torch" in lacking.stderr, lacking
print("ok")
