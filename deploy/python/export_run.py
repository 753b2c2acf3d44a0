"""export_run.py RUN wandb|trackio [--project NAME] [--folder FOLDER]: a run for another tracker's files.

    pip install wandb     # or trackio
    python3 deploy/python/export_run.py runs/quickstart wandb --folder exported

Writes all metrics by step, the evaluations and the config. Nothing is sent anywhere: wandb runs offline, and
`wandb sync` of the folder that it names uploads it later; trackio writes its database into FOLDER, which
`TRACKIO_DIR=FOLDER trackio show` displays. A run that is exported again becomes another run there.
"""

import argparse
import os
import pathlib

from reckon_run import Run


def numbers(row):
    """The metrics of a line: those that were finite."""
    return {name: value for name, value in row.items() if name not in ("step", "time") and value is not None}


def to_wandb(run, project, folder):
    os.environ["WANDB_MODE"] = "offline"
    import wandb

    tracked = wandb.init(project=project, name=run.folder.name, dir=folder, config={"config": run.config})
    for row in run.metrics(tables=False):
        tracked.log(numbers(row), step=row["step"])
    for row in run.evaluations(tables=False):
        tracked.summary.update({f"eval/{row['name']}/{name}": value for name, value in row.items()
                                if name != "name"})
    where = tracked.dir
    tracked.finish()
    return where


def to_trackio(run, project, folder):
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    trackio.init(project=project, name=run.folder.name, config={"config": run.config}, embed=False)
    for row in run.metrics(tables=False):
        trackio.log(numbers(row), step=row["step"])
    trackio.finish()
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("tracker", choices=["wandb", "trackio"])
    parser.add_argument("--project", default="reckon")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("exported"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    run = Run(options.run.rstrip("/"))
    export = to_wandb if options.tracker == "wandb" else to_trackio
    print(f"written to {export(run, options.project, options.folder.resolve())}")


if __name__ == "__main__":
    main()
