"""What the parity tests compare Reckon with, and the interpreter that has its packages.

Environment: RECKON_ORACLE (a Python with deploy/setup/python-oracle.txt), RECKON_MODELS; `./dev test`
installs both. Where something is missing the tests are skipped, but under CI=true they fail, so that
a green run means that they ran.
"""

import os
import pathlib
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "reckon"
ORACLE = pathlib.Path(os.environ.get("RECKON_ORACLE") or CACHE / "oracle/bin/python")
TEMPLATES = CACHE / "templates"
MODEL = pathlib.Path(os.environ.get("RECKON_MODELS") or CACHE / "models") / "smollm2-135m"
SKIPPED = 77  # SKIP_RETURN_CODE in CMake


def run(main, *needed):
    """Calls main() under the oracle's interpreter, by running this script again there.

    When that or one of `needed` is missing, names the first in one line and exits with SKIPPED, or
    with 1 under CI=true.
    """
    missing = next((path for path in (ORACLE, *needed) if not path.exists()), None)
    if missing is not None:
        must = os.environ.get("CI") == "true"
        print(f"{'failed' if must else 'skipped'}: {missing} is missing; run ./dev setup --oracle")
        sys.exit(1 if must else SKIPPED)
    if os.path.realpath(sys.prefix) != os.path.realpath(ORACLE.parent.parent):
        sys.exit(subprocess.run([ORACLE, *sys.argv]).returncode)
    main()
