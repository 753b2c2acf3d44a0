"""No run waits forever, as a user sees it: what cannot continue ends with exit status 1 and one line
that states the cause, and what may heal is named in the progress and heals. Every program runs with a
proxy in its environment that answers nothing.

waits_test.py    The time limits are for a machine that is busy; what is checked is which lines come.
"""

import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time

os.environ["http_proxy"] = os.environ["https_proxy"] = "http://127.0.0.1:9"

from harness import BIN, ROOT, Train, expect, fail, final_weights, tiny_model, write_config  # noqa: E402

LIMIT = 600  # seconds


def reckon(*args, limit=LIMIT):
    """(exit status, lines of standard error) of a command that must end by itself."""
    try:
        done = subprocess.run([BIN / "reckon", *map(str, args)], capture_output=True, text=True,
                              timeout=limit)
    except subprocess.TimeoutExpired:
        fail(f"reckon {' '.join(map(str, args))} has not ended after {limit} s")
    return done.returncode, done.stderr.splitlines()


def read_safetensors(folder):
    raw = (folder / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8:8 + size]), raw[8 + size:]


def write_safetensors(folder, header, data):
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder


def with_wrong_shape(model, folder):
    """A copy of a model folder whose norm of layer 1 has one element less, as its file says."""
    shutil.copytree(model, folder)
    header, data = read_safetensors(folder)
    header["model.layers.1.input_layernorm.weight"]["shape"][0] -= 1
    begin, end = header["model.layers.1.input_layernorm.weight"]["data_offsets"]
    width = (end - begin) // (header["model.layers.1.input_layernorm.weight"]["shape"][0] + 1)
    data = data[:end - width] + data[end:]
    for entry in header.values():
        if "data_offsets" in entry:
            entry["data_offsets"] = [o - width if o >= end else o for o in entry["data_offsets"]]
    return write_safetensors(folder, header, data)


def with_redundant_tensor(model, folder):
    """A copy of a model folder with a buffer that older versions of transformers stored."""
    shutil.copytree(model, folder)
    header, data = read_safetensors(folder)
    header["model.layers.0.self_attn.rotary_emb.inv_freq"] = {
        "dtype": "F32", "shape": [4], "data_offsets": [len(data), len(data) + 16]}
    return write_safetensors(folder, header, data + bytes(16))


def cause(lines):
    """The one line that says why a command failed."""
    causes = [line for line in lines if line.startswith("reckon: ") and "waiting for" not in line]
    expect(len(causes) == 1, f"not one line of a cause: {lines}")
    return causes[0]


def a_model_that_does_not_fit_its_config_ends_every_command(folder, model):
    wrong = with_wrong_shape(model, folder / "wrong_shape")
    config = write_config(folder, "wrong", wrong)
    for command in (["eval", "--model", wrong, "--data", "builtin", "--limit", "4"],
                    ["score", "--model", wrong, "--data", "builtin", "--limit", "4"],
                    ["train", config]):
        status, lines = reckon(*command)
        expect(status == 1, f"{command[0]}: exit status {status}")
        expect("model.layers.1.input_layernorm.weight" in cause(lines), f"{command[0]}: {lines}")


def eval_and_score_say_how_far_they_are_and_what_was_left_out(folder, model):
    model = with_redundant_tensor(model, folder / "redundant")
    for command, shown in (["eval", "--max-new-tokens", "4"], "greedy  "), (
            ["score"], "score  "):
        status, lines = reckon(*command, "--model", model, "--data", "builtin", "--limit", "3")
        expect(status == 0, f"{command[0]}: exit status {status}: {lines}")
        expect(any("left out" in line and "inv_freq" in line for line in lines),
               f"{command[0]} does not say what it left out: {lines}")
        expect(any(line.startswith(shown) for line in lines), f"{command[0]} shows: {lines}")


def samples_that_no_actor_can_score_end_the_run(folder, model):
    programs = folder / "programs"
    programs.mkdir()
    for program in BIN.glob("reckon-*"):
        (programs / program.name).symlink_to(program)
    (programs / "reckon-actor").unlink()
    (programs / "reckon-actor").symlink_to(BIN.parent / "tests/reckon-lying-actor")
    os.environ.update(RECKON_PROGRAMS=str(programs), RECKON_LIE="fail")
    config = write_config(folder, "unscored", model)
    for command in (["eval", "--model", model, "--data", "builtin", "--limit", "4",
                     "--max-new-tokens", "8"],
                    ["train", config, "--set", "coordinator.max_attempts=3"]):
        status, lines = reckon(*command)
        expect(status == 1, f"{command[0]}: exit status {status}")
        expect("set aside" in cause(lines) and "this actor scores nothing" in cause(lines),
               f"{command[0]}: {lines}")
    del os.environ["RECKON_PROGRAMS"], os.environ["RECKON_LIE"]


def await_waiting(train, text):
    deadline = time.time() + LIMIT
    while train.progress().get("waiting_for", "") != text:
        expect(train.process.poll() is None, "the run has ended", train)
        expect(time.time() < deadline, f"the progress never said '{text}'", train)
        time.sleep(0.05)


def what_may_heal_is_named_and_heals(folder, model):
    undisturbed = Train(write_config(folder, "whole", model)).finish()
    train = Train(write_config(folder, "healed", model))
    train.wait_phase("e")  # any: without its actor the run cannot end
    actor, coordinator = (train.children(p)[0] for p in ("reckon-actor", "reckon-coordinator"))
    os.kill(actor, signal.SIGSTOP)
    await_waiting(train, "no actor is connected")
    os.kill(coordinator, signal.SIGSTOP)
    await_waiting(train, "the coordinator does not answer")
    os.kill(coordinator, signal.SIGCONT)
    await_waiting(train, "no actor is connected")
    os.kill(actor, signal.SIGCONT)
    train.finish()
    printed = pathlib.Path(train.log.name).read_text()
    for text in ("no actor is connected", "the coordinator does not answer"):
        expect(f"waiting for: {text}\n" in printed, f"the display never said '{text}'", train)
    expect(final_weights(train.run_dir) == final_weights(undisturbed.run_dir),
           "the wait has changed the weights", train)


def a_run_without_its_store_ends(folder):
    config = folder / "lost.textproto"
    config.write_text(f"""
      name: "lost" output_dir: "{folder}/runs" base: "{ROOT}/recipes/tiny_ppo.textproto"
      stage {{ init {{ hidden_size: 64 intermediate_size: 128 num_hidden_layers: 2 }} }}
      stage {{ sft {{ limit: 64 }} training {{ epochs: 1 }} }}
      stage {{ ppo {{ steps: 200 prompts: 4 samples_per_prompt: 2 eval_every: 2
                      reward {{ kind: EXACT_MATCH_FLEXIBLE }}
                      sampling {{ temperature: 1.0 max_new_tokens: 16 }} }} }}
    """)
    train = Train(config)
    train.wait_phase("ppo_1", done=4)
    expect(train.interrupt() == 130, "the run was not interrupted", train)
    shutil.rmtree(train.run_dir / "store")
    status, lines = reckon("train", config, "--resume")
    expect(status == 1, f"a run without its store: exit status {status}")
    expect("the coordinator has lost its store" in cause(lines), f"{lines}")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = tiny_model(folder / "model")
        a_model_that_does_not_fit_its_config_ends_every_command(folder, model)
        eval_and_score_say_how_far_they_are_and_what_was_left_out(folder, model)
        samples_that_no_actor_can_score_end_the_run(folder, model)
        what_may_heal_is_named_and_heals(folder, model)
        a_run_without_its_store_ends(folder)
    print("what cannot continue has ended, what may heal has healed")


if __name__ == "__main__":
    main()
