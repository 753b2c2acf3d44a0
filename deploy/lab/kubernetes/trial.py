"""The trial of `./dev lab kubernetes test`: a run from the shipped manifests and images on a real cluster, with
faults, beside the same run undisturbed on this machine. Both must end with the same weights, bit for bit.

    1  the local run
    2  images, volumes; `reckon launch --kubernetes --apply`, with an overlay of the component one-node-cpu
    3  SFT: rank 1 is killed; the learner group restarts as a whole
    4  round 1: the actor is killed; actors 1 -> 3; an actor's pod and the coordinator's pod are deleted
    5  round 2: actors 3 -> 1 while they sample; the pod of rank 0 is deleted
    6  the JobSet completes; weights, evaluations and the ledgers of both coordinators are compared

The restricted level of Pod Security is checked while everything runs.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import binaries
import cluster
from cluster import ctr, kubectl, kubectl_output

ROOT = Path(__file__).resolve().parents[3]
RUN = "lab"
NAMESPACE = "reckon"
ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
BEGIN = time.monotonic()
SECONDS = int(os.environ.get("RECKON_LAB_SECONDS", "1800"))  # of any one wait


def say(text):
    print(f"[{time.monotonic() - BEGIN:6.1f} s] {text}", flush=True)


def expect(condition, text):
    if not condition:
        raise SystemExit(f"lab kubernetes: FAILED: {text}")
    say(f"ok: {text}")


def wait(what, condition, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"lab kubernetes: FAILED: not within {seconds} s: {what}")
        time.sleep(0.5)
    say(what)


def progress(run_dir):
    try:
        return json.loads((run_dir / "progress.json").read_text())
    except (OSError, ValueError):
        return {}


def in_phase(run_dir, text, done=0):
    now = progress(run_dir)
    if now.get("finished", False):
        raise SystemExit(f"lab kubernetes: FAILED: the run was over before its phase '{text}' was seen")
    return text in now.get("phase", "") and int(now.get("done", 0)) >= done


def tell(run_dir, text):
    """A fault, and what it hit."""
    now = progress(run_dir)
    say(f"{text}, at {now.get('phase')} {now.get('done', 0):.0f}/{now.get('total', 0):.0f}")


def weights(run_dir):
    """{folder: digest} of every weight folder that the run kept."""
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((run_dir / "weights").glob("*/model.safetensors"))}


def evaluations(run_dir):
    """The metrics of each evaluation; times differ from run to run."""
    return {path.name: {key: value for key, value in json.loads(path.read_text()).items()
                        if "second" not in key.lower()} for path in sorted((run_dir / "eval").glob("[0-9]*.json"))}


def pods(role, extra=""):
    selector = f"app.kubernetes.io/component={role},{extra}".rstrip(",")
    items = json.loads(kubectl_output("-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def name_of(pod):
    return pod["metadata"]["name"]


def ready(role, extra=""):
    return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
               for pod in pods(role, extra))


def kill_process(pod):
    """SIGKILL to the pod's only container, as the kernel does to a process without memory."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    ctr("tasks", "kill", "--signal", "SIGKILL", container)


def jobset():
    return json.loads(kubectl_output("-n", NAMESPACE, "get", "jobset", f"{RUN}-learner", "-o", "json"))


def ended():
    return {c["type"] for c in jobset().get("status", {}).get("conditions", []) if c["status"] == "True"}


def run_locally(programs, folder):
    command = [programs / "reckon", "train", ROOT / "deploy/lab/kubernetes/run.textproto",
               "--set", f"output_dir={folder}"]
    with open(folder / "local.log", "w") as log:
        if subprocess.run(list(map(str, command)), stdout=log, stderr=log).returncode != 0:
            raise SystemExit(f"lab kubernetes: the local run failed: see {folder}/local.log")
    return folder / RUN


def load_images(programs, folder):
    for role in ["actor", "coordinator", "learner"]:
        subprocess.run([ROOT / "deploy/docker/build_image.py", role, f"--programs={programs}", f"--out={folder}",
                        "--tag=lab"], check=True)
        ctr("images", "import", folder / f"reckon-{role}.tar", stdout=subprocess.DEVNULL)


def launch(programs, folder, *options):
    """`reckon launch --kubernetes`, as a user calls it; kubectl and its context are in the environment."""
    subprocess.run([programs / "reckon", "launch", ROOT / "deploy/lab/kubernetes/run.textproto", "--kubernetes",
                    "--set", f"output_dir={folder}", *options], check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | {"PATH": f"{binaries.BIN}:{os.environ['PATH']}",
                                     "KUBECONFIG": str(cluster.KUBECONFIG)})
    return folder / RUN / "kubernetes"


def write_overlay(manifests):
    """What all pods on one node need: docs/kubernetes.md."""
    shutil.copytree(ROOT / "deploy/kubernetes/components", manifests / "components")
    (manifests / "overlay").mkdir()
    (manifests / "overlay/kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        "resources: [../base]\ncomponents: [../components/one-node-cpu]\n")


def totals(address):
    """The ledger of a coordinator, from its metrics."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as reply:
        lines = dict(line.rsplit(" ", 1) for line in reply.read().decode().splitlines() if line[:1] != "#")
    names = {"leased": "reckon_leased_samples_total", "outstanding": "reckon_leased_samples",
             "expired": "reckon_lease_expired_total", "returned": "reckon_lease_returned_total",
             "set aside": "reckon_set_aside_samples_total", "mismatched": "reckon_mismatched_rollouts_total"}
    outcomes = {outcome: f'reckon_rollouts_total{{outcome="{outcome}"}}'
                for outcome in ["accepted", "duplicate", "late", "rejected"]}
    return {name: int(float(lines[metric])) for name, metric in (names | outcomes).items()}


def totals_of_store(programs, store):
    """The same of a run that is over: a coordinator on its store tells them."""
    address = "127.0.0.1:17099"
    process = subprocess.Popen([programs / "reckon-coordinator", f"--run={RUN}", f"--store={store}",
                                "--listen=127.0.0.1:0", f"--metrics_listen={address}"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                found = totals(address)
            except OSError:
                found = {}
            if found.get("accepted"):
                return found
            time.sleep(0.2)
        raise SystemExit(f"lab kubernetes: FAILED: the coordinator of {store} shows no rollouts")
    finally:
        process.terminate()
        process.wait()


def check_ledger(undisturbed):
    found = totals(f"{pods('coordinator')[0]['status']['podIP']}:7090")
    say("ledger: " + ", ".join(f"{count} {name}" for name, count in found.items()))
    expect(found["leased"] == sum(found[name] for name in ["accepted", "expired", "returned", "set aside", "outstanding"]),
           "every leased sample was accepted, expired or returned")
    expect(found["accepted"] == undisturbed["accepted"] and not any(
        found[name] for name in ["outstanding", "set aside", "mismatched", "rejected"]),
        f"{found['accepted']} samples were accepted, as in the local run; none was lost, given up or made twice unequally")


def check_restricted():
    label = json.loads(kubectl_output("get", "namespace", NAMESPACE, "-o", "json"))["metadata"]["labels"]
    expect(label["pod-security.kubernetes.io/enforce"] == "restricted", "the namespace enforces the restricted level")
    refused = subprocess.run(
        [binaries.BIN / "kubectl", "--kubeconfig", cluster.KUBECONFIG, "-n", NAMESPACE, "run", "root",
         "--image=reckon-actor:lab", "--image-pull-policy=Never"], capture_output=True, text=True)
    expect(refused.returncode != 0 and "violates PodSecurity" in refused.stderr, "a pod without the settings is refused")
    for role in ["coordinator", "actor", "learner"]:
        for pod in pods(role):
            if pod["status"]["phase"] != "Running":
                continue
            container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
            pid = next(line.split()[1] for line in ctr("tasks", "list", capture_output=True).stdout.splitlines()
                       if line.startswith(container))
            status = dict(re.findall(r"^(\w+):\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M))
            expect(status["Uid"].split()[0] == "10001" and int(status["CapEff"], 16) == 0 and
                   status["NoNewPrivs"] == "1" and status["Seccomp"] == "2",
                   f"{name_of(pod)} runs as user 10001, without capabilities, no_new_privs, under seccomp")


def check_overlays():
    """The API server checks every shipped manifest and stores nothing."""
    for folder in [ROOT / "deploy/kubernetes/base", *sorted((ROOT / "deploy/kubernetes/overlays").iterdir())]:
        answer = subprocess.run([binaries.BIN / "kubectl", "--kubeconfig", cluster.KUBECONFIG, "apply",
                                 "--dry-run=server", "-k", folder], capture_output=True, text=True)
        expect(answer.returncode == 0 and "Warning" not in answer.stderr, f"the API server accepts {folder.name} "
               f"without a warning: {answer.stdout.count('(server dry run)')} objects{answer.stderr}")


def show_logs(folder):
    for path in sorted((cluster.STATE / "pod-logs").rglob("*.log")):
        target = folder / "pod-logs" / (path.parent.parent.name + "." + path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    say(f"logs of the pods: {folder}/pod-logs")


def clear(folder):
    """Removes what an earlier trial left in `folder` and in the cluster, its volumes too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", stdout=subprocess.DEVNULL)
    kubectl("delete", "persistentvolume", "--all", stdout=subprocess.DEVNULL)
    shutil.rmtree(cluster.VOLUMES, ignore_errors=True)


def begin(programs, folder):
    """Images, volumes and an applied run; returns the folder of its manifests."""
    load_images(programs, folder / "images")
    for volume in ["lab-volume-1", "lab-volume-2"]:
        kubectl("apply", "-f", "-", input=json.dumps(cluster.make_volume(volume)), stdout=subprocess.DEVNULL)
    manifests = launch(programs, folder / "launch")
    write_overlay(manifests)
    launch(programs, folder / "launch", "--apply")
    return manifests


def wait_for_volume():
    """The run's folder, once the claim of rank 0 has a volume."""
    def volume():
        claim = json.loads(kubectl_output("-n", NAMESPACE, "get", "pvc", f"{RUN}-learner", "-o", "json"))
        return claim["spec"].get("volumeName")

    wait("the run has its volume", volume)
    return cluster.VOLUMES / volume() / "run"


def wait_for_end():
    wait("the JobSet has ended", lambda: ended() & {"Completed", "Failed"})
    return jobset()["status"]


def compare(run_dir, local):
    mine, theirs = weights(run_dir), weights(local)
    expect(mine and mine == theirs, f"{len(theirs)} weight folders are equal bit for bit: "
           + ", ".join(f"{name} {digest[:12]}" for name, digest in theirs.items()))
    expect(evaluations(run_dir) == evaluations(local), f"{len(evaluations(local))} evaluations are equal")


def test(programs):
    folder = binaries.CACHE / "trial"
    clear(folder)
    local = run_locally(programs, folder)
    say(f"undisturbed local run: {progress(local).get('lines', ['?'])[-1].rstrip()}")
    manifests = begin(programs, folder)
    try:
        disturb(local)
        check_ledger(totals_of_store(programs, local / "store"))
        check_overlays()
    finally:
        show_logs(folder)
    kubectl("delete", "-k", manifests / "overlay", "--wait=true", stdout=subprocess.DEVNULL)
    say("passed")


def disturb(local):
    run_dir = wait_for_volume()
    wait("SFT trains", lambda: in_phase(run_dir, "sft_1: train", done=8))
    kill_process(pods("learner", "jobset.sigs.k8s.io/job-global-index=1")[0])
    tell(run_dir, "killed the process of rank 1")
    wait("all ranks are back, as the second attempt", lambda: ready("learner", f"{ATTEMPT}=1") == 2)

    wait("round 1 samples", lambda: in_phase(run_dir, "round 1: sample", done=8))
    kill_process(pods("actor")[0])
    tell(run_dir, "killed the process of the actor")
    kubectl("-n", NAMESPACE, "scale", "deployment", f"{RUN}-actor", "--replicas=3", stdout=subprocess.DEVNULL)
    tell(run_dir, "actors: 1 -> 3")
    wait("three actors run", lambda: ready("actor") == 3)
    victim = name_of(pods("actor")[1])
    kubectl("-n", NAMESPACE, "delete", "pod", victim, "--wait=false", stdout=subprocess.DEVNULL)
    tell(run_dir, f"deleted the pod {victim}")
    kubectl("-n", NAMESPACE, "delete", "pod", f"{RUN}-coordinator-0", "--wait=false", stdout=subprocess.DEVNULL)
    tell(run_dir, "deleted the coordinator's pod")
    wait("the coordinator is back", lambda: ready("coordinator") == 1)
    wait("three actors run", lambda: ready("actor") == 3)
    check_restricted()

    wait("round 2 samples", lambda: in_phase(run_dir, "round 2: sample", done=8))
    kubectl("-n", NAMESPACE, "scale", "deployment", f"{RUN}-actor", "--replicas=1", stdout=subprocess.DEVNULL)
    tell(run_dir, "actors: 3 -> 1")
    wait("round 2 trains", lambda: in_phase(run_dir, "round 2: train", done=8))
    first = name_of(pods("learner", "jobset.sigs.k8s.io/job-global-index=0")[0])
    kubectl("-n", NAMESPACE, "delete", "pod", first, "--wait=false", stdout=subprocess.DEVNULL)
    tell(run_dir, f"deleted the pod of rank 0, {first}")
    wait("all ranks are back, as the third attempt", lambda: ready("learner", f"{ATTEMPT}=2") == 2)

    status = wait_for_end()
    expect("Completed" in ended() and status["restarts"] == 2 and status["restartsCountTowardsMax"] == 1,
           "the JobSet completed after 2 restarts; the killed rank's counts, that of the deleted pod does not")
    compare(run_dir, local)
