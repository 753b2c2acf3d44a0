"""The pods of a run without a cluster: containerd alone starts the shipped images as the rendered manifests say.

    ./dev lab kubernetes pods

Arguments, environment, secrets with their modes, read-only root, user, no capabilities, seccomp and
no_new_privs are those of the manifests; the pods share this machine's network, so each gets ports of its
own. A small run must end with the weights of `reckon train`, bit for bit, and actor and coordinator must
end with status 0 after SIGTERM. Nothing here schedules or restarts: that takes `./dev lab kubernetes test`.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import yaml

import binaries
import cluster

ROOT = Path(__file__).resolve().parents[3]
FOLDER = binaries.CACHE / "pods"
SOCKET = FOLDER / "containerd.sock"
CONFIG = ROOT / "deploy/lab/kubernetes/pods.textproto"
USER = 10001
SECONDS = 300
# What runc gives a container unless it is told otherwise; the manifests drop ALL.
CAPABILITIES = ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
                "SYS_CHROOT KILL AUDIT_WRITE").split()


def ctr(*arguments, **options):
    return subprocess.run(["ctr", "--address", SOCKET, "-n", "reckon", *map(str, arguments)], text=True, **options)


def say(text):
    print(text, flush=True)


def expect(condition, text):
    if not condition:
        raise SystemExit(f"lab kubernetes: FAILED: {text}; logs are in {FOLDER}")
    say(f"ok: {text}")


def weights(run_dir):
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((run_dir / "weights").glob("*/model.safetensors"))}


def objects(folder):
    return [item for path in sorted(folder.glob("*.yaml")) for item in yaml.safe_load_all(path.read_text())
            if item and "metadata" in item]


def write_files(folder, files, mode):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        os.chown(folder / name, 0, USER)
        (folder / name).chmod(mode)
    return folder


def writable(name):
    folder = FOLDER / name
    folder.mkdir(parents=True)
    os.chown(folder, USER, USER)
    return folder


class Pods:
    """The containers of one run, by name; what they print goes to FOLDER/NAME.log."""

    def __init__(self, manifests):
        self.running, self.number = {}, 0
        self.address = cluster.node_address()
        self.secrets = {item["metadata"]["name"]: {name: base64.b64decode(data) for name, data in item["data"].items()}
                        for item in manifests if item["kind"] == "Secret"}

    def start(self, name, role, container, environment, mounts):
        environment = {"POD_IP": self.address, "POD_NAME": name, **environment}
        arguments = []
        for argument in container["args"]:
            # As a kubelet: $$ is a dollar, and a variable that is not there stays as it is written.
            argument = re.sub(r"\$\$|\$\((\w+)\)",
                              lambda found: environment.get(found[1], found[0]) if found[1] else "$", argument)
            for port, other in [("7080", 17080 + self.number), ("7090", 17090 + self.number)]:
                argument = argument.replace(f"[::]:{port}", f"[::]:{other}")
            arguments.append(argument.replace("lab-coordinator:", f"{self.address}:"))
        # A kubelet gives the files of a secret to the group fsGroup.
        secret = write_files(FOLDER / "secrets" / name, self.secrets[f"lab-{role}"], 0o440)
        mounts = [("/tmp", writable(f"tmp/{name}"), "rw"), ("/etc/reckon/certificates", secret, "ro"), *mounts]
        command = ["ctr", "--address", SOCKET, "-n", "reckon", "run", "--net-host", "--read-only", "--seccomp", "--rm"]
        for capability in CAPABILITIES:
            command += ["--cap-drop", f"CAP_{capability}"]
        for target, source, mode in mounts:
            command += ["--mount", f"type=bind,src={source},dst={target},options=rbind:{mode}"]
        command += [f"docker.io/library/{container['image']}", name, f"/usr/bin/reckon-{role}", *arguments]
        with open(FOLDER / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                                  start_new_session=True)
        self.number += 1

    def remove(self):
        for name, process in self.running.items():
            ctr("tasks", "rm", "--force", name, capture_output=True)
            ctr("containers", "rm", name, capture_output=True)
            if process.poll() is None:
                process.terminate()


def check_process(name):
    pid = next(line.split()[1] for line in ctr("tasks", "list", capture_output=True).stdout.splitlines()
               if line.startswith(name + " "))
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    expect(status["Uid"].split()[0] == str(USER) and int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"
           and status["Seccomp"] == "2", f"{name} runs as user {USER}, without capabilities, no_new_privs, under seccomp")


def run_pods(pods, manifests, local):
    def template(kind):
        return next(item for item in manifests if item["kind"] == kind)["spec"]

    run = writable("run")
    texts = next(item for item in manifests if item["kind"] == "ConfigMap")["data"]
    config = write_files(FOLDER / "config", {name: text.encode() for name, text in texts.items()}, 0o444)
    pods.start("coordinator", "coordinator", template("StatefulSet")["template"]["spec"]["containers"][0], {},
               [("/var/lib/reckon", writable("store"), "rw")])
    pods.start("actor", "actor", template("Deployment")["template"]["spec"]["containers"][0], {}, [])
    jobs = template("JobSet")["replicatedJobs"]
    for rank, job in enumerate(jobs):
        files = [("/var/lib/reckon", run, "rw"), ("/etc/reckon/config", config, "ro")] if rank == 0 else []
        pods.start(f"learner-{rank}", "learner", job["template"]["spec"]["template"]["spec"]["containers"][0],
                   {"RANK": str(rank), "WORLD_SIZE": str(len(jobs)), "JOBSET_UID": "lab", "ATTEMPT": "0",
                    "RESUME": texts["resume"]}, files)
    deadline = time.monotonic() + SECONDS
    while not (run / "run/progress.json").exists():
        expect_running(pods, deadline)
    for number, name in enumerate(pods.running):
        check_process(name)
        with urllib.request.urlopen(f"http://127.0.0.1:{17090 + number}/metrics", timeout=5) as reply:
            expect(b"reckon_" in reply.read(), f"{name} serves metrics")
    while any(pods.running[f"learner-{rank}"].poll() is None for rank in range(len(jobs))):
        expect_running(pods, deadline)
    expect(all(pods.running[f"learner-{rank}"].poll() == 0 for rank in range(len(jobs))), "the ranks end with status 0")
    expect(weights(local) and weights(run / "run") == weights(local),
           f"{len(weights(local))} weight folders are those of `reckon train`, bit for bit")
    for name in ["actor", "coordinator"]:
        ctr("tasks", "kill", "--signal", "SIGTERM", name, check=True)
        expect(pods.running[name].wait(60) == 0, f"{name} ends with status 0 after SIGTERM")


def expect_running(pods, deadline):
    failed = [name for name, process in pods.running.items() if process.poll() not in (None, 0)]
    if failed or time.monotonic() > deadline:
        raise SystemExit(f"lab kubernetes: FAILED: {', '.join(failed) or 'no end in time'}; logs are in {FOLDER}")
    time.sleep(0.2)


def test(programs):
    binaries.install_packages()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    reckon = programs / "reckon"
    for verb, options in [("train", ["--set", f"output_dir={FOLDER}/local"]),
                          ("launch", ["--kubernetes", "--set", f"output_dir={FOLDER}/launch"])]:
        subprocess.run([reckon, verb, CONFIG, *options], check=True, stdout=subprocess.DEVNULL)
    manifests = objects(FOLDER / "launch/lab/kubernetes/base")
    with open(FOLDER / "containerd.log", "ab") as log:
        containerd = subprocess.Popen(["containerd", "--root", FOLDER / "root", "--state", FOLDER / "state", "--address",
                                       SOCKET], stdout=log, stderr=log, start_new_session=True)
    pods = Pods(manifests)
    try:
        cluster.wait("containerd does not answer", lambda: ctr("version", capture_output=True).returncode == 0, 60)
        for role in ["coordinator", "actor", "learner"]:
            subprocess.run([ROOT / "deploy/docker/build_image.py", role, f"--programs={programs}",
                            f"--out={FOLDER}/images", "--tag=lab"], check=True)
            ctr("images", "import", FOLDER / f"images/reckon-{role}.tar", stdout=subprocess.DEVNULL, check=True)
        run_pods(pods, manifests, FOLDER / "local/lab")
    finally:
        pods.remove()
        containerd.terminate()
        containerd.wait(30)
    shutil.rmtree(FOLDER / "root", ignore_errors=True)
    say("passed")
