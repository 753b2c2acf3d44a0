"""Actors that have a version serve it to others: over links of a capped rate, each actor in a network namespace of
its own, the time until the last actor has a version grows with the depth of the tree, and the publisher sends two
copies, however many actors there are. An actor that is stopped in the middle is replaced by those above it. Needs
root and iproute2; exits 77 without them.

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
LIMIT = 300  # seconds for one version


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
    def __init__(self, folder, network, actors):
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
              "--listen=0.0.0.0:7071", f"--announce={network.address('publisher')}")
        for host in actors:
            start(host, host, "actor", TOOL, f"--coordinator={coordinator}", "--listen=0.0.0.0:7071",
                  f"--announce={network.address(host)}")

    def version(self, number, actors, stopped=None):
        """Publishes a version; returns the seconds until the last actor has it, and the bytes that were sent."""
        self.members["publisher"].tell("publish")
        begin, last, left = None, None, set(actors)
        deadline = time.monotonic() + LIMIT
        while left or begin is None:
            at, host, words = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            if words[:2] == ["publishes", str(number)]:
                begin = at
                if stopped:
                    self.members[stopped].process.send_signal(19)  # SIGSTOP: it hangs
            elif words[:2] == ["has", str(number)]:
                expect(words[2] == "OK", f"{host}: {words}")
                left.discard(host)
                last = at
        self.members["publisher"].tell("done")
        while True:
            at, host, words = self.lines.get(timeout=60)
            if words[0] == "sent":
                return last - begin, int(words[1])

    def stop(self):
        for member in self.members.values():
            member.process.send_signal(18)  # SIGCONT
            member.stop()


def measure(folder, count):
    actors = [f"a{i}" for i in range(count)]
    network = Network(["publisher", *actors])
    folder.mkdir()
    run = None
    try:
        run = Run(folder, network, actors)
        run.version(0, actors)  # connections, certificates
        before, times = run.version(1, actors)[1], []
        for number in (2, 3, 4):
            seconds, sent = run.version(number, actors)
            times.append(seconds)
        copies = (sent - before) / 3 / (MIB << 20)
        print(f"{count} actors: {sorted(times)[1]:.2f} s, {copies:.2f} copies from the publisher", flush=True)
        if count > 4:
            # One that hangs: those below it wait ten seconds, and continue with what they have.
            seconds, _ = run.version(5, [a for a in actors if a != "a0"], stopped="a0")
            print(f"{count} actors, one of which hangs: {seconds:.2f} s", flush=True)
        return sorted(times)[1], copies
    finally:
        if run is not None:
            run.stop()
        network.close()


def main():
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        print("skipped: needs root, iproute2 and tc")
        sys.exit(77)
    counts = [int(n) for n in sys.argv[1:]] or [2, 16]
    with tempfile.TemporaryDirectory(prefix="reckon_tree_") as temporary:
        folder = pathlib.Path(temporary)
        results = {}
        for count in counts:
            try:
                results[count] = measure(folder / f"of_{count}", count)
            except subprocess.CalledProcessError as error:
                print(f"skipped: this machine refuses network namespaces: {error}")
                sys.exit(77)
        for count, (_, copies) in results.items():
            expect(copies <= 3, f"{count} actors: the publisher sent {copies} copies")
    print("passed")


if __name__ == "__main__":
    main()
