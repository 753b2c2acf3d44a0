"""What the roles serve to Prometheus and to probes, during a real run of a tiny PPO stage.

1. Each role's /metrics has the names, labels and kinds that docs/metrics.md lists for it, no others,
   and no text of the run; the leader's also has every scalar of metrics.jsonl.
2. Each role's health port answers startup, liveness and readiness.
3. A real Prometheus scrapes the roles and evaluates the recording rules and alerts of deploy/metrics;
   every query of the dashboard, rules and alerts is executed through its HTTP API and must parse,
   and those that a healthy run feeds must return data.
4. `reckon train --metrics` serves the metrics of every process and tells Prometheus where.

The queries of 3 and 4 need Debian's prometheus, which `./dev setup --oracle` unpacks into RECKON_PROMETHEUS
(default ~/.cache/reckon/prometheus); without it they are left out and the test is skipped at its end.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from harness import BIN, ROOT

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "reckon"
PROMETHEUS = pathlib.Path(os.environ.get("RECKON_PROMETHEUS", CACHE / "prometheus")) / "usr/bin"
DEPLOY = ROOT / "deploy/metrics"
ROLES = ["coordinator", "actor", "learner"]

CONFIG = """
base: "{root}/recipes/tiny_ppo.textproto"
name: "secret_run_name"
output_dir: "{out}"
resources {{ actors: {actors} }}
data {{ builtin {{ train_problems: 512 eval_problems: 8 }} }}
eval {{ samples: 2 max_new_tokens: 16 bootstrap: 50 }}
stage {{ init {{ hidden_size: 64 intermediate_size: 128 num_hidden_layers: 2 }} }}
stage {{ sft {{ limit: 64 }} training {{ learning_rate: 3e-3 epochs: 1 }} }}
stage {{
  ppo {{
    steps: 100000 prompts: 8 samples_per_prompt: 2 max_staleness: 1 eval_every: 100000
    kl {{ coef: 0.05 }} reward {{ kind: EXACT_MATCH_FLEXIBLE }}
    sampling {{ temperature: 1.0 max_new_tokens: 16 }}
  }}
  training {{ learning_rate: 1e-3 batch_size: 16 }}
}}
"""

# Queries that a healthy run of one rank without evaluation leaves empty, and why.
MAY_BE_EMPTY = {
    "reckon:bottleneck:ratio_rate2m": "nobody may wait for a tenth of his time",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, timeout=120):
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        return reply.read().decode()


def check(condition, message):
    if not condition:
        raise AssertionError(message)


class Processes:
    """A run, and Prometheus beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        self.run_dir = folder / "runs/secret_run_name"

    def write_config(self, actors):
        config = self.folder / "config.textproto"
        config.write_text(CONFIG.format(root=ROOT, out=self.folder / "runs", actors=actors))
        return config

    def start(self, name, *argv):
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log)

    def await_value(self, what, probe, seconds=120):
        deadline = time.time() + seconds
        while time.time() < deadline:
            for name, process in self.processes.items():
                check(process.poll() is None, f"{name} has ended")
            value = probe()
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"no {what} within {seconds} s")

    def start_prometheus(self, text):
        """Its API, with a configuration that scrapes every second."""
        for name in ("rules.yml", "alerts.yml"):
            (self.folder / name).write_text((DEPLOY / name).read_text())
        config = self.folder / "prometheus.yml"
        config.write_text(text.replace("15s", "1s"))
        listen = f"127.0.0.1:{free_port()}"
        self.start("prometheus", PROMETHEUS / "prometheus", f"--config.file={config}",
                   f"--storage.tsdb.path={self.folder}/prometheus", f"--web.listen-address={listen}")
        return f"http://{listen}/api/v1"

    def stop(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


class Run(Processes):
    """The three roles, started without a launcher."""

    def __init__(self, folder):
        super().__init__(folder)
        self.metrics = {role: f"127.0.0.1:{free_port()}" for role in ROLES}
        self.health = {role: f"127.0.0.1:{free_port()}" for role in ROLES}
        self.run_dir.mkdir(parents=True)

    def start_role(self, role, *argv):
        self.start(role, BIN / f"reckon-{role}", *argv, f"--metrics_listen={self.metrics[role]}",
                   f"--health_listen={self.health[role]}")

    def start_roles(self):
        config = self.write_config(actors=1)
        port_file = self.folder / "port"
        self.start_role("coordinator", "--run=secret_run_name", f"--store={self.folder}/store",
                        f"--port_file={port_file}")
        address = self.await_value("the coordinator's port",
                                   lambda: port_file.exists() and port_file.read_text().strip())
        self.start_role("actor", f"--coordinator={address}", "--name=secret_actor", "--threads=1",
                        "--compute=fp32", "--max_batch=16", "--kv_cache_mib=64")
        self.start_role("learner", f"--coordinator={address}", f"--config={config}",
                        f"--run_dir={self.run_dir}")

    def page(self, role):
        return get(f"http://{self.metrics[role]}/metrics")

    def probe(self, role, service):
        tool = BIN.parent / "tests/reckon-health-probe"
        return subprocess.run([tool, self.health[role], service], capture_output=True, text=True,
                              timeout=120).stdout.strip()


# ---- 1. names ----

def families(page):
    """{name: (kind, set of label names)} of an exposition."""
    found = {}
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            found[name] = (kind, set())
            current = name
        elif line and not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            check(name.startswith(current), f"{name} is in the family of {current}")
            found[current][1].update(set(re.findall(r'(\w+)="', labels)) - {"le"})
    return found


def listed():
    """{role: {name: (kind, labels)}} and the scalars of metrics.jsonl, from docs/metrics.md."""
    text = (ROOT / "docs/metrics.md").read_text()
    scalars, _, roles = text.partition("## Metrics of the roles")
    tables = {}
    for section in re.split(r"^### ", roles, flags=re.M)[1:]:
        title = section.splitlines()[0].lower()
        for name, labels, kind in re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", section, re.M):
            for role in ROLES if title == "every role" else [title]:
                tables.setdefault(role, {})[name] = (kind, set(labels.split(",")) - {""})
    return tables, re.findall(r"^\| `([\w/@<>]+)` \|", scalars, re.M)


def gauge_name(metric):
    if metric.startswith("timing_s/"):
        metric = "timing_" + metric.removeprefix("timing_s/") + "_seconds"
    return "reckon_" + re.sub(r"[^A-Za-z0-9]", "_", metric)


def check_names(run):
    tables, scalars = listed()
    lines = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    shown = {gauge_name(name) for line in lines for name in line} - {"reckon_step", "reckon_time"}
    for role in ROLES:
        page = run.page(role)
        served = families(page)
        if role == "learner":
            check(shown <= set(served), f"scalars that are not served: {shown - set(served)}")
            check(all(served[name] == ("gauge", set()) for name in shown), "a scalar is no plain gauge")
            served = {name: value for name, value in served.items() if name not in shown}
        apart = set(map(str, served.items())) ^ set(map(str, tables[role].items()))
        check(served == tables[role], f"{role}: docs/metrics.md and /metrics differ: {sorted(apart)}")
        for text in ("secret", str(run.folder), "127.0.0.1"):
            check(text not in page, f"{role}: the page has a text of the run: {text}")
    names = [name for table in tables.values() for name in table]
    check(not set(names) & set(map(gauge_name, scalars)), "a scalar has the name of another metric")


# ---- 2. health ----

def check_health(run):
    for role in ROLES:
        for service in ("startup", "liveness", "readiness", ""):
            answer = run.probe(role, service)
            check(answer == "SERVING", f"{role}: '{service}' is {answer}")
        check(run.probe(role, "other") == "no such service", f"{role} knows another service")


# ---- 3. Prometheus ----

def queries():
    """(where, expression) of every query in deploy/metrics, with the dashboard's variables set."""
    found = []
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "10s").replace("$run", ".*")
            check("$" not in expr, f"a variable that the test does not know: {expr}")
            found.append((f"panel '{panel['title']}'", expr))
    return found


def start_prometheus(run):
    text = (DEPLOY / "prometheus.yml").read_text()
    for role in ROLES:
        text, n = re.subn(rf"(job_name: reckon-{role}\n.*\n +- targets: )\[.*\]",
                          rf'\1["{run.metrics[role]}"]', text)
        check(n == 1, f"prometheus.yml has no job reckon-{role}")
    return run.start_prometheus(text)


def query(api, expr):
    """The samples of an instant query; an error of Prometheus is the test's."""
    url = f"{api}/query?" + urllib.parse.urlencode({"query": expr})
    try:
        reply = json.loads(get(url))
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{expr}: {error.read().decode()}") from error
    data = reply["data"]
    return data["result"] if data["resultType"] == "vector" else [data["result"]]


def is_ready(api):
    try:
        get(api.removesuffix("api/v1") + "-/ready")
    except OSError:  # it starts
        return False
    return True


def has_samples(api):
    return is_ready(api) and bool(query(api, "reckon_generated_tokens_total"))


def promtool(*arguments, **options):
    done = subprocess.run([PROMETHEUS / "promtool", *map(str, arguments)], capture_output=True,
                          text=True, **options)
    check(done.returncode == 0, f"promtool {arguments}: {done.stdout}{done.stderr}")


def check_prometheus(run, api):
    for name in ("prometheus.yml", "prometheus_run.yml"):
        promtool("check", "config", DEPLOY / name)
    promtool("test", "rules", DEPLOY / "rules_test.yml")
    for role in ROLES:  # names, units and help; the leader's scalars keep the names of metrics.jsonl
        if role != "learner":
            promtool("check", "metrics", input=run.page(role))
    run.await_value("two minutes' rates", lambda: query(api, 'rate(reckon_step[1m]) > 0')
                    and query(api, "reckon:waited_for:ratio_rate2m"))

    def empty():
        return [f"{where}: {expr}" for where, expr in queries()
                if not query(api, expr) and not any(expr.startswith(name) for name in MAY_BE_EMPTY)]

    # Rates over ten seconds need a scrape of every role at either end.
    try:
        run.await_value("data for every query", lambda: not empty())
    except AssertionError as error:
        raise AssertionError(f"{error}; queries without data:\n" + "\n".join(empty())) from error
    groups = json.loads(get(f"{api}/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    check(len(rules) > 20, f"{len(rules)} rules are loaded")
    for rule in rules:
        check(rule["health"] == "ok", f"rule {rule['name']}: {rule}")
        query(api, rule["query"])
    firing = [rule["name"] for rule in rules if rule.get("state") == "firing"]
    check(not firing, f"alerts fire in a healthy run: {firing}")
    print(f"{len(queries())} queries of the dashboard and {len(rules)} rules: data everywhere")


# ---- 4. reckon train --metrics ----

TRAIN = {"coordinator": "coordinator", "actor-0": "actor", "actor-1": "actor", "learner-0": "learner"}


def told_targets(run):
    """{process: (role, whether it answers)} of the files that Prometheus reads."""
    found = {}
    for file in (run.run_dir / "targets").glob("*.json"):
        (target,) = json.loads(file.read_text())
        page = get(f"http://{target['targets'][0]}/metrics")
        role = target["labels"]["job"].removeprefix("reckon-")
        found[target["labels"]["process"]] = (role, f'role="{role}"' in page)
    return found


def check_train(run, have_prometheus):
    config = run.write_config(actors=2)
    run.start("train", BIN / "reckon", "train", config, "--metrics")
    run.await_value("targets of all processes", lambda: told_targets(run) == {
        name: (role, True) for name, role in TRAIN.items()})
    if have_prometheus:
        text = (DEPLOY / "prometheus_run.yml").read_text()
        check("/runs/my_run/" in text, "prometheus_run.yml has another example of a folder")
        api = run.start_prometheus(text.replace("/runs/my_run/", f"{run.run_dir}/"))
        up = lambda: {(s["metric"]["job"], s["metric"]["process"])
                      for s in query(api, 'up{run="secret_run_name"} == 1')}
        run.await_value("scrape of all processes", lambda: is_ready(api) and up() == {
            (f"reckon-{role}", name) for name, role in TRAIN.items()})
    train = run.processes.pop("train")
    train.send_signal(signal.SIGINT)
    train.wait(120)
    check(not (run.run_dir / "targets").exists(), "a run that has ended is still told to Prometheus")


def main():
    have_prometheus = (PROMETHEUS / "prometheus").exists()
    with tempfile.TemporaryDirectory(prefix="reckon_metrics_") as temporary:
        run = Run(pathlib.Path(temporary) / "roles")
        train = Processes(pathlib.Path(temporary) / "train")
        train.folder.mkdir()
        try:
            run.start_roles()
            if have_prometheus:
                api = start_prometheus(run)
                run.await_value("sample in Prometheus", lambda: has_samples(api))
            metrics = run.run_dir / "metrics.jsonl"
            run.await_value("two PPO steps", lambda: metrics.exists() and
                            metrics.read_text().count("actor/pg_loss") >= 2)
            check_names(run)
            check_health(run)
            if have_prometheus:
                check_prometheus(run, api)
            run.stop()
            check_train(train, have_prometheus)
        except AssertionError as error:
            for log in sorted(pathlib.Path(temporary).glob("*/*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:], sep="\n",
                      file=sys.stderr)
            print(f"FAILED: {error}", file=sys.stderr)
            sys.exit(1)
        finally:
            run.stop()
            train.stop()
    if not have_prometheus:
        print(f"skipped the queries: no {PROMETHEUS}/prometheus; run ./dev setup --oracle")
        sys.exit(77)
    print("passed")


if __name__ == "__main__":
    main()
