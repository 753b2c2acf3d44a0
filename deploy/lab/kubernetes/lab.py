#!/usr/bin/env python3
"""A real Kubernetes of one node on this machine, and a trial of Reckon's manifests and images on it.

    ./dev lab kubernetes up      builds Kubernetes from its Go modules once (minutes), starts the cluster
    ./dev lab kubernetes test    up, then the trial of trial.py: a run with faults beside an undisturbed one
    ./dev lab kubernetes operations  after test: stop, resume, drain, upgrade, restore, one rank less: operations.py
    ./dev lab kubernetes pods    the pods alone, started by containerd as the manifests say: pods.py; seconds
    ./dev lab kubernetes down    ends what up started, and removes its folder

Needs root, Debian 12, Go 1.24 or newer and a Go module proxy. docs/kubernetes.md says what is tested.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import binaries
import cluster
import operations
import pods
import trial

sys.path.insert(0, str(trial.ROOT / "deploy/docker"))
import build_image  # noqa: E402

PAUSE = "reckon-lab-pause:1"


def make_pause(folder):
    """The image of the process that holds a pod's network namespace: it waits, and reaps children."""
    source = folder / "pause.c"
    source.write_text("#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
                      "static void end(int signal) { (void)signal; _exit(0); }\n"
                      "int main() { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, SIG_IGN);\n"
                      "  for (;;) pause(); }\n")
    root = folder / "root"
    root.mkdir()
    subprocess.run(["gcc", "-static", "-Os", "-o", root / "pause", source], check=True)
    archive = folder / "pause.tar"
    build_image.write_archive(archive, f"docker.io/library/{PAUSE}",
                              [build_image.make_layer(root, [root / "pause"])], "/pause", user=65535)
    return archive


def up():
    binaries.build()
    with tempfile.TemporaryDirectory(prefix="reckon_pause_") as folder:
        cluster.up(f"docker.io/library/{PAUSE}", make_pause(Path(folder)))


def main():
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    if verb == "up":
        up()
    elif verb == "test":
        up()
        trial.test(trial.ROOT / "build/bin")
    elif verb == "operations":
        up()
        operations.test(trial.ROOT / "build/bin")
    elif verb == "pods":
        pods.test(trial.ROOT / "build/bin")
    elif verb == "down":
        cluster.down()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
