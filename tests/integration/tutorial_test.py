"""docs/tutorial.md, run as it is written: its files are written and its commands are run in their order, in a
folder of their own.

A file is a block that follows a line with its name alone, as "`my_task/reward.py`:". Blocks marked `sh` are
commands. A run is smaller by what SMALLER sets, and its last version has another name; nothing else of a
command is changed, so an option that no longer exists, a file that a command does not find or a rollout that
the run does not have ends the test.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import urllib.request

from harness import BIN, ROOT, expect, fail

LIMIT = 120  # seconds of one command
PAGE = ROOT / "docs/tutorial.md"

# Added to `reckon train`; and the name of the version that then is the last one.
SMALLER = ["data.limit_train=64", "eval.limit=4", "stage[1].sft.limit=32", "stage[1].training.epochs=1",
           "stage[2].ppo.steps=2", "stage[2].ppo.prompts=2", "stage[2].ppo.samples_per_prompt=2",
           "stage[2].ppo.eval_every=2"]
LAST = ("ppo_1_step_40", "ppo_1_step_2")


def blocks(page):
    """(language, name of the file or None, text) of each block."""
    before, found = "", []
    lines = iter(page.splitlines())
    for line in lines:
        if not line.startswith("```"):
            before = line or before
            continue
        body = []
        for inner in lines:
            if inner.startswith("```"):
                break
            body.append(inner)
        name = re.fullmatch(r"`([\w/.]+)`:", before)
        found.append((line[3:], name and name[1], "\n".join(body) + "\n"))
        before = ""
    return found


def commands(text):
    """The commands of a block, with continued lines joined."""
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


def smaller(command):
    command = command.replace(*LAST)
    if "reckon train" in command:
        command += "".join(f" --set {setting}" for setting in SMALLER)
    if "reckon eval" in command:
        command += " --limit 4"
    return command


def watched(command, folder):
    """Starts `reckon watch`, asks for its page as a browser does, and stops it."""
    port = re.search(r"--port (\d+)", command)[1]
    free = re.sub(r"--port \d+", "--port 0", command)  # the page's may be in use here
    expect(int(port) > 0, f"`{command}` has no port")
    process = subprocess.Popen(["bash", "-c", "exec " + free], cwd=folder, stdout=subprocess.PIPE, text=True)
    address = re.match(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    if address is None:
        process.kill()
        fail(f"`{command}` prints no address")
    try:
        page = urllib.request.urlopen(address[0], timeout=LIMIT).read().decode()
    finally:
        process.terminate()
        process.wait(LIMIT)
    expect("my_task" in page, f"`{command}` serves another page: {page[:200]}")


def run(command, folder):
    """Runs a command as the page has it; one that needs transformers by the Python of the oracles."""
    if "transformers" in command:
        oracle = os.environ.get("RECKON_ORACLE", "")
        if not os.access(oracle, os.X_OK):
            print(f"not run, because there is no $RECKON_ORACLE: {command}")
            return
        command = command.replace("python3", oracle, 1)
    done = subprocess.run(["bash", "-c", smaller(command)], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
                          env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    expect(done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout[-3000:]}")


def main():
    ran = 0
    with tempfile.TemporaryDirectory(prefix="reckon_tutorial_") as temporary:
        folder = pathlib.Path(temporary)
        (folder / "build").mkdir()
        (folder / "build/bin").symlink_to(BIN.resolve())
        (folder / "deploy").symlink_to(ROOT / "deploy")
        for language, name, text in blocks(PAGE.read_text()):
            if name:
                (folder / name).write_text(text)
            elif language == "sh":
                for command in commands(text):
                    (watched if "reckon watch" in command else run)(command, folder)
                    ran += 1
    expect(ran >= 14, f"the page has {ran} commands only")
    print(f"{ran} commands of docs/tutorial.md ran")


if __name__ == "__main__":
    main()
