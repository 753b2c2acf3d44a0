#!/usr/bin/env python3
"""Everything that only a GPU can show, in one command of at most nine minutes: `./dev gpu`.

In this order: the `gpu` tests; compute-sanitizer over the kernels' tests; benchmarks with random weights of
three shapes, as shares of what this very card reaches when it copies memory and multiplies matrices, beside
transformers and, where it is installed, vLLM. What there was no time or no program for is named.

It writes one file, gpu-CARD-DATE.json. Exit status: 0 if every test ran and passed, 1 otherwise.
`--rehearse` does the same on the CPU with a tiny shape, to try the command itself.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
# (prompts, samples of each, tokens of a prompt, new tokens) and (sequences, tokens of each, tokens of a pass).
WORK = {
    "smollm2-135m": ((32, 8, 128, 256), (32, 512, 16384)),
    "qwen2.5-1.5b": ((32, 8, 128, 128), (16, 512, 8192)),
    "llama-2-7b": ((32, 8, 128, 64), (8, 512, 4096)),
    "tiny": ((4, 2, 16, 8), (4, 32, 128)),
}
# Training holds weights, gradients and two moments in fp32, and the packed weights: 18 bytes a parameter.
TRAIN_BYTES = 18


class Clock:
    """What is left of the time for everything."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()


def run(clock, most, command, environment=None):
    """(exit status or None, output, seconds): None when it was ended because its time was over."""
    begin = time.monotonic()
    try:
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=max(1, min(most, clock.left())), env=os.environ | (environment or {}))
        return done.returncode, done.stdout, round(time.monotonic() - begin, 1)
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode(errors="replace"), round(time.monotonic() - begin, 1)


def find_card(rehearse):
    """What this runs on. Ends the program where there is no GPU."""
    import torch

    if rehearse:
        return {"name": "CPU", "rehearsal": True, "torch": torch.__version__}
    if not torch.cuda.is_available():
        sys.exit(f"gpu: torch {torch.__version__} finds no GPU: nothing was run (./dev gpu --rehearse tries the command on the CPU)")
    properties = torch.cuda.get_device_properties(0)
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"],
                            capture_output=True, text=True).stdout.strip() if shutil.which("nvidia-smi") else "unknown"
    return {"name": properties.name, "compute_capability": f"{properties.major}.{properties.minor}",
            "gpus": torch.cuda.device_count(), "memory_bytes": properties.total_memory, "driver": driver, "torch": torch.__version__,
            "cuda": torch.version.cuda}


def measure_rates(device):
    """Bytes that a copy moves in a second (read and written), and operations of a bf16 product: the best of some."""
    import torch

    sync = torch.cuda.synchronize if device == "cuda" else lambda: None

    def best(work, repeats):
        work()
        sync()
        seconds = []
        for _ in range(repeats):
            begin = time.perf_counter()
            work()
            sync()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    size = 1 << 30 if device == "cuda" else 1 << 26
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    side = 8192 if device == "cuda" else 512
    a, b = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    return {"copy_bytes_per_s": 2 * size / best(lambda: target.copy_(source), 20),
            "product_flop_per_s": 2 * side**3 / best(lambda: a @ b, 20)}


def run_tests(clock, tests, gpus):
    """Each program's gpu tests, by what GoogleTest writes of them; those of two GPUs where there are two."""
    out = []
    chosen = "Gpu*" if gpus > 1 else "Gpu*-GpuPair*"
    for program in tests:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            status, output, seconds = run(clock, 150, [program], {"GTEST_FILTER": chosen, "GTEST_OUTPUT": f"json:{file.name}"})
            text = Path(file.name).read_text()
        cases = [case for suite in json.loads(text)["testsuites"] for case in suite["testsuite"]] if text else []
        failed = [f"{case['classname']}.{case['name']}" for case in cases if case.get("failures")]
        skipped = [f"{case['classname']}.{case['name']}" for case in cases if case.get("result") == "SKIPPED"]
        out.append({"program": program.name, "status": status, "seconds": seconds, "skipped": skipped, "failed": failed,
                    "passed": len(cases) - len(failed) - len(skipped)})
        if status != 0:
            out[-1]["output"] = output[-4000:]
        say(f"{program.name}: {out[-1]['passed']} passed, {len(failed)} failed, {len(skipped)} skipped, {seconds} s"
            + ("" if status == 0 else f"; {'took too long' if status is None else f'exit status {status}'}"))
    return out


def run_train(clock, script, device):
    """A whole run, by the script that the gpu test runs."""
    status, output, seconds = run(clock, 120, [sys.executable, script, HERE / "bin", device])
    out = {"program": script.name, "status": status, "seconds": seconds, "said": output.strip().splitlines()[-4:],
           "passed": int(status == 0), "failed": [], "skipped": [script.stem] if status == 77 else []}
    say(f"{script.name}: {'; '.join(out['said'])}, {seconds} s")
    return out


def find_sanitizer():
    found = shutil.which("compute-sanitizer")
    packaged = HERE / "site/nvidia/cu13/compute-sanitizer/compute-sanitizer"
    return found or (str(packaged) if packaged.exists() else None)


def run_sanitizer(clock, sanitizer, tests, filters):
    """memcheck and racecheck over the tests of kernels."""
    out = []
    for tool in ("memcheck", "racecheck"):
        for program in tests:
            status, output, seconds = run(clock, 60, [sanitizer, "--tool", tool, "--error-exitcode", "9", program], {"GTEST_FILTER": filters})
            errors = re.findall(r"ERROR SUMMARY: (\d+) error", output)
            out.append({"tool": tool, "program": program.name, "status": status, "seconds": seconds,
                        "errors": int(errors[-1]) if errors else None})
            if status != 0:
                out[-1]["output"] = output[-4000:]
            found = "took too long" if status is None else f"{errors[-1] if errors else 'no count of'} errors"
            say(f"compute-sanitizer {tool}, {program.name}: {found}, {seconds} s")
    return out


def last_json(output):
    """The last line that is a JSON object, or none."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


def products_of(config):
    """Elements that a token is multiplied by: of the layers, and of the head."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    return config["num_hidden_layers"] * (2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner), config["vocab_size"] * hidden


def rollout_seconds(config, work, rates):
    """The least time on this card: each decode step reads every weight and the keys and values of the batch once, or
    multiplies, whichever takes longer; prompts are multiplied."""
    prompts, samples, prompt, new = work
    batch = prompts * samples
    layers, head = products_of(config)
    keys = config["hidden_size"] // config["num_attention_heads"] * config["num_key_value_heads"]
    cached = 2 * 2 * config["num_hidden_layers"] * keys * batch * (prompt + new / 2)
    step = max((2 * (layers + head) + cached) / rates["copy_bytes_per_s"], 2 * batch * (layers + head) / rates["product_flop_per_s"])
    return new * step + 2 * prompts * prompt * layers / rates["product_flop_per_s"]


def bench_shape(clock, shape, device, rates, folder, parameters_fit):
    """Rollouts and training of one shape, of Reckon and of what is installed beside it."""
    sys.path.insert(0, str(HERE / "bench"))
    import random_model

    out = []
    config = random_model.SHAPES[shape]
    random_model.write(shape, folder, device)
    rollout, train = WORK[shape]
    prompts, samples, prompt, new = rollout
    sequences, tokens, pass_tokens = train
    layers, head = products_of(config)
    least = rollout_seconds(config, rollout, rates)
    flags = ["--model", folder, "--device", "CUDA" if device == "cuda" else "CPU"]

    def record(work, program, command, speed, share, most=90):
        lacking = "not installed" if program != "reckon" and not has_module(program) else "no time" if clock.left() < 20 else None
        if lacking:
            out.append({"shape": shape, "work": work, "program": program, "left_out": lacking})
        else:
            status, output, seconds = run(clock, most, command)
            got = last_json(output) if status == 0 else None
            entry = {"shape": shape, "work": work, "program": program, "seconds": seconds}
            if got is None or speed not in got:
                entry |= {"status": status, "output": output[-3000:]}
            else:
                entry |= {speed: got[speed], "share_of_roofline": round(share(got[speed]), 4), "measured": got}
            out.append(entry)
        entry = out[-1]
        found = entry.get("left_out", "failed")
        if speed in entry:
            found = f"{entry[speed]:.0f} tok/s, {entry['share_of_roofline']:.1%} of the roofline"
        say(f"{shape}, {work}, {program}: {found}")

    def rollout_share(speed):
        return least / (prompts * samples * new / speed)

    def train_share(speed):
        return 6 * (layers + head) * speed / rates["product_flop_per_s"]

    def record_both(work, command, speed, share):
        """Reckon's, and what its row-invariant mode costs: how many times as long the same takes."""
        record(work, "reckon", command, speed, share)
        record(work + ", row-invariant", "reckon", [*command, "--row_invariant"], speed, share)
        if speed in out[-1] and speed in out[-2]:
            out[-1]["times_as_long"] = round(out[-2][speed] / out[-1][speed], 3)
            say(f"{shape}, {work}: the row-invariant mode takes {out[-1]['times_as_long']:.2f} times as long")

    record_both("rollout", [HERE / "bin/reckon-engine-bench", *flags, "--prompts", prompts, "--samples", samples, "--prompt_tokens", prompt,
                            "--new_tokens", new, "--max_batch", prompts * samples], "sampled_tokens_per_s", rollout_share)
    record("rollout", "transformers", [sys.executable, HERE / "bench/transformers_bench.py", folder, prompts * samples, prompt, new, 0, 0,
                                       device], "sampled_tokens_per_s", rollout_share)
    record("rollout", "vllm", [sys.executable, HERE / "bench/vllm_bench.py", folder, prompts, samples, prompt, new],
           "sampled_tokens_per_s", rollout_share, most=150)
    if not parameters_fit(layers + head):
        out.append({"shape": shape, "work": "train", "left_out": f"weights, gradients and moments need {TRAIN_BYTES * (layers + head) >> 30} GiB"})
        return out
    record_both("train", [HERE / "bin/reckon-update-bench", *flags, "--sequences", sequences, "--tokens", tokens,
                          "--micro_batch_tokens", pass_tokens], "trained_tokens_per_s", train_share)
    record("train", "transformers", [sys.executable, HERE / "bench/transformers_bench.py", folder, 0, prompt, new, sequences, tokens,
                                     device], "trained_tokens_per_s", train_share)
    return out


def has_module(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="./dev gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path.cwd(), help="folder of the file that is written (this one)")
    parser.add_argument("--minutes", type=float, default=9, help="time for everything (9)")
    parser.add_argument("--shapes", nargs="+", choices=WORK, metavar="SHAPE", default=["smollm2-135m", "qwen2.5-1.5b", "llama-2-7b"],
                        help="of " + ", ".join(WORK))
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with the shape tiny")
    options = parser.parse_args()

    clock = Clock(60 * options.minutes)
    device = "cpu" if options.rehearse else "cuda"
    result = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
              "reckon": (HERE / "VERSION").read_text().split()[0], "card": find_card(options.rehearse), "left_out": []}
    say(f"{result['card']['name']}, torch {result['card']['torch']}")
    tests = sorted(path for path in (HERE / "tests").iterdir() if path.suffix != ".py")
    gpus = result["card"].get("gpus", 0)
    result["tests"] = run_tests(clock, tests, gpus)
    if gpus < 2:
        result["left_out"].append(f"NCCL of two ranks (GpuPair*): needs two GPUs, this machine shows {gpus}")
    result["tests"] += [run_train(clock, script, device.upper()) for script in sorted((HERE / "tests").glob("*.py"))]
    sanitizer = find_sanitizer()
    if sanitizer and not options.rehearse:
        # The kernels alone: whole models under the sanitizer take longer than there is.
        result["sanitizer"] = run_sanitizer(clock, sanitizer, [t for t in tests if t.name == "device_test"], "GpuFusedOps*:GpuLayerOps*:GpuFlashInfer*")
    else:
        result["left_out"].append("compute-sanitizer: " + ("rehearsal" if options.rehearse else "not found; pip install nvidia-cuda-sanitizer-api==13.0.85"))
    result["rates"] = measure_rates(device)
    say(f"this card copies {result['rates']['copy_bytes_per_s'] / 1e9:.0f} GB/s and multiplies {result['rates']['product_flop_per_s'] / 1e12:.1f} TFLOP/s in bf16")
    result["bench"] = []
    memory = result["card"].get("memory_bytes", 8 << 30)
    for shape in ["tiny"] if options.rehearse else options.shapes:
        if clock.left() < 45 and not options.rehearse:
            result["left_out"].append(f"{shape}: no time")
            continue
        with tempfile.TemporaryDirectory(prefix="reckon_gpu_") as folder:
            result["bench"] += bench_shape(clock, shape, device, result["rates"], folder, lambda count: TRAIN_BYTES * count < 0.8 * memory)
    card = re.sub(r"\W+", "-", result["card"]["name"]).strip("-").lower()
    file = options.out / f"gpu-{card}-{datetime.now().strftime('%Y%m%d-%H%M%S')}.json"
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    for left in result["left_out"]:
        say(f"left out: {left}")
    say(f"wrote {file}")
    bad = [entry["program"] for entry in result["tests"] + result.get("sanitizer", []) if entry["status"] != 0]
    bad += [f"{entry['shape']} {entry['work']}" for entry in result["bench"] if entry.get("program") == "reckon" and "share_of_roofline" not in entry]
    if not options.rehearse:
        bad += [entry["program"] for entry in result["tests"] if entry["skipped"]]
    if bad:
        sys.exit("gpu: not well: " + ", ".join(bad))


if __name__ == "__main__":
    main()
