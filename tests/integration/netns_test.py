"""Every role in a network namespace of its own, so that they share nothing but the network: one run over
IPv4 and one over IPv6. Only coordinator and leader see the files of the run. The roles find each other by
names alone, listen on all addresses, and the coordinator moves to another address during the run. All have
certificates: in plain text no role starts, and no log may tell a secret. Needs root and iproute2; exits 77 without them.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from harness import BIN, Train, expect, fail, final_weights, tiny_model, write_config

LIMIT = 900  # seconds, of what takes ten on an idle machine
PREFIX = f"rk{os.getpid()}"
HOSTS = ["coordinator", "moved", "rank0", "rank1", "actor0", "actor1"]


def sh(command):
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)


def namespace(host):
    return f"{PREFIX}{host}"


def address(host, family):
    number = 10 + HOSTS.index(host)
    return f"10.77.0.{number}" if family == 4 else f"fd77::{number}"


def hosts_file(host):
    return pathlib.Path("/etc/netns") / namespace(host) / "hosts"


def write_hosts(family, coordinator):
    """What each name means; in place, since the file is mounted over /etc/hosts."""
    lines = [f"{address(host, family)} {host}.test" for host in HOSTS if "rank" in host]
    lines.append(f"{address(coordinator, family)} coordinator.test")
    lines.append("127.0.0.1 localhost")
    for host in HOSTS:
        hosts_file(host).parent.mkdir(parents=True, exist_ok=True)
        with open(hosts_file(host), "w") as file:
            file.write("\n".join(lines) + "\n")


def make_network():
    hub = namespace("hub")
    sh(f"ip netns add {hub}")
    sh(f"ip -n {hub} link add br0 type bridge")
    sh(f"ip -n {hub} link set br0 up")
    for host in HOSTS:
        sh(f"ip netns add {namespace(host)}")
        sh(f"ip -n {namespace(host)} link add eth0 type veth peer name {host} netns {hub}")
        sh(f"ip -n {hub} link set {host} master br0")
        sh(f"ip -n {hub} link set {host} up")
        sh(f"ip -n {namespace(host)} addr add {address(host, 4)}/24 dev eth0")
        sh(f"ip -n {namespace(host)} addr add {address(host, 6)}/64 dev eth0 nodad")
        sh(f"ip -n {namespace(host)} link set eth0 up")
        sh(f"ip -n {namespace(host)} link set lo up")


def drop_network():
    for host in ["hub", *HOSTS]:
        subprocess.run(["ip", "netns", "del", namespace(host)], stderr=subprocess.DEVNULL)
        shutil.rmtree(pathlib.Path("/etc/netns") / namespace(host), ignore_errors=True)


class Run:
    """The processes of one run."""

    def __init__(self, folder, name, family, model, size):
        self.folder, self.family, self.model = folder / name, family, model
        self.folder.mkdir()
        self.config = write_config(self.folder, name, model, ranks=2, actors=2, **size)
        self.run_dir = self.folder / "runs" / name
        self.run_dir.mkdir(parents=True)
        self.everywhere = "0.0.0.0" if family == 4 else "[::]"
        self.processes = {}
        self.certificates = self.folder / "certificates"
        subprocess.run([BIN / "reckon", "certs", "--run", name, "--out", self.certificates,
                        "--forget-authority"], check=True, stdout=subprocess.DEVNULL)

    def start(self, host, program, *options):
        log = open(self.folder / f"{host}.log", "ab")
        command = [BIN / program, *options]
        if host in ("rank1", "actor0", "actor1"):
            # `ip netns exec` gives the process a mount namespace of its own.
            hide = "".join(f"mount -t tmpfs none '{path}' && " for path in (self.run_dir, self.model))
            command = ["sh", "-c", hide + 'exec "$@"', "sh", *command]
        self.processes[host] = subprocess.Popen(
            ["ip", "netns", "exec", namespace(host), *command], stdout=log, stderr=log)

    def start_coordinator(self, host):
        self.start(host, "reckon-coordinator", "--run", self.config.stem, "--store",
                   self.run_dir / "store", "--listen", f"{self.everywhere}:7070",
                   "--announce", "coordinator.test", "--port_file", self.folder / "announced",
                   "--certificates", self.certificates / "coordinator")

    def start_others(self):
        coordinator = ["--coordinator", "coordinator.test:7070"]
        for rank in (0, 1):
            self.start(f"rank{rank}", "reckon-learner", *coordinator, "--config", self.config,
                       "--run_dir", self.run_dir, "--rank", str(rank), "--world_size", "2",
                       "--nonce", "n1", "--listen", f"{self.everywhere}:7071",
                       "--announce", f"rank{rank}.test",
                       "--certificates", self.certificates / "learner")
        for actor in (0, 1):
            self.start(f"actor{actor}", "reckon-actor", *coordinator, "--name", f"actor{actor}",
                       "--certificates", self.certificates / "actor")

    def refuse_plain_text(self):
        """Other addresses than loopback need certificates, to listen and to connect."""
        for host, program, *options in (
                ("coordinator", "reckon-coordinator", "--run", "x", "--store", self.folder / "x",
                 "--listen", f"{self.everywhere}:7072"),
                ("actor0", "reckon-actor", "--coordinator", "coordinator.test:7070", "--name", "x")):
            self.start(host, program, *options)
            expect(self.processes.pop(host).wait(LIMIT) == 78, f"{program} did not refuse plain text")
            last = (self.folder / f"{host}.log").read_text().splitlines()[-1]
            expect("plain text is for loopback only" in last, f"{program} said: {last}")

    def check_secrets(self):
        secrets = ["PRIVATE KEY", (self.certificates / "actor" / "token").read_text().strip()]
        for log in [*self.folder.glob("*.log"), *self.run_dir.rglob("*.json*")]:
            text = log.read_text(errors="replace")
            expect(not any(secret in text for secret in secrets), f"{log} tells a secret")

    def wait(self, what, ready, timeout=LIMIT):
        deadline = time.time() + timeout
        while not ready():
            ended = [host for host in ("rank0", "rank1") if self.processes[host].poll()]
            if ended or time.time() > deadline:
                raise TimeoutError(f"IPv{self.family}: {what}: not within {timeout} s; failed: {ended}")
            time.sleep(0.05)

    def phase(self):
        try:
            return json.loads((self.run_dir / "progress.json").read_text()).get("phase", "")
        except (OSError, ValueError):
            return ""

    def stop(self, host):
        process = self.processes.pop(host)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def one_run(folder, family, model, size, expected):
    write_hosts(family, "coordinator")
    run = Run(folder, f"ipv{family}", family, model, size)
    try:
        run.refuse_plain_text()
        run.start_coordinator("coordinator")
        run.start_others()
        run.wait("sampling", lambda: "round 1" in run.phase())
        announced = (run.folder / "announced").read_text().strip()
        expect(announced == "coordinator.test:7070", f"the coordinator announced {announced}")
        run.stop("coordinator")
        write_hosts(family, "moved")
        run.start_coordinator("moved")
        run.wait("the end", lambda: all(run.processes[f"rank{r}"].poll() == 0 for r in (0, 1)))
        expect(final_weights(run.run_dir) == expected, f"IPv{family}: other weights than on loopback")
        run.check_secrets()
    except (SystemExit, TimeoutError) as error:
        for log in sorted(run.folder.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-20:],
                  sep="\n", file=sys.stderr)
        fail(str(error))
    finally:
        for host in list(run.processes):
            run.stop(host)


def main():
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("skipped: needs root and iproute2 for network namespaces")
        sys.exit(77)
    try:
        make_network()
    except subprocess.CalledProcessError as error:
        drop_network()
        print(f"skipped: this machine refuses network namespaces: {error}")
        sys.exit(77)
    try:
        with tempfile.TemporaryDirectory(prefix="reckon_netns_") as temporary:
            folder = pathlib.Path(temporary)
            model = tiny_model(folder / "model")
            size = {"problems": 32, "new_tokens": 32}
            whole = Train(write_config(folder, "whole", model, ranks=2, **size)).finish()
            for family in (4, 6):
                one_run(folder, family, model, size, final_weights(whole.run_dir))
        print("passed")
    finally:
        drop_network()


if __name__ == "__main__":
    main()
