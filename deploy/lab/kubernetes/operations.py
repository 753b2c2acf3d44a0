"""The steps that docs/operations.md names for Kubernetes, each on a run of the lab's cluster.

    1  SFT: stop, resume
    2  round 1: the node is drained and taken back
    3  round 1: an upgrade, to images of another tag
    4  round 2: stop, a copy of both volumes, resume, stop, the copy in their place, resume
    5  the JobSet completes with the weights of the undisturbed local run, bit for bit
    6  the same run, a round longer and with one rank instead of two, completes

The local run is that of `./dev lab kubernetes test`.
"""

import json
import shutil
import subprocess

import binaries
import cluster
import trial
from cluster import ctr, kubectl, kubectl_output
from trial import NAMESPACE, RUN, expect, in_phase, say, tell, wait

TRIAL = binaries.CACHE / "trial"
FOLDER = binaries.CACHE / "operations"
NEXT = "lab-next"  # the tag of the upgrade's images


class Run:
    """The run on the cluster, and a user's steps with it."""

    def __init__(self, programs):
        self.programs = programs
        self.manifests = trial.begin(programs, FOLDER)
        self.folder = trial.wait_for_volume()

    def wait_for_ranks(self, count=2):
        wait(f"{count} ranks are ready", lambda: trial.ready("learner") == count)

    def stop(self):
        tell(self.folder, "stop")
        kubectl("delete", "-k", self.manifests / "overlay", "--wait=true", stdout=subprocess.DEVNULL)
        wait("no pod is left", lambda: not json.loads(
            kubectl_output("-n", NAMESPACE, "get", "pods", "-o", "json"))["items"])
        expect(any((self.folder / "checkpoints").iterdir()), "there is a checkpoint")

    def resume(self, *options):
        trial.launch(self.programs, FOLDER / "launch", "--apply", "--resume", *options)
        say(" ".join(["resume", *options]))

    def drain(self):
        tell(self.folder, "drain the node")
        kubectl("drain", cluster.NODE, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=300s",
                stdout=subprocess.DEVNULL)
        say("the node is drained")
        kubectl("uncordon", cluster.NODE, stdout=subprocess.DEVNULL)

    def upgrade(self):
        for role in ["actor", "coordinator", "learner"]:
            ctr("images", "tag", "--force", f"docker.io/library/reckon-{role}:lab",
                f"docker.io/library/reckon-{role}:{NEXT}", stdout=subprocess.DEVNULL)
        tell(self.folder, "upgrade")
        self.resume("--set", f"kubernetes.image_tag={NEXT}")
        wait("every pod has the new image", lambda: self.images() == {NEXT})

    def images(self):
        return {container["image"].rsplit(":", 1)[1] for role in ["actor", "coordinator", "learner"]
                for pod in trial.pods(role) for container in pod["spec"]["containers"]}

    def restore(self, *options):
        self.stop()
        copy = FOLDER / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", cluster.VOLUMES, copy], check=True)
        before = trial.progress(self.folder)["done"]
        self.resume(*options)
        wait("the run continues", lambda: in_phase(self.folder, "round 2: train", done=before + 8))
        self.stop()
        # The volumes are bound to their folders, so what changes is inside of these.
        for volume in copy.iterdir():
            for path in (cluster.VOLUMES / volume.name).iterdir():
                shutil.rmtree(path)
            subprocess.run(["cp", "-a", f"{volume}/.", cluster.VOLUMES / volume.name], check=True)
        tell(self.folder, "restored both volumes")
        self.resume(*options)


def operate(run, local):
    upgraded = ["--set", f"kubernetes.image_tag={NEXT}"]
    wait("SFT trains", lambda: in_phase(run.folder, "sft_1: train", done=8))
    run.stop()
    run.resume()
    wait("round 1 samples", lambda: in_phase(run.folder, "round 1: sample", done=8))
    run.drain()
    run.wait_for_ranks()
    wait("round 1 trains", lambda: in_phase(run.folder, "round 1: train", done=8))
    status = trial.jobset()["status"]
    expect(status["restarts"] >= 1 and status.get("restartsCountTowardsMax", 0) == 0,
           "the drained ranks restarted, which does not count")
    run.upgrade()
    run.wait_for_ranks()
    wait("round 2 trains", lambda: in_phase(run.folder, "round 2: train", done=8))
    run.restore(*upgraded)
    trial.wait_for_end()
    expect("Completed" in trial.ended(), "the JobSet completed")
    trial.compare(run.folder, local)

    run.resume(*upgraded, "--set", "stage[2].ei.rounds=3", "--set", "resources.learner_ranks=1")
    trial.wait_for_end()
    expect("Completed" in trial.ended() and "ei_1_round_3" in trial.weights(run.folder),
           "one rank trained one more round")


def test(programs):
    local = TRIAL / RUN
    if not trial.progress(local).get("finished"):
        raise SystemExit("lab kubernetes: run `./dev lab kubernetes test` first: its local run is what to compare with")
    trial.clear(FOLDER)
    run = Run(programs)
    try:
        operate(run, local)
    finally:
        trial.show_logs(FOLDER)
    kubectl("delete", "-k", run.manifests / "overlay", "--wait=true", stdout=subprocess.DEVNULL)
    say("passed")
