"""Actors that have a version serve it to others: over links of a capped rate, each actor in a network namespace of
its own, the time until the last actor has a version grows with the depth of the tree, and the publisher sends two
copies, however many actors there are. An actor that is stopped in the middle is replaced by those above it. Then the
same with versions that are broadcast, of which the publisher sends one copy; an actor that is killed in the middle,
and one that hangs, hold up the others once. Needs root and iproute2; exits 77 without them.

weight_tree_test.py [N ..]: for these numbers of actors.
"""

import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from harness import BIN, expect

TOOL = BIN.parent / "tests" / "reckon-weight-tree"
PREFIX = f"rt{os.getpid()}"
MIB = 24
MBIT = 400  # of each host, in either direction: a version takes half a second
LIMIT = 120  # seconds for one version
AMID = 0.2  # seconds after which an actor is hit


def sh(command):
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)


class Network:
    """Hosts on one bridge, each behind a link of MBIT."""

    def __init__(self, hosts):
        self.hosts = hosts
        sh(f"ip netns add {PREFIX}hub")
        sh(f"ip -n {PREFIX}hub link add br0 type bridge")
        sh(f"ip -n {PREFIX}hub link set br0 up")
        for i, host in enumerate(hosts):
            name = PREFIX + host
            sh(f"ip netns add {name}")
            sh(f"ip -n {name} link add eth0 type veth peer name {host} netns {PREFIX}hub")
            sh(f"ip -n {PREFIX}hub link set {host} master br0")
            sh(f"ip -n {PREFIX}hub link set {host} up")
            sh(f"ip -n {name} addr add 10.78.0.{i + 1}/24 dev eth0")
            sh(f"ip -n {name} link set eth0 up")
            sh(f"ip -n {name} link set lo up")
            for namespace, device in ((name, "eth0"), (f"{PREFIX}hub", host)):
                sh(f"tc -n {namespace} qdisc add dev {device} root tbf rate {MBIT}mbit burst 256kb latency 200ms")

    def address(self, host):
        return f"10.78.0.{self.hosts.index(host) + 1}"

    def close(self):
        for host in ["hub", *self.hosts]:
            subprocess.run(["ip", "netns", "del", PREFIX + host], stderr=subprocess.DEVNULL)


class Member:
    """A process on a host, whose lines are told to a queue with their time."""

    def __init__(self, network, folder, host, lines, *command):
        self.host, self.lines = host, lines
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", PREFIX + host, *command], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=open(folder / f"{host}.log", "ab"))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), self.host, line.split()))

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Run:
    def __init__(self, folder, network, actors, broadcast):
        self.lines, self.members, self.folder = queue.Queue(), {}, folder
        certificates = folder / "certificates"
        subprocess.run([BIN / "reckon", "certs", "--run", "tree", "--out", certificates, "--forget-authority"],
                       check=True, stdout=subprocess.DEVNULL)
        coordinator = f"{network.address('publisher')}:7070"

        def start(host, key, role, program, *options):
            self.members[key] = Member(network, folder, host, self.lines, program,
                                       f"--certificates={certificates}/{role}", *options)

        start("publisher", "coordinator", "coordinator", BIN / "reckon-coordinator", "--run=tree",
              f"--store={folder}/store", "--listen=0.0.0.0:7070",
              f"--announce={network.address('publisher')}", f"--port_file={folder}/port")
        while not (folder / "port").exists():
            time.sleep(0.05)
        start("publisher", "publisher", "learner", TOOL, f"--coordinator={coordinator}", f"--mib={MIB}",
              "--listen=0.0.0.0:7071", f"--announce={network.address('publisher')}", f"--broadcast={broadcast}")
        for host in actors:
            start(host, host, "actor", TOOL, f"--coordinator={coordinator}", "--listen=0.0.0.0:7071",
                  f"--announce={network.address(host)}")

    def version(self, number, actors, hit=None, signal=19):
        """Publishes a version; returns the seconds until the last actor has it, and the bytes that the publisher has
        sent so far: fetched, broadcast. The actor `hit` gets the signal meanwhile; SIGSTOP: it hangs."""
        self.members["publisher"].tell("publish")
        begin, last, left = None, None, set(actors)
        deadline = time.monotonic() + LIMIT
        while left or begin is None:
            at, host, words = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            if words[:2] == ["publishes", str(number)]:
                begin = at
                if hit:
                    time.sleep(AMID)
                    self.members[hit].process.send_signal(signal)
            elif words[:2] == ["has", str(number)]:
                expect(words[2] == "OK", f"{host}: {words}")
                left.discard(host)
                last = at
        self.members["publisher"].tell("done")
        while True:
            at, host, words = self.lines.get(timeout=60)
            if words[0] == "sent":
                return last - begin, int(words[1]), int(words[2])

    def stop(self):
        for member in self.members.values():
            member.process.send_signal(18)  # SIGCONT
            member.stop()


def measure(folder, count, broadcast):
    """The median time of three versions, and the copies of one that the publisher sent: fetched, broadcast."""
    actors = [f"a{i}" for i in range(count)]
    network = Network(["publisher", *actors])
    folder.mkdir()
    run, how = None, "broadcast" if broadcast else "tree"
    try:
        run = Run(folder, network, actors, broadcast)
        run.version(0, actors)  # connections, certificates
        _, *before = run.version(1, actors)
        times = []
        for number in (2, 3, 4):
            seconds, *sent = run.version(number, actors)
            times.append(seconds)
        copies = [(now - then) / 3 / (MIB << 20) for now, then in zip(sent, before)]
        print(f"{count} actors, {how}: {sorted(times)[1]:.2f} s; copies from the publisher: {copies[0]:.2f} fetched, "
              f"{copies[1]:.2f} broadcast", flush=True)
        if count > 4:
            survive(run, actors, how)
        return sorted(times)[1], copies
    finally:
        if run is not None:
            run.stop()
        network.close()


def survive(run, actors, how):
    """One actor hangs, and another one is killed, in the middle of a version. In the tree those below the one that
    hangs wait ten seconds for it. A broadcast waits five, and is not waited for again."""
    left = [actor for actor in actors if actor != "a0"]
    seconds, *_ = run.version(5, left, hit="a0", signal=19)
    print(f"{len(actors)} actors, {how}, one of which hangs: {seconds:.2f} s", flush=True)
    expect(seconds < 60, f"{seconds} s")
    run.version(6, left)
    left.remove("a1")
    seconds, *_ = run.version(7, left, hit="a1", signal=9)
    print(f"{len(actors)} actors, {how}, one of which is killed: {seconds:.2f} s", flush=True)
    expect(seconds < 60, f"{seconds} s")
    run.version(8, left)
    before = run.version(9, left)
    after = run.version(10, left)
    print(f"{len(left)} actors are left, {how}: {after[0]:.2f} s", flush=True)
    if how == "broadcast":
        expect(after[2] > before[2], "no group was made of those that are left")


def main():
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        print("skipped: needs root, iproute2 and tc")
        sys.exit(77)
    counts = [int(n) for n in sys.argv[1:]] or [2, 16]
    with tempfile.TemporaryDirectory(prefix="reckon_tree_") as temporary:
        folder = pathlib.Path(temporary)
        for count in counts:
            for broadcast in (False, True):
                try:
                    _, copies = measure(folder / f"of_{count}_{broadcast}", count, broadcast)
                except subprocess.CalledProcessError as error:
                    print(f"skipped: this machine refuses network namespaces: {error}")
                    sys.exit(77)
                if broadcast:
                    expect(copies[1] > 0.9 and copies[0] < 0.1, f"{count} actors, broadcast: {copies}")
                else:
                    expect(copies[0] <= 3 and copies[1] == 0, f"{count} actors, tree: {copies}")
    print("passed")


if __name__ == "__main__":
    main()
