"""Two learner ranks, two actors and the coordinator, each in a network namespace of its own. Only the
leader sees the files of the run, the others share nothing but the network: the run must end well and
have trained. Needs root and iproute2;
exits 77 without them.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from harness import BIN, expect, fail, tiny_model, write_config

HUB = "10.77.0.1"
PREFIX = f"rk{os.getpid()}"
HOSTS = {"rank0": "10.77.0.10", "rank1": "10.77.0.11", "actor0": "10.77.0.20",
         "actor1": "10.77.0.21"}


def sh(command):
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)


def namespace(host):
    return f"{PREFIX}{host}"


def make_network():
    hub = namespace("hub")
    sh(f"ip netns add {hub}")
    sh(f"ip -n {hub} link add br0 type bridge")
    sh(f"ip -n {hub} addr add {HUB}/24 dev br0")
    sh(f"ip -n {hub} link set br0 up")
    sh(f"ip -n {hub} link set lo up")
    for host, address in HOSTS.items():
        sh(f"ip netns add {namespace(host)}")
        sh(f"ip -n {namespace(host)} link add eth0 type veth peer name {host} netns {hub}")
        sh(f"ip -n {hub} link set {host} master br0")
        sh(f"ip -n {hub} link set {host} up")
        sh(f"ip -n {namespace(host)} addr add {address}/24 dev eth0")
        sh(f"ip -n {namespace(host)} link set eth0 up")
        sh(f"ip -n {namespace(host)} link set lo up")


def drop_network():
    for host in ["hub", *HOSTS]:
        subprocess.run(["ip", "netns", "del", namespace(host)], stderr=subprocess.DEVNULL)


def start(folder, host, program, *options):
    log = open(folder / f"{host}.log", "wb")
    command = [BIN / program, *options]
    if host not in ("hub", "rank0"):
        # `ip netns exec` gives the process a mount namespace of its own.
        command = ["sh", "-c", f'mount -t tmpfs none "{folder}" && exec "$@"', "sh", *command]
    return subprocess.Popen(["ip", "netns", "exec", namespace(host), *command],
                            stdout=log, stderr=subprocess.STDOUT, cwd="/")


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
    processes = {}
    with tempfile.TemporaryDirectory(prefix="reckon_netns_") as temporary:
        folder = pathlib.Path(temporary)
        try:
            config = write_config(folder, "netns", tiny_model(folder / "model"), ranks=2, actors=2)
            run_dir = folder / "runs" / "netns"
            run_dir.mkdir(parents=True)
            address = f"{HUB}:4700"
            processes["hub"] = start(folder, "hub", "reckon-coordinator", "--run", "netns",
                                     "--store", run_dir / "store", "--listen", address,
                                     "--port_file", run_dir / "coordinator.addr")
            for rank in (0, 1):
                host = f"rank{rank}"
                # The other rank ignores the paths, which it does not have.
                processes[host] = start(
                    folder, host, "reckon-learner", "--coordinator", address, "--config", config,
                    "--run_dir", run_dir, "--rank", str(rank), "--world_size", "2", "--nonce", "n1",
                    "--interface_address", HOSTS[host], "--listen", f"{HOSTS[host]}:0")
            for actor in (0, 1):
                host = f"actor{actor}"
                processes[host] = start(folder, host, "reckon-actor", "--coordinator", address,
                                        "--name", host)
            deadline = time.time() + 150
            while any(processes[f"rank{r}"].poll() is None for r in (0, 1)):
                if time.time() > deadline:
                    raise TimeoutError("the ranks did not end within 150 s")
                time.sleep(0.2)
            for rank in (0, 1):
                expect(processes[f"rank{rank}"].returncode == 0, f"rank {rank} failed")
            actors = set()
            for log in ("actor0", "actor1"):
                if "rollouts" in (folder / f"{log}.log").read_text():
                    actors.add(log)
            metrics = [json.loads(line) for line in (run_dir / "metrics.jsonl").open()]
            expect(any("loss" in m for m in metrics), "no training step was recorded")
            print("passed")
        except (SystemExit, TimeoutError) as error:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-20:],
                      sep="\n", file=sys.stderr)
            fail(str(error))
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
            drop_network()


if __name__ == "__main__":
    main()
