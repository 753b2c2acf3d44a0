#!/usr/bin/env python3
"""Images of Reckon's programs, built without a container engine and without a registry.

    deploy/docker/build_image.py actor coordinator learner cli --programs=build/bin --out=build/images
    ctr -n k8s.io images import build/images/reckon-actor.tar      (or: docker load -i)

For each role it writes OUT/ROLE/, the image's root folder, and OUT/reckon-ROLE.tar, a docker-archive. A
root folder has the program, the shared libraries that `ldd` names, a user and nothing else: no shell, no
package manager. With Docker, `docker build -f deploy/docker/actor.Dockerfile OUT/actor` makes the same image
of it. The same input gives the same bytes, hence the same digest.
"""

import argparse
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

# The entry point is the first program. The learner scores with reward models through reckon-orm.
PROGRAMS = {
    "actor": ["reckon-actor"],
    "coordinator": ["reckon-coordinator"],
    "learner": ["reckon-learner"],
    "cli": ["reckon"],
}
USER = 10001  # above 10000, so that it is no user of the node
LIBRARIES = "usr/lib/x86_64-linux-gnu"  # where the loader looks without a cache
LOADER = "lib64/ld-linux-x86-64.so.2"
FILES = {
    "etc/passwd": f"reckon:x:{USER}:{USER}:reckon:/tmp:/sbin/nologin\n",
    "etc/group": f"reckon:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
# The largest libraries are a layer of their own, which actor and learner share.
LARGE = 16 << 20


def libraries_of(program):
    """{name: file} of the shared libraries of a program, and its loader."""
    output = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    missing = re.findall(r"^\s*(\S+) => not found", output, re.M)
    if missing:
        sys.exit(f"build_image: {program} needs {', '.join(missing)}, which ldd does not find")
    found = dict(re.findall(r"^\s*(\S+) => (/\S+) \(", output, re.M))
    loader = re.search(r"^\s*(/\S*ld-linux\S*) \(", output, re.M)
    return found, loader.group(1) if loader else None


def copy(source, target, strip):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if strip:
        # Symbols that only a debugger reads; names that the loader needs stay.
        subprocess.run(["strip", "--strip-unneeded", str(target)], check=True, capture_output=True)
    target.chmod(0o755)


def make_root(root, programs):
    if root.exists():
        shutil.rmtree(root)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "tmp").mkdir()
    for program in programs:
        copy(program, root / "usr/bin" / program.name, strip=True)
        libraries, loader = libraries_of(program)
        for name, source in libraries.items():
            copy(source, root / LIBRARIES / name, strip=True)
        if loader:
            copy(loader, root / LOADER, strip=False)


def make_layer(root, files):
    """A tar of these files of the root folder, as bytes that depend on their contents alone."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders = sorted({parent for file in files for parent in file.relative_to(root).parents} - {Path(".")})
        for name in folders + sorted(file.relative_to(root) for file in files):
            path = root / name
            entry = tarfile.TarInfo(str(name) + ("/" if path.is_dir() else ""))
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if str(name) == "tmp" else 0o755
                tar.addfile(entry)
            else:
                entry.size, entry.mode = path.stat().st_size, path.stat().st_mode & 0o777
                with open(path, "rb") as content:
                    tar.addfile(entry, content)
    return stream.getvalue()


def add_bytes(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def write_archive(path, tag, layers, entry_point, user=USER):
    """A docker-archive: one manifest, one config, the layers."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": [entry_point], "User": f"{user}:{user}", "WorkingDir": "/tmp",
                   "Env": ["PATH=/usr/bin", "HOME=/tmp"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "deploy/docker/build_image.py"} for _ in layers],
    }, sort_keys=True).encode()
    name = hashlib.sha256(config).hexdigest()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        add_bytes(tar, f"{name}.json", config)
        for digest, layer in zip(digests, layers):
            add_bytes(tar, f"{digest}.tar", layer)
        add_bytes(tar, "manifest.json", json.dumps([{
            "Config": f"{name}.json", "RepoTags": [tag], "Layers": [f"{digest}.tar" for digest in digests],
        }]).encode())
    return name


def build(role, programs_folder, out, prefix, tag):
    root = out / role
    programs = [programs_folder / name for name in PROGRAMS[role]]
    for program in programs:
        if not program.exists():
            sys.exit(f"build_image: {program} does not exist: build it first, or name its folder with --programs")
    make_root(root, programs)
    files = [path for path in root.rglob("*") if path.is_file()] + [root / "tmp"]
    large = [path for path in files if path.is_file() and path.stat().st_size > LARGE
             and LIBRARIES in str(path)]
    layers = [make_layer(root, group) for group in (large, [f for f in files if f not in large]) if group]
    name = f"{prefix}-{role}:{tag}"
    digest = write_archive(out / f"reckon-{role}.tar", name, layers, f"/usr/bin/{PROGRAMS[role][0]}")
    print(f"{name}  {sum(map(len, layers)) / 1e6:.0f} MB in {len(files)} files, image sha256:{digest[:16]}", flush=True)


def version():
    text = (Path(__file__).parents[2] / "CMakeLists.txt").read_text()
    return re.search(r"project\(\w+\s+VERSION\s+([0-9.]+)", text).group(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roles", nargs="+", choices=sorted(PROGRAMS), metavar="ROLE", help=", ".join(sorted(PROGRAMS)))
    parser.add_argument("--programs", type=Path, default=Path("build/bin"), help="folder of the programs")
    parser.add_argument("--out", type=Path, default=Path("build/images"), help="where root folders and archives go")
    parser.add_argument("--prefix", default="reckon", help="as kubernetes.image_prefix of a config")
    parser.add_argument("--tag", default=version(), help="as kubernetes.image_tag; default: the version")
    arguments = parser.parse_args()
    for role in arguments.roles:
        build(role, arguments.programs, arguments.out, arguments.prefix, arguments.tag)


if __name__ == "__main__":
    main()
