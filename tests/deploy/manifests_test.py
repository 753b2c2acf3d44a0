"""What every manifest of deploy/kubernetes must be like, one check for each property.

manifests_test.py            checks deploy/kubernetes/{lasting,base}, and that they are what
                             `reckon launch --kubernetes deploy/kubernetes/run.textproto` writes
manifests_test.py --update   writes them so
manifests_test.py --all OUT  also renders the overlays with kubectl, and writes into OUT what
                             kubernetes-validate and checkov can read: ./dev check manifests
Environment: RECKON_BIN, the folder of the programs; KUBECTL for --all.
"""

import base64
import copy
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy" / "kubernetes"
PORTS = {"grpc": 7070, "weights": 7071, "health": 7080, "metrics": 7090}
TEMPORARY, CONFIGURATION = 75, 78  # common/base/exit_status.h


def render(folder, config=SHIPPED / "run.textproto", *settings):
    """The folder with lasting/ and base/ of a config."""
    command = [pathlib.Path(os.environ["RECKON_BIN"]) / "reckon", "launch", config, "--kubernetes"]
    for setting in [f"output_dir={folder}", *settings]:
        command += ["--set", setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*/kubernetes"))


def objects_of(*folders):
    """All objects of the files that the kustomizations name."""
    found = []
    for folder in folders:
        for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
            found += [item for item in yaml.safe_load_all((folder / name).read_text()) if item]
    return found


def pod_templates(objects):
    """(where, template, role) of everything that makes pods."""
    for item in objects:
        role = item["metadata"].get("labels", {}).get("app.kubernetes.io/component")
        where = f"{item['kind']} {item['metadata']['name']}"
        if item["kind"] in ("StatefulSet", "Deployment"):
            yield where, item["spec"]["template"], role
        if item["kind"] == "JobSet":
            for job in item["spec"]["replicatedJobs"]:
                yield f"{where} {job['name']}", job["template"]["spec"]["template"], role


class Checks:
    """Assertions over the objects of one run. `holds` counts them and collects what fails."""

    def __init__(self, name, objects):
        self.name, self.objects, self.count, self.failures = name, objects, 0, []

    def holds(self, condition, text):
        self.count += 1
        if not condition:
            self.failures.append(f"{self.name}: {text}")

    def of_kind(self, kind):
        return [item for item in self.objects if item["kind"] == kind]

    def run(self):
        for where, template, role in pod_templates(self.objects):
            self.pod(where, template, role)
            for container in template["spec"]["containers"]:
                self.container(where, template["spec"], container)
        self.workloads()
        self.learner(self.of_kind("JobSet")[0])
        self.network()

    def pod(self, where, template, role):
        spec, security = template["spec"], template["spec"]["securityContext"]
        self.holds(security["runAsNonRoot"] is True and security["runAsUser"] >= 10000 and
                   security["fsGroup"] >= 10000, f"{where} runs as a user above 10000")
        self.holds(security["seccompProfile"] == {"type": "RuntimeDefault"}, f"{where} has the seccomp profile")
        self.holds(spec["serviceAccountName"] == f"reckon-{role}", f"{where} has the account of its role")
        self.holds(spec["automountServiceAccountToken"] is False, f"{where} has no token of the API")
        self.holds(spec["enableServiceLinks"] is False, f"{where} has no addresses of services in its environment")
        self.holds(not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), f"{where} shares no "
                   "namespace with the node")
        self.holds(spec["terminationGracePeriodSeconds"] >= 60, f"{where} has time to save its state")
        config = self.of_kind("ConfigMap")[0]["data"]["config.textproto"]
        self.holds(template["metadata"]["annotations"]["reckon/config-sha256"] ==
                   hashlib.sha256(config.encode()).hexdigest(), f"{where} has the digest of its config")
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        self.holds(kinds <= {"secret", "configMap", "emptyDir", "persistentVolumeClaim"}, f"{where} has no folder of the node")
        self.holds(all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume),
                   f"{where} bounds its temporary folders")
        secrets = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
        self.holds(len(secrets) == 1 and secrets[0]["defaultMode"] == 0o400 and
                   secrets[0]["secretName"].endswith(f"-{role}"), f"{where} reads the secret of its role alone")

    def container(self, where, spec, container):
        security, resources = container["securityContext"], container["resources"]
        self.holds(security["allowPrivilegeEscalation"] is False and not security.get("privileged"),
                   f"{where} gains no privileges")
        self.holds(security["capabilities"] == {"drop": ["ALL"]}, f"{where} has no capabilities")
        self.holds(security["readOnlyRootFilesystem"] is True, f"{where} cannot write its image")
        self.holds(not re.search(r":latest$|^[^:]*$", container["image"]), f"{where} names the version of its image")
        self.holds(resources["requests"]["memory"] == resources["limits"]["memory"], f"{where} gets the memory it may use")
        self.holds({"cpu", "memory", "ephemeral-storage"} <= resources["limits"].keys(), f"{where} is limited")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            grpc = container[probe].get("grpc", {})
            self.holds(grpc.get("port") == PORTS["health"] and grpc.get("service") == probe.removesuffix("Probe"),
                       f"{where} has a {probe} on gRPC health")
        startup = container["startupProbe"]
        self.holds(startup["periodSeconds"] * startup["failureThreshold"] >= 600, f"{where} may load for ten minutes")
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.holds(ports == {name: PORTS[name] for name in ports}, f"{where} names its ports")
        arguments = container["args"]
        self.holds("--certificates=/etc/reckon/certificates" in arguments, f"{where} uses its certificates")
        self.holds("command" not in container and not any("sh" == word for word in arguments), f"{where} needs no shell")
        writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        kinds = {volume["name"]: volume for volume in spec["volumes"]}
        self.holds(all(name == "store" or {"emptyDir", "persistentVolumeClaim"} & kinds[name].keys()
                       for name in writable), f"{where} writes to its volumes alone")
        references = [entry for entry in container.get("env", []) if "secretKeyRef" in entry.get("valueFrom", {})]
        self.holds(not references and "envFrom" not in container, f"{where} has no secret in its environment")

    def workloads(self):
        coordinator = self.of_kind("StatefulSet")[0]
        self.holds(coordinator["spec"]["replicas"] == 1, "there is one coordinator")
        self.holds(coordinator["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain",
                   "the coordinator's store outlives it")
        self.holds(any(claim["metadata"]["name"] == "store" for claim in coordinator["spec"]["volumeClaimTemplates"]),
                   "the coordinator's store is on a volume")
        budgets = self.of_kind("PodDisruptionBudget")
        self.holds([budget["spec"].get("maxUnavailable") for budget in budgets] == ["25%"] and
                   budgets[0]["metadata"]["labels"]["app.kubernetes.io/component"] == "actor",
                   "actors alone have a disruption budget: one for the single coordinator would block every drain")
        services = self.of_kind("Service")
        self.holds(any({port["port"] for port in service["spec"]["ports"]} >= {PORTS["grpc"]} for service in services),
                   "the coordinator has a service")
        selectors = [item["spec"]["selector"] for item in services]
        labels = [template["metadata"]["labels"] for _, template, _ in pod_templates(self.objects)]
        self.holds(all(any(selector.items() <= label.items() for label in labels) for selector in selectors),
                   "every service has pods")

    def learner(self, jobset):
        spec = jobset["spec"]
        self.holds(jobset["apiVersion"] == "jobset.x-k8s.io/v1alpha2", "the learner is a JobSet")
        self.holds(spec["network"]["enableDNSHostnames"] is True, "ranks have names")
        policy = spec["failurePolicy"]
        self.holds(policy["maxRestarts"] > 0 and policy["restartStrategy"] == "BlockingRecreate",
                   "the group restarts, when all of its old pods are gone")
        rules = {rule["action"]: " ".join(rule.get("onJobFailureMessagePatterns", [])) for rule in policy["rules"]}
        self.holds([rule["action"] for rule in policy["rules"]] ==
                   ["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"] and
                   policy["rules"][1]["onJobFailureReasons"] == ["BackoffLimitExceeded"],
                   "a rank that failed by itself counts, whatever the others end with")
        self.holds(f"exit code {CONFIGURATION} " in rules["FailJobSet"], "an error of the config ends the run at once")
        self.holds(f"exit code {TEMPORARY} " in rules["RestartJobSetAndIgnoreMaxRestarts"] and
                   "DisruptionTarget" in rules["RestartJobSetAndIgnoreMaxRestarts"], "an eviction does not count")
        for job in spec["replicatedJobs"]:
            one = job["template"]["spec"]
            self.holds(one["completionMode"] == "Indexed", f"job {job['name']} is indexed")
            self.holds(one["backoffLimit"] == 0 and one["template"]["spec"]["restartPolicy"] == "Never",
                       f"no pod of job {job['name']} starts again by itself")
            codes = [code for rule in one["podFailurePolicy"]["rules"]
                     for code in rule.get("onExitCodes", {}).get("values", [])]
            self.holds({TEMPORARY, CONFIGURATION} <= set(codes), f"job {job['name']} tells exit codes apart")
            container = one["template"]["spec"]["containers"][0]
            resume = [entry["valueFrom"]["configMapKeyRef"] for entry in container["env"] if entry["name"] == "RESUME"]
            config = self.of_kind("ConfigMap")[0]
            self.holds([(reference["name"], reference["key"]) for reference in resume] ==
                       [(config["metadata"]["name"], "resume")] and config["data"]["resume"] == "false" and
                       {"--resume=$(RESUME)", "--launch=$(JOBSET_UID)"} <= set(container["args"]),
                       f"job {job['name']} resumes when it is asked to, or restarts")
            claims = [volume["name"] for volume in one["template"]["spec"]["volumes"]
                      if "persistentVolumeClaim" in volume and volume["name"] == "run"]
            self.holds(bool(claims) == (job["name"] == "first"), "rank 0 alone has the run's volume")
        self.holds(spec["replicatedJobs"][0]["replicas"] == 1, "there is one rank 0")

    def network(self):
        policies = self.of_kind("NetworkPolicy")
        deny = [p["spec"] for p in policies if not p["spec"]["podSelector"]]
        self.holds(deny and set(deny[0]["policyTypes"]) == {"Ingress", "Egress"} and
                   not deny[0].get("ingress") and not deny[0].get("egress"), "all traffic is denied by default")
        role = {p["metadata"]["labels"]["app.kubernetes.io/component"]: p["spec"] for p in policies
                if p["spec"]["podSelector"]}
        self.holds(role.keys() == {"coordinator", "actor", "learner"}, "each role has a policy")
        self.holds(not role["coordinator"].get("egress"), "the coordinator calls nobody")

        def peers(rules, key):
            return {(peer["podSelector"]["matchLabels"].get("app.kubernetes.io/component"), port.get("port"))
                    for rule in rules for peer in rule.get(key, []) if set(peer) == {"podSelector"}
                    for port in rule.get("ports", [{}])}

        self.holds(peers(role["coordinator"]["ingress"], "from") == {("actor", 7070), ("learner", 7070)},
                   "actors and learners call the coordinator")
        self.holds(peers(role["actor"]["ingress"], "from") == {("actor", 7071)},
                   "an actor is called by actors alone, for weights")
        self.holds(peers(role["actor"]["egress"], "to") == {("coordinator", 7070), ("learner", 7071), ("actor", 7071)},
                   "an actor calls the coordinator and the sources of weights")
        self.holds(peers(role["learner"]["egress"], "to") == {("coordinator", 7070), ("learner", None)},
                   "a learner calls the coordinator and the other ranks")
        self.holds(all(rule.get(key) for p in policies for rules, key in (("ingress", "from"), ("egress", "to"))
                       for rule in p["spec"].get(rules) or []), "every rule names its peers: without, it allows all")
        blocks = [peer["ipBlock"]["cidr"] for p in policies for rule in p["spec"].get("egress", [])
                  for peer in rule.get("to", []) if "ipBlock" in peer]
        self.holds(set(blocks) <= {"169.254.20.10/32"}, "nothing reaches the internet")
        self.holds(all({port["port"] for port in rule["ports"]} == {PORTS["metrics"]} for p in role.values()
                       for rule in p["ingress"] for peer in rule["from"] if "namespaceSelector" in peer),
                   "other namespaces reach metrics alone")
        namespaces = self.of_kind("Namespace")
        self.holds(namespaces and namespaces[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] ==
                   "restricted", "the namespace enforces the restricted level")
        accounts = {item["metadata"]["name"]: item for item in self.of_kind("ServiceAccount")}
        self.holds(accounts.keys() == {"reckon-coordinator", "reckon-actor", "reckon-learner"} and
                   all(item["automountServiceAccountToken"] is False for item in accounts.values()),
                   "each role has an account without a token")
        self.holds(not any("Role" in item["kind"] for item in self.objects), "no role may use the API")


def check(name, objects):
    checks = Checks(name, objects)
    checks.run()
    print(f"{name}: {checks.count} checks, {len(checks.failures)} failed")
    return checks.failures


def check_overlay(name, objects):
    """What each overlay is for."""
    checks = Checks(name, objects)
    deployment = checks.of_kind("Deployment")[0]
    jobset = checks.of_kind("JobSet")[0]
    containers = [(where, container) for where, template, _ in pod_templates(objects)
                  for container in template["spec"]["containers"]]
    if name == "one-node-cpu":
        checks.holds(all(c["resources"]["requests"]["cpu"] == "100m" for _, c in containers),
                     "every pod asks for a tenth of a core")
    if name == "multi-node-gpu":
        checks.holds(all(c["resources"]["limits"].get("nvidia.com/gpu") == 1 for where, c in containers
                         if "StatefulSet" not in where), "each actor and rank has a GPU")
        checks.holds(sum(job["replicas"] for job in jobset["spec"]["replicatedJobs"]) == 4, "there are four ranks")
        checks.holds(all("podAntiAffinity" in template["spec"]["affinity"] for where, template, _ in
                         pod_templates(objects) if "JobSet" in where), "each rank has a node of its own")
    if name == "kueue":
        checks.holds(jobset["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] and jobset["spec"]["suspend"] is True,
                     "the learner group waits in a queue")
    if name == "autoscaled-actors":
        scaler = checks.of_kind("HorizontalPodAutoscaler")[0]["spec"]
        checks.holds("replicas" not in deployment["spec"], "the autoscaler alone sets the number of actors")
        checks.holds(scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"], "it scales the actors")
        checks.holds(scaler["metrics"][0]["object"]["describedObject"]["name"] ==
                     checks.of_kind("Service")[0]["metadata"]["name"], "by a metric of the coordinator")
    print(f"overlay {name}: {checks.count} checks, {len(checks.failures)} failed")
    return checks.failures


def compare(rendered, update):
    failures = []
    for folder in ("lasting", "base"):
        for path in sorted((rendered / folder).iterdir()):
            if path.name == "secrets.yaml":
                continue  # of one run; the shipped base has none
            text = "".join(line for line in path.open() if line != "- secrets.yaml\n")
            shipped = SHIPPED / folder / path.name
            if update:
                shipped.parent.mkdir(exist_ok=True)
                shipped.write_text(text)
            elif not shipped.exists() or shipped.read_text() != text:
                failures.append(f"{shipped.relative_to(ROOT)} is not what `reckon launch --kubernetes "
                                "deploy/kubernetes/run.textproto` writes; run tests/deploy/manifests_test.py --update")
    return failures


def check_secrets(rendered):
    """Each role gets four files of its own; the key of one is not that of another."""
    path = rendered / "base" / "secrets.yaml"
    secrets = {item["metadata"]["name"]: item["data"] for item in yaml.safe_load_all(path.read_text())}
    failures = []
    if path.stat().st_mode & 0o077:
        failures.append("others may read secrets.yaml")
    keys = set()
    for name, data in secrets.items():
        if not {"ca.crt", "tls.crt", "tls.key", "token"} <= data.keys():
            failures.append(f"secret {name} has {sorted(data)}")
        keys.add(base64.b64decode(data.get("tls.key", "")))
    if len(keys) != len(secrets) or len(secrets) < 3:
        failures.append(f"the {len(secrets)} secrets have {len(keys)} keys")
    return failures


def expand(argument, variables):
    """An argument as the program gets it: https://kubernetes.io/docs/tasks/inject-data-application."""
    return re.sub(r"\$(\$|\((\w+)\))", lambda found: "$" if found[1] == "$" else
                  variables.get(found[2], found[0]), argument)


def check_reward_command(folder):
    """The command of a reward reaches the actors as the config has it."""
    command = 'bash -c \'IFS=": "; echo "$(POD_IP) $$ \\{run}" # \u00e9\''
    config = folder / "reward.textproto"
    config.write_text((SHIPPED / "run.textproto").read_text().replace(
        "eval {", f"eval {{ reward {{ kind: PROCESS command: {json.dumps(command, ensure_ascii=False)} }}", 1))
    objects = objects_of(render(folder / "reward", config) / "base")
    args = next(template["spec"]["containers"][0]["args"] for where, template, _ in pod_templates(objects)
                if "Deployment" in where)
    args = [expand(argument, {"POD_IP": "10.0.0.1", "POD_NAME": "pod"}) for argument in args]
    given = [argument.split("=", 1)[1] for argument in args if argument.startswith("--reward_commands=")]
    failures = [] if [json.loads(text) for text in given] == [[command]] else [f"actors run the rewards {given}"]
    if not {"--name=pod", "--announce=10.0.0.1"} <= set(args):
        failures.append(f"actors do not get their names and addresses: {args}")
    return failures


def kustomize(folder):
    output = subprocess.run([os.environ.get("KUBECTL", "kubectl"), "kustomize", folder], check=True,
                            capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(output))


def with_jobs(objects):
    """The objects with each JobSet replaced by its jobs: what tools without its schema can check."""
    for item in objects:
        if item["kind"] != "JobSet":
            yield item
            continue
        for job in item["spec"]["replicatedJobs"]:
            spec = copy.deepcopy(job["template"]["spec"])
            yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {
                **item["metadata"], "name": f"{item['metadata']['name']}-{job['name']}"}, "spec": spec}


def check_all(out):
    """Overlays too, each with the namespace; one file for each in `out`."""
    failures = []
    lasting = kustomize(SHIPPED / "lasting")
    for folder in [SHIPPED / "base", *sorted((SHIPPED / "overlays").iterdir())]:
        objects = lasting + kustomize(folder)
        failures += check(folder.name, objects) + check_overlay(folder.name, objects)
        (out / f"{folder.name}.yaml").write_text(yaml.safe_dump_all(with_jobs(objects), sort_keys=False))
    return failures


def main():
    failures = []
    if "--all" in sys.argv:
        failures += check_all(pathlib.Path(sys.argv[-1]))
    with tempfile.TemporaryDirectory(prefix="reckon_manifests_") as temporary:
        folder = pathlib.Path(temporary)
        rendered = render(folder / "shipped")
        failures += compare(rendered, "--update" in sys.argv)
        failures += check_secrets(rendered)
        failures += check("shipped", objects_of(SHIPPED / "lasting", SHIPPED / "base"))
        other = render(folder / "other", SHIPPED / "run.textproto", "name=other_run", "resources.learner_ranks=4",
                       "resources.learner_nodes=4", "resources.learner.gpus=1", "resources.learner.memory_gib=8",
                       "kubernetes.data_claim=models",
                       "kubernetes.queue=q", "kubernetes.storage_class=fast")
        failures += check_reward_command(folder)
        failures += check("other settings", objects_of(other / "lasting", other / "base"))
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
