"""`reckon report` and `reckon watch` in headless Chromium: the page of a real run of the tiny model loads,
filters and shows rollouts without a word in the console and without the network; the watched one
follows the run while that grows, and keeps what its reader had chosen.

report_browser_test.py [--pictures FOLDER]    with RECKON_BIN; skipped where there is no Chromium,
but under CI=true failed. `./dev setup --oracle` installs it.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import chromium
import harness
from harness import BIN, expect

SKIPPED = 77  # SKIP_RETURN_CODE in CMake
# How many rollouts match and how many there are, and a field of the filter.
FOUND = "document.getElementById('found').textContent.match(/[0-9,]+/g).slice(0, 2).map(n => Number(n.replace(',', '')))"
SET = """(() => {{ const field = document.getElementById('filter').elements['{}']; field.value = {!r};
    field.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"""
COLOR = "getComputedStyle(document.body).backgroundColor"


def found(page):
    return page.run(FOUND)


def put(page, field, value):
    page.run(SET.format(field, value))
    return found(page)[0]


def check_filters(page):
    matching, total = found(page)
    expect(matching == total > 0, f"without a filter {matching} of {total} rollouts match")
    plans = page.run("[...document.getElementById('filter').elements.plan.options].map(o => o.value)")[1:]
    of_plans = [put(page, "plan", plan) for plan in plans]
    expect(len(plans) > 1 and sum(of_plans) == total and min(of_plans) > 0,
           f"the plans {plans} have {of_plans} of {total} rollouts")
    put(page, "plan", "")
    verdicts = page.run("[...document.getElementById('filter').elements.verdict.options].map(o => o.value)")[1:]
    expect(verdicts and sum(put(page, "verdict", verdict) for verdict in verdicts) == total,
           f"the verdicts {verdicts} are not those of {total} rollouts")
    put(page, "verdict", "")
    expect(0 < put(page, "long", "10") < total, "no rollout, or every one, has at most 10 tokens")
    put(page, "long", "")
    expect(put(page, "text", "no text has this \u2603") == 0, "a text that is nowhere is found")
    expect(page.run("document.querySelectorAll('#list button').length") == 0, "what does not match is listed")
    expect(put(page, "text", "") == total, "without filters not every rollout matches")


def check_rollout(page):
    """The second rollout of the list, its tokens and its siblings."""
    page.run("document.querySelectorAll('#list button')[1].click()")
    key = page.run("document.querySelectorAll('#list button')[1].querySelector('.key').textContent")
    expect(page.run("document.querySelector('#one .key').textContent") == f"key: {key}", f"{key} is not shown")
    expect(page.run("document.querySelectorAll('#one .text .t').length") > 1, f"{key} has no tokens")
    expect(page.run("decodeURIComponent(location.hash.slice(1))") == key, f"{key} is not in the address")
    return key


def check_looks(page, name, pictures):
    colors = set()
    for scheme in ("light", "dark"):
        for width, height in ((1400, 1000), (400, 800)):
            page.look(width, height, scheme)
            if pictures:
                page.picture(pictures / f"{name}_{scheme}_{width}.png")
            beyond = page.run("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
            expect(beyond <= 0, f"{name}: at {width} columns the page is {beyond} wider than the window")
            colors.add(page.run(COLOR))
    expect(len(colors) == 2, f"{name}: light and dark have the backgrounds {colors}")
    page.look(1400, 1000, "light")


def check_quiet(page, name, allowed):
    expect(not page.complaints, f"{name}: the console says {page.complaints}")
    strangers = [url for url in page.requests if not url.startswith(allowed)]
    expect(not strangers, f"{name}: the page asked for {strangers}")


def check_report(browser, run_dir, folder, pictures):
    path = folder / "report.html"
    subprocess.run([BIN / "reckon", "report", run_dir, "-o", path], check=True, stdout=subprocess.DEVNULL)
    page = browser.open(path.as_uri())
    expect(page.run("document.querySelectorAll('svg').length") > 0, "the report has no curve")
    check_filters(page)
    key = check_rollout(page)
    page.call("Page.reload")
    page.wait(f"document.readyState === 'complete' && document.querySelector('#one .key')?.textContent === 'key: {key}'")
    check_looks(page, "report", pictures)
    check_quiet(page, "report", path.as_uri())


def check_watch(browser, config, run_dir, pictures):
    watch = subprocess.Popen([BIN / "reckon", "watch", run_dir], stdout=subprocess.PIPE, text=True)
    url = watch.stdout.readline().split()[0]
    page = browser.open(url)
    page.wait("document.getElementById('live').textContent === 'finished'")
    page.wait("document.querySelectorAll('#summary svg').length > 0")
    page.wait("document.querySelectorAll('#list button').length > 0")
    check_filters(page)
    key = check_rollout(page)
    plan = page.run("document.getElementById('filter').elements.plan.options[1].value")
    before = put(page, "plan", plan)
    page.run("window.neverLoadedAgain = true")
    matching, total = found(page)
    evaluations = page.run("document.getElementById('summary').textContent.includes('ei_1_round_2')")
    expect(not evaluations, "a round that has not begun is in the summary")
    # The run grows by a round, and the page follows it.
    resumed = harness.Train(config, "--resume", "--set", "stage[1].ei.rounds=2")
    resumed.finish()
    page.wait("document.getElementById('live').textContent === 'finished'")
    page.wait("document.getElementById('summary').textContent.includes('ei_1_round_2')")
    page.wait(f"({FOUND})[1] > {total}")
    expect(found(page)[0] == before, "the filter by plan was lost, or the plan has changed")
    expect(page.run("document.querySelector('#one .key').textContent") == f"key: {key}",
           "the rollout that was chosen is shown no more")
    expect(page.run("window.neverLoadedAgain"), "the page was loaded again")
    put(page, "plan", "")
    check_filters(page)
    check_looks(page, "watch", pictures)
    check_quiet(page, "watch", url)
    watch.send_signal(signal.SIGTERM)
    watch.wait(60)
    page.wait("document.getElementById('live').textContent === 'reckon watch does not answer'")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for screenshots")
    pictures = parser.parse_args().pictures
    if chromium.program() is None:
        must = os.environ.get("CI") == "true"
        print(f"{'failed' if must else 'skipped'}: no Chromium; run ./dev setup --oracle")
        sys.exit(1 if must else SKIPPED)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reckon_browser_") as temporary:
        folder = pathlib.Path(temporary)
        config = harness.write_config(folder, "grows", harness.tiny_model(folder / "model"))
        run = harness.Train(config, "--set", "stage[1].ei.rounds=1").finish()
        with chromium.Chromium(folder) as browser:
            check_report(browser, run.run_dir, folder, pictures)
            print("report: loads, filters, shows a rollout, light and dark, wide and narrow", flush=True)
            check_watch(browser, config, run.run_dir, pictures)
            print("watch: the same, and follows the run", flush=True)


if __name__ == "__main__":
    main()
