"""The wheel by itself: what is installed from it serves the page, in an environment and a network with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browsing import must_not_skip

ROOT = Path(__file__).resolve().parent.parent
# Inside a network of its own, of which only the loopback is up: the server of the wheel, and Chromium in front of it.
OFFLINE = """
import fcntl, json, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b""))  # SIOCSIFFLAGS: up and running
from tests.browsing import browsing, drawn, serving
with serving(program=[sys.argv[1], "ui"]) as address, browsing() as browser:
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + "batch")
    page.wait_for_selector("[data-curve] path")
    curves, _ = drawn(page, "latency")
    print(json.dumps({"points": len(curves["the pass"]), "elsewhere": [u for u in asked if not u.startswith(address)]}))
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The command from the project's wheel, in a fresh environment with the extra `web` and nothing more."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        run(
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT), env=pip
        )
        (wheel,) = folder.glob("*.whl")
        run(sys.executable, "-m", "venv", str(folder / "bare"))
        run(str(folder / "bare/bin/pip"), "install", "--quiet", f"{wheel}[web]", env=pip)
    except AssertionError as error:
        if must_not_skip() or "No matching distribution" not in str(error):
            raise
        pytest.skip("packages cannot be had here")
    return folder / "bare/bin/headway"


def test_the_wheel_serves_the_page_without_a_network(installed):
    """Installed from the wheel, the page opens and draws in Chromium where there is no network but the loopback."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        assert not must_not_skip(), "a network of its own is required, and cannot be had"
        pytest.skip("a network of its own cannot be had here")
    told = json.loads(run("unshare", "--net", sys.executable, "-c", OFFLINE, str(installed), cwd=ROOT))
    assert told["points"] > 100
    assert told["elsewhere"] == []


def test_without_the_extra_the_command_says_what_to_install(installed):
    """A plain install answers `headway ui` with one line that names the extra."""
    run(str(installed.with_name("pip")), "uninstall", "--quiet", "--yes", "uvicorn")
    done = subprocess.run([installed, "ui"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert (
        done.stderr == "headway: the page needs starlette and uvicorn; install them with: pip install 'headway[web]'\n"
    )
