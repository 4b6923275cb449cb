"""A real browser on a real server, and a way to read values back from what is drawn."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Points of a curve and ticks of an axis, in the pixels of the picture whatever transforms lie between.
READ = """figure => {
  const svg = figure.querySelector("svg");
  const placed = (node, x, y) => {
    const p = new DOMPoint(x, y).matrixTransform(svg.getCTM().inverse().multiply(node.getCTM()));
    return [p.x, p.y];
  };
  const ticks = name => [...figure.querySelectorAll(`[data-axis="${name}"] [data-value]`)].map(text => [
    Number(text.dataset.value),
    placed(text, text.x.baseVal[0]?.value ?? 0, text.y.baseVal[0]?.value ?? 0)[name === "x" ? 0 : 1],
  ]);
  const points = path => path.getAttribute("d").split(/(?=[ML])/).filter(part => /^[ML]/.test(part))
    .map(part => placed(path, ...part.slice(1).replace("Z", "").split(",").map(Number)));
  return {
    x: ticks("x"), y: ticks("y"),
    curves: Object.fromEntries([...figure.querySelectorAll("[data-curve]")].map(
      group => [group.dataset.curve, [...group.querySelectorAll("path")].flatMap(points)])),
    dots: Object.fromEntries([...figure.querySelectorAll("[data-group] path, [data-group] circle")].map(
      dot => [dot.querySelector("title").textContent.split(": ")[0],
              placed(dot, dot.cx?.baseVal.value ?? 0, dot.cy?.baseVal.value ?? 0)])),
  };
}"""


def must_not_skip():
    """Whether a test that lacks something of the machine has to fail; so it is where the tests decide."""
    return os.environ.get("HEADWAY_TESTS") == "all"


def browser_path():
    """Where Chromium is; without it the test skips, but where a browser is required."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and not must_not_skip():
        pytest.skip("no Chromium here (tests/install-browser)")
    assert found, "no test may be skipped, and there is no Chromium"
    return found


@contextmanager
def serving(program=(sys.executable, "-m", "headway", "ui")):
    """A server in a process of its own; its address."""
    with subprocess.Popen([*program, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@contextmanager
def browsing():
    """A headless Chromium."""
    path = browser_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--force-color-profile=srgb"])
        yield browser
        browser.close()


def drawn(page, key, column="a"):
    """What a figure shows, read from its picture: points of curves by label, places of dots by name, in drawn units."""
    told = page.eval_on_selector(f'[data-figure="{key}"][data-column="{column}"]', READ)
    x, y = (_scale(told[axis]) for axis in "xy")
    curves = {label: [(x(left), y(top)) for left, top in points] for label, points in told["curves"].items()}
    return curves, {name: (x(left), y(top)) for name, (left, top) in told["dots"].items()}


def _scale(ticks):
    """From pixels to values, by the first and the last tick; logarithmic where the ticks between say so."""
    assert len(ticks) >= 2, ticks
    (low, start), (high, end) = ticks[0], ticks[-1]
    logarithmic = low > 0 and high / low > 1.5 and not _evenly(ticks)
    if logarithmic:
        return lambda at: low * (high / low) ** ((at - start) / (end - start))
    return lambda at: low + (high - low) * (at - start) / (end - start)


def _evenly(ticks):
    """Whether the ticks between the ends lie where a linear scale has them."""
    (low, start), *between, (high, end) = ticks
    return all(
        math.isclose((at - start) / (end - start), (value - low) / (high - low), abs_tol=1e-3) for value, at in between
    )
