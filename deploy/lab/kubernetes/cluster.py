"""A Kubernetes of one node on this machine: etcd, API server, controllers, scheduler, containerd,
kubelet, kube-proxy, a small DNS (names.py) and the JobSet controller, as processes of root.

    pods  10.244.0.0/24   each behind a pair of virtual interfaces (plugin ptp), addresses by host-local
    services 10.96.0.0/16 rules of iptables that kube-proxy writes
    names 169.254.20.10   names.py, an address of the loopback interface

Everything lies in one folder; down() ends the processes that up() started, by their numbers, and removes
interfaces, rules and mounts. Plain tokens take the place of certificates between the parts: every port but
the kubelet's listens on loopback.
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import binaries

STATE = binaries.CACHE / "lab"
VOLUMES = STATE / "volumes"
API = "https://127.0.0.1:16443"
NODE = "lab"
DNS = "169.254.20.10"
SOCKET = STATE / "containerd.sock"
KUBECONFIG = STATE / "admin.kubeconfig"
# (user, groups) of each token. The kubelet is held to its node; the rest may do everything.
USERS = {"admin": "system:masters", "controller-manager": "system:masters", "scheduler": "system:masters",
         "proxy": "system:masters", "names": "system:masters", "jobset": "system:masters",
         f"system:node:{NODE}": "system:nodes"}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True, **options)


def quiet(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def kubectl(*arguments, **options):
    return run(binaries.BIN / "kubectl", "--kubeconfig", KUBECONFIG, *arguments, **options)


def kubectl_output(*arguments):
    return kubectl(*arguments, capture_output=True).stdout


def ctr(*arguments, **options):
    return run("ctr", "--address", SOCKET, "--namespace", "k8s.io", *arguments, **options)


def token(user):
    return f"lab-{user.replace(':', '-')}"


def kubeconfig(user):
    path = KUBECONFIG if user == "admin" else STATE / f"{user.replace(':', '-')}.kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": API, "insecure-skip-tls-verify": True}}],
        "users": [{"name": user, "user": {"token": token(user)}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}]}))
    path.chmod(0o600)
    return path


def start(name, *command, environment=None):
    """Starts a daemon; its output goes to NAME.log, its number to NAME.pid."""
    with open(STATE / f"{name}.log", "ab") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=STATE,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   env=os.environ | (environment or {}))
    (STATE / f"{name}.pid").write_text(f"{process.pid} {start_time(process.pid)}")


def start_time(pid):
    """When a process began, in clock ticks: a number alone may by now be another's. None: it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def running(name):
    try:
        pid, began = (STATE / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_time(pid) == began else None


def stop(name, seconds=15):
    pid = running(name)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while running(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        if running(name):
            os.kill(pid, signal.SIGKILL)
    (STATE / f"{name}.pid").unlink(missing_ok=True)


def wait(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        if condition():
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"lab kubernetes: {what}: not within {seconds} s; see the logs in {STATE}")
        time.sleep(0.5)


def write(name, text):
    path = STATE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def make_certificate(folder, subject="/CN=lab"):
    """For 127.0.0.1, its own authority; returns the certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    quiet("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject, "-addext",
          "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    return (folder / "tls.crt").read_bytes()


def start_control_plane():
    start("etcd", "etcd", "--data-dir", STATE / "etcd", "--listen-client-urls", "http://127.0.0.1:12379",
          "--advertise-client-urls", "http://127.0.0.1:12379", "--listen-peer-urls", "http://127.0.0.1:12380",
          "--initial-advertise-peer-urls", "http://127.0.0.1:12380", "--initial-cluster",
          "default=http://127.0.0.1:12380", "--unsafe-no-fsync")
    key = STATE / "service-accounts.key"
    quiet("openssl", "genrsa", "-out", key, "2048")
    tokens = write("tokens.csv", "".join(f'{token(user)},{user},{user},"{groups}"\n' for user, groups in USERS.items()))
    tokens.chmod(0o600)
    for user in USERS:
        kubeconfig(user)
    # What the API server shows the kubelet, for `kubectl logs`.
    client = STATE / "kubelet-client"
    make_certificate(client, "/O=system:masters/CN=apiserver")
    bin = binaries.BIN
    start("apiserver", bin / "kube-apiserver", "--etcd-servers=http://127.0.0.1:12379",
          "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
          f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.96.0.0/16",
          "--secure-port=16443", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
          f"--cert-dir={STATE / 'apiserver'}", f"--token-auth-file={tokens}", "--authorization-mode=Node,RBAC",
          f"--kubelet-client-certificate={client / 'tls.crt'}", f"--kubelet-client-key={client / 'tls.key'}",
          "--kubelet-preferred-address-types=InternalIP",
          "--endpoint-reconciler-type=none", "--enable-admission-plugins=NodeRestriction")
    wait("the API server is not ready", lambda: quiet(
        bin / "kubectl", "--kubeconfig", KUBECONFIG, "get", "--raw=/readyz").stdout == "ok")
    start("controller-manager", bin / "kube-controller-manager",
          f"--kubeconfig={STATE / 'controller-manager.kubeconfig'}", "--leader-elect=false", "--secure-port=0",
          f"--service-account-private-key-file={key}", "--use-service-account-credentials=true",
          # The lab kills and replaces pods; a minute of patience with a node is enough.
          "--node-monitor-grace-period=60s")
    start("scheduler", bin / "kube-scheduler", f"--kubeconfig={STATE / 'scheduler.kubeconfig'}",
          "--leader-elect=false", "--secure-port=0")


def start_node(pause_image):
    write("containerd.toml", f'''version = 2
root = "{STATE}/containerd"
state = "{STATE}/containerd-run"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{STATE}/cni"
''')
    write("cni/10-lab.conflist", json.dumps({
        "cniVersion": "0.4.0", "name": "lab", "plugins": [
            {"type": "ptp", "ipMasq": True,
             "ipam": {"type": "host-local", "dataDir": str(STATE / "cni-addresses"),
                      "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}))
    write("resolv.conf", "nameserver 192.0.2.1\n")  # names.py answers for the cluster alone
    write("kubelet.yaml", f'''apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix://{SOCKET}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {STATE}/kubelet-client/tls.crt}}
authorization: {{mode: Webhook}}
clusterDNS: [{DNS}]
clusterDomain: cluster.local
resolvConf: {STATE}/resolv.conf
podLogsDir: {STATE}/pod-logs
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
''')
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    quiet("ip", "address", "add", f"{DNS}/32", "dev", "lo")
    start("containerd", "containerd", "--config", STATE / "containerd.toml")
    wait("containerd does not answer", lambda: quiet("ctr", "--address", SOCKET, "version").returncode == 0)
    start("kubelet", binaries.BIN / "kubelet", f"--config={STATE / 'kubelet.yaml'}",
          f"--kubeconfig={STATE / f'system-node-{NODE}.kubeconfig'}", f"--hostname-override={NODE}",
          f"--root-dir={STATE / 'kubelet'}", f"--cert-dir={STATE / 'kubelet-certificates'}",
          f"--node-ip={node_address()}")
    start("proxy", binaries.BIN / "kube-proxy", f"--kubeconfig={STATE / 'proxy.kubeconfig'}",
          "--proxy-mode=iptables", f"--hostname-override={NODE}", "--cluster-cidr=10.244.0.0/24",
          "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
          "--conntrack-tcp-timeout-close-wait=0", "--healthz-bind-address=127.0.0.1:10256",
          "--metrics-bind-address=127.0.0.1:10249")
    start("names", sys.executable, Path(__file__).with_name("names.py"), DNS, API, token("names"))


def node_address():
    route = quiet("ip", "-4", "route", "get", "192.0.2.1").stdout
    found = re.search(r"src (\S+)", route)
    return found.group(1) if found else "127.0.0.1"


def start_jobset():
    source = binaries.jobset_source()
    kubectl("apply", "--server-side", "-f", source / "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml",
            stdout=subprocess.DEVNULL)
    wait("the API server serves no JobSets", lambda: quiet(
        binaries.BIN / "kubectl", "--kubeconfig", KUBECONFIG, "get", "jobsets").returncode == 0)
    certificate = make_certificate(STATE / "jobset-certificate")
    write("jobset.yaml", json.dumps({
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1", "kind": "Configuration",
        "internalCertManagement": {"enable": False}, "leaderElection": {"leaderElect": False},
        "metrics": {"bindAddress": "0", "certDir": str(STATE / "jobset-certificate")},
        "webhook": {"port": 19443, "host": "127.0.0.1", "certDir": str(STATE / "jobset-certificate")},
        "health": {"healthProbeBindAddress": "127.0.0.1:18081"}}))
    start("jobset", binaries.BIN / "jobset", "--config", STATE / "jobset.yaml",
          environment={"KUBECONFIG": str(STATE / "jobset.kubeconfig")})
    wait("the JobSet controller is not ready", lambda: answers("http://127.0.0.1:18081/readyz"))

    def webhook(name, path, group, version, resource, operations):
        return {"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
                "clientConfig": {"url": f"https://127.0.0.1:19443{path}",
                                 "caBundle": base64.b64encode(certificate).decode()},
                "rules": [{"apiGroups": [group], "apiVersions": [version], "resources": [resource],
                           "operations": operations}]} | (
            {"objectSelector": {"matchExpressions": [
                {"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}]}} if resource == "pods" else {})

    group = ("jobset.x-k8s.io", "v1alpha2", "jobsets")
    for kind, hooks in [
        ("MutatingWebhookConfiguration",
         [webhook("mjobset.kb.io", "/mutate-jobset-x-k8s-io-v1alpha2-jobset", *group, ["CREATE"]),
          webhook("mpod.kb.io", "/mutate--v1-pod", "", "v1", "pods", ["CREATE"])]),
        ("ValidatingWebhookConfiguration",
         [webhook("vjobset.kb.io", "/validate-jobset-x-k8s-io-v1alpha2-jobset", *group, ["CREATE", "UPDATE"]),
          webhook("vpod.kb.io", "/validate--v1-pod", "", "v1", "pods", ["CREATE"])])]:
        kubectl("apply", "-f", "-", stdout=subprocess.DEVNULL, input=json.dumps({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "jobset"}, "webhooks": hooks}))


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def node_ready():
    return "True" in quiet(binaries.BIN / "kubectl", "--kubeconfig", KUBECONFIG, "get", "node", NODE, "-o",
                           'jsonpath={.status.conditions[?(@.type=="Ready")].status}').stdout


def make_volume(name, gib=4):
    """A volume of the storage class "lab": a folder of this machine."""
    folder = VOLUMES / name
    folder.mkdir(parents=True, exist_ok=True)
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": f"{gib}Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "storageClassName": "lab",
        "persistentVolumeReclaimPolicy": "Retain", "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}]}}}}


def up(pause_image, pause_archive):
    if os.getuid() != 0:
        raise SystemExit("lab kubernetes: needs root")
    if running("jobset"):
        print("the cluster is up", flush=True)
        return
    down()  # what an earlier start left that did not come this far
    STATE.mkdir(parents=True, exist_ok=True)
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    write("ip_forward", before)
    start_control_plane()
    start_node(pause_image)
    ctr("images", "import", pause_archive, stdout=subprocess.DEVNULL)
    wait("the node is not ready", node_ready)
    kubectl("apply", "-f", "-", stdout=subprocess.DEVNULL, input=json.dumps({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "lab"},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}))
    start_jobset()
    print(f"the cluster is up; kubectl is {binaries.BIN / 'kubectl'} --kubeconfig {KUBECONFIG}", flush=True)


def down():
    for name in ["jobset", "names", "scheduler", "controller-manager", "kubelet"]:
        stop(name)
    if running("containerd"):
        for _ in range(3):
            for task in quiet("ctr", "--address", SOCKET, "-n", "k8s.io", "tasks", "list", "-q").stdout.split():
                quiet("ctr", "--address", SOCKET, "-n", "k8s.io", "tasks", "rm", "--force", task)
            for container in quiet("ctr", "--address", SOCKET, "-n", "k8s.io", "containers", "list", "-q").stdout.split():
                quiet("ctr", "--address", SOCKET, "-n", "k8s.io", "containers", "rm", container)
    for name in ["containerd", "proxy", "apiserver", "etcd"]:
        stop(name)
    for family in ["iptables", "ip6tables"]:
        remove_rules(family)
    quiet("ip", "address", "delete", f"{DNS}/32", "dev", "lo")
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(str(STATE))), reverse=True):
        quiet("umount", "--lazy", mount)
    if (STATE / "ip_forward").exists():
        Path("/proc/sys/net/ipv4/ip_forward").write_text((STATE / "ip_forward").read_text())
    for namespace in Path("/var/run/netns").glob("cni-*"):
        quiet("ip", "netns", "delete", namespace.name)
    for group in Path("/sys/fs/cgroup").glob("*/k8s.io"):
        for folder in sorted(filter(Path.is_dir, group.rglob("*")), reverse=True) + [group]:
            quiet("rmdir", folder)
    shutil.rmtree(STATE, ignore_errors=True)


def remove_rules(family):
    """Takes the chains of kubelet, kube-proxy and the network plugin out of the rules, and what names them."""
    lines = quiet(f"{family}-save").stdout.splitlines()
    chains = {chain for line in lines if 'name: \\"lab\\"' in line for chain in re.findall(r" (CNI-\w+)", line)}
    chains |= {chain for line in lines for chain in re.findall(r"\bKUBE-[\w-]+", line)}
    kept = [line for line in lines if not chains & set(re.findall(r"[\w-]+", line))]
    if kept != lines:
        run(f"{family}-restore", input="\n".join(kept) + "\n")
