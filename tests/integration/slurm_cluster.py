"""A real Slurm on this machine for a test: munged, slurmctld and three slurmd, each with files, ports
and a socket of its own in one folder. Needs root and Debian's slurm-wlm and munge.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import tiny_model

NODES = ("n1", "n2", "n3")

CONF = """
ClusterName=reckon
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=16000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=16000
NodeName=n3 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[3]} CPUs=8 RealMemory=16000
PartitionName=main Nodes=n[1-3] Default=YES State=UP
PartitionName=urgent Nodes=n[1-3] State=UP PriorityTier=10
"""


def missing():
    """Why there can be no cluster here; empty: there can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    return f"needs Debian's slurm-wlm and munge: no {', '.join(absent)}" if absent else ""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class SlurmCluster:
    """A context: the daemons run within it, and are stopped at its end whatever happens."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.daemons = []

    def __enter__(self):
        self.folder.mkdir(mode=0o700)
        (self.folder / "state").mkdir()
        (self.folder / "spool").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        conf = self.folder / "slurm.conf"
        conf.write_text(CONF.format(host=socket.gethostname().split(".")[0], folder=self.folder,
                                    ports=free_ports(4)))
        os.environ["SLURM_CONF"] = str(conf)
        try:
            # In the foreground, as children: so none of them outlives the test.
            self.start("munged", "--foreground", "--force", f"--key-file={key}",
                       *(f"--{name}-file={self.folder}/munged.{name}" for name in ("pid", "log", "seed")),
                       f"--socket={self.folder}/munge.socket")
            self.wait("munged", lambda: (self.folder / "munge.socket").exists())
            self.start("slurmctld", "-D")
            for node in NODES:
                self.start("slurmd", "-D", "-N", node)
            self.wait("Slurm", lambda: self.nodes() == {node: "idle" for node in NODES})
            # A test that is told to stop leaves this context as well.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["scancel", "--quiet", f"--user={os.geteuid()}"], stderr=subprocess.DEVNULL, timeout=120)
        deadline = time.time() + 300
        while self.queue() and time.time() < deadline:
            time.sleep(0.2)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def start(self, *command):
        log = open(self.folder / f"{command[0]}.out", "ab")
        self.daemons.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def wait(self, what, ready, timeout=300):
        deadline = time.time() + timeout
        while not ready():
            if time.time() > deadline or any(daemon.poll() is not None for daemon in self.daemons):
                logs = [f"--- {log}\n{log.read_text(errors='replace')[-2000:]}"
                        for log in self.folder.glob("*.[lo][ou][gt]")]
                raise RuntimeError(f"{what} did not start\n" + "\n".join(logs))
            time.sleep(0.1)

    def nodes(self):
        shown = subprocess.run(["sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T"],
                               capture_output=True, text=True)
        return dict(line.split() for line in shown.stdout.splitlines())

    def queue(self):
        """{job or task id: (name, state, node, index)} of what waits or runs."""
        shown = subprocess.run(["squeue", "--noheader", "--array", "--format=%i|%j|%T|%N|%K"],
                               capture_output=True, text=True)
        rows = (line.split("|") for line in shown.stdout.splitlines())
        return {row[0]: tuple(row[1:]) for row in rows}


@contextlib.contextmanager
def slurm_folder():
    """A new folder and a tiny model in it, for a test on Slurm; ends the process with 77 where there is
    none. What launch has started looks after its run every second.
    """
    why = missing()
    if why:
        print(f"skipped: {why}")
        sys.exit(77)
    os.environ["RECKON_CHECK_SECONDS"] = "1"
    with tempfile.TemporaryDirectory(prefix="reckon_slurm_", ignore_cleanup_errors=True) as temporary:
        folder = pathlib.Path(temporary)
        yield folder, tiny_model(folder / "model")
