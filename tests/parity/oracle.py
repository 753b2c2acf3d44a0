"""Where the parity tests find what they compare with, and the interpreter that has its packages."""

import os
import pathlib
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "reckon"
ORACLE = pathlib.Path(os.environ.get("RECKON_ORACLE") or CACHE / "oracle/bin/python")
TEMPLATES = CACHE / "templates"
MODEL = pathlib.Path(os.environ.get("RECKON_MODELS") or CACHE / "models") / "smollm2-135m"


def run(main, *needed):
    """Calls main() in the oracle's interpreter: the script runs itself again there.

    Exits 77, which ctest shows as skipped, and names the first of `needed` that is missing.
    """
    for path in (ORACLE, *needed):
        if not path.exists():
            print(f"skipped: {path} is missing (./dev setup --oracle)")
            sys.exit(77)
    if os.path.realpath(sys.prefix) != os.path.realpath(ORACLE.parent.parent):
        sys.exit(subprocess.run([ORACLE, *sys.argv]).returncode)
    main()
