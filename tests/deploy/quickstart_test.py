"""deploy/local/quickstart.sh beside programs that only write down how they are called."""

import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A machine whose speed is never measured alike. `reckon` makes the run's folder as `reckon train` does.
BENCH = """echo measured >> calls
echo "{\\"sampled_tokens_per_s\\": $((700 + 100 * $(grep -c measured calls)))}"
"""
RECKON = """echo "$@" >> calls
mkdir -p runs/quickstart
for word in "$@"; do
  case "$word" in
    data.builtin.*) echo "    ${word#data.builtin.}" | sed 's/=/: /' >> config ;;
  esac
done
[ -e runs/quickstart/config.textproto ] || { echo "  limit_train: 0"; cat config; } > runs/quickstart/config.textproto
rm -f config
"""


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/usr/bin/env bash\nset -eu\n" + text)
    path.chmod(0o755)


def problems(call):
    return [word for word in call.split() if word.startswith("data.builtin.")]


with tempfile.TemporaryDirectory(prefix="reckon_quickstart_") as scratch:
    folder = pathlib.Path(scratch)
    (folder / "deploy/local").mkdir(parents=True)
    shutil.copy(ROOT / "deploy/local/quickstart.sh", folder / "deploy/local")
    script(folder / "build/bin/reckon-engine-bench", BENCH)
    script(folder / "build/bin/reckon", RECKON)
    (folder / "models/smollm2-135m").mkdir(parents=True)
    (folder / "models/smollm2-135m/model.safetensors").touch()
    (folder / "calls").touch()
    progress = folder / "runs/quickstart/progress.json"

    def quickstart():
        """The call of `reckon train`, and whether the machine was measured."""
        before = len((folder / "calls").read_text().splitlines())
        subprocess.run([folder / "deploy/local/quickstart.sh", "--set", "seed=1"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "RECKON_MODELS": str(folder / "models")})
        calls = (folder / "calls").read_text().splitlines()[before:]
        return calls[-1], "measured" in calls

    first, measured = quickstart()
    assert measured and "--resume" not in first and first.endswith("--set seed=1"), first
    assert len(problems(first)) == 2, first
    # Stopped before it had made any progress, and after it.
    for text in (None, '{"finished": false}'):
        if text:
            progress.write_text(text)
        again, measured = quickstart()
        assert "--resume" in again and not measured, again
        assert problems(again) == problems(first), f"{again} after {first}"
    progress.write_text('{"finished": true}')
    new, measured = quickstart()
    assert measured and "--resume" not in new and problems(new) != problems(first), new
    assert len(list((folder / "runs").iterdir())) == 2, "the finished run is kept"
print("ok")
