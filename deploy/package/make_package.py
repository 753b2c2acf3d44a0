#!/usr/bin/env python3
"""A folder and a tarball of Reckon that run on another Linux with a torch wheel. Called by `./dev package`.

    make_package.py BUILD --out FOLDER

    FOLDER/reckon-VERSION/
      bin/      the programs and benches            lib/     the shared libraries they need
      tests/    the tests labelled `gpu`            bench/   random models and what is compared with
      dev       `./dev torch` finds the wheel, `./dev gpu` tests and measures
    FOLDER/reckon-VERSION.tar.xz

LibTorch, CUDA and the C library are not in it. Programs find what is through $ORIGIN: ../lib, and ../site, a link
to the site-packages that hold the wheel, which `dev` makes. So the folder can be moved and copied, and the wheel too.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/docker"))
from build_image import copy, libraries_of, version  # noqa: E402

PROGRAMS = ["reckon", "reckon-actor", "reckon-coordinator", "reckon-learner", "reckon-orm", "reckon-server",
            "reckon-engine-bench", "reckon-update-bench"]
SCRIPTS = ["tests/integration/device_train.py"]
BENCH = ["deploy/package/random_model.py", "tests/bench/transformers_bench.py", "tests/bench/vllm_bench.py"]
# The C library must be that of the machine's own loader. Debian's libstdc++ asks for a newer one than our programs
# do, and the wheel needs that of the machine as well.
OF_THE_MACHINE = re.compile(r"(ld-linux-x86-64|lib(c|m|dl|rt|pthread|resolv|util|anl|nss_\w+|stdc\+\+|gcc_s))\.so")
# Where a torch wheel has its libraries, and those of the wheels it depends on.
SITE = ["torch/lib", "nvidia/cu13/lib", "nvidia/cudnn/lib", "nvidia/nccl/lib", "nvidia/cusparselt/lib", "nvidia/nvshmem/lib"]
RPATH = ":".join(["$ORIGIN/../lib"] + [f"$ORIGIN/../site/{folder}" for folder in SITE])


def gpu_tests(build):
    """The programs of the tests with label gpu."""
    shown = subprocess.run(["ctest", "--test-dir", build, "-L", "^gpu$", "--show-only=json-v1"],
                           capture_output=True, text=True, check=True).stdout
    programs = {Path(test["command"][0]) for test in json.loads(shown)["tests"] if "command" in test}
    return sorted(program for program in programs if program.exists() and program.is_relative_to(build.resolve()))


def needed_versions(files):
    """The newest versions of symbols that the files ask of the machine: {"GLIBC": "2.34", "GLIBCXX": ...}."""
    needed = {}
    for file in files:
        text = subprocess.run(["objdump", "-T", file], capture_output=True, text=True, check=True).stdout
        for library, version in re.findall(r"\b(GLIBC|GLIBCXX)_([0-9.]+)\b", text):
            needed.setdefault(library, set()).add(tuple(map(int, version.split("."))))
    return {library: ".".join(map(str, max(versions))) for library, versions in sorted(needed.items())}


def add_program(source, target, lib, site):
    """Copies a program, and into `lib` the libraries that are neither LibTorch's nor the machine's."""
    copy(source, target, strip=True)
    subprocess.run(["patchelf", "--force-rpath", "--set-rpath", RPATH, target], check=True)
    for name, path in libraries_of(source)[0].items():
        if OF_THE_MACHINE.match(name) or Path(path).resolve().is_relative_to(site.resolve()):
            continue
        if not (lib / name).exists():
            copy(path, lib / name, strip=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="build folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--site", type=Path, required=True, help="site-packages of the torch wheel it was built with")
    parser.add_argument("--no-tarball", action="store_true", help="the folder alone")
    options = parser.parse_args()

    name = f"reckon-{version()}"
    folder = options.out / name
    if folder.exists():
        shutil.rmtree(folder)
    programs = [options.build / "bin" / program for program in PROGRAMS]
    if missing := [program.name for program in programs if not program.exists()]:
        sys.exit(f"make_package: {options.build}/bin lacks {', '.join(missing)}: build them first")
    tests = gpu_tests(options.build)
    if not tests:
        sys.exit(f"make_package: {options.build} has no test labelled gpu that is built")
    for program in programs:
        add_program(program, folder / "bin" / program.name, folder / "lib", options.site)
    for test in tests:
        add_program(test, folder / "tests" / test.name, folder / "lib", options.site)
    (folder / "bench").mkdir()
    for script in BENCH:
        shutil.copyfile(ROOT / script, folder / "bench" / Path(script).name)
    for script in SCRIPTS:
        shutil.copyfile(ROOT / script, folder / "tests" / Path(script).name)
    for script in ("dev", "gpu.py"):
        shutil.copy(ROOT / "deploy/package" / script, folder / script)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    files = [path for path in folder.rglob("*") if path.is_file()]
    needed = needed_versions([path for path in files if path.parent.name in ("bin", "lib", "tests") and path.suffix != ".py"])
    needs = "symbols up to " + ", ".join(f"{library}_{newest}" for library, newest in needed.items())
    (folder / "VERSION").write_text(f"{version()}\ntorch 2.11 with CUDA 13; {needs}\n")
    size = sum(path.stat().st_size for path in files)
    print(f"{folder}: {size / 1e6:.0f} MB in {len(files)} files; {needs}")
    if options.no_tarball:
        return
    tarball = options.out / f"{name}.tar.xz"
    # Programs and tests repeat the same kernels, 20 MB each: a dictionary that holds several of them finds that.
    subprocess.run(["tar", "-C", options.out, "--sort=name", "--owner=0", "--group=0", "--mtime=@0",
                    "-cJf", tarball, name], check=True, env=os.environ | {"XZ_OPT": "-T1 --lzma2=preset=6,dict=256MiB"})
    print(f"{tarball}: {tarball.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
