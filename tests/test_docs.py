"""The docs say what is true: links lead somewhere, every command and key is there, schemas hold.

That the examples print what the pages show is checked by `make check` itself, which runs every one of them again.
"""

import json
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from headway.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page):
    """A relative link or picture names a file that is there."""
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_readme_leads_to_every_page():
    """No page of the docs is an orphan."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert not [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme]


def test_the_reference_has_the_help_of_every_command():
    """Every command's help stands in the reference, options and all."""
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert not [command for command in COMMANDS if f"$ headway {command} --help" not in reference]


LAID_OUT = "roofline deepseek-v3 --on gb200-nvl72 --layout dp64,ep64 --terms --batch 64"


@pytest.mark.parametrize(
    "command",
    [
        "roofline deepseek-v3 --on gb200-nvl72",
        "model deepseek-v3",
        f"{LAID_OUT} --pass 64 --disaggregated",
        f"{LAID_OUT} --draft mtp --chunk 8",
    ],
)
def test_the_reference_names_every_key_of_the_json(command, capsys):
    """A key that a command prints is a key that the reference explains."""
    main([*command.split(), "--json"])
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    keys = [key for key in json.loads(capsys.readouterr().out) if not key.endswith("_reason")]
    assert not [key for key in keys if f"`{key}`" not in reference]


@pytest.mark.parametrize(
    "command",
    [
        "catalog", "catalog systems", "catalog h100", "catalog rtx", "catalog gb200-nvl72", "catalog nvme-gen5-pm1743",
        "catalog deepseek-v3", "catalog generations", "catalog generations --chips", "equation",
        "equation balance_batch", "equation hit", "equation beat_s drain_s=20ms step_s=10ms,30ms",
        "equation md1_wait_s utilisation=1.5 service_s=1",
    ],
)  # fmt: skip
def test_the_output_matches_the_schema_beside_the_command(command, capsys):
    """What `catalog` and `equation` print is what their published schemas say."""
    main([*command.split(), "--json"])
    schema = json.loads((files("headway.cli") / f"{command.split()[0]}.schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads(capsys.readouterr().out), schema)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_an_example_prints_stands_in_a_fence(page):
    """Every generated block begins with a fence or a heading, so that no output runs into the prose."""
    blocks = re.findall(r"\]\]\] -->\n(.*?)<!-- \[\[\[end\]\]\]", page.read_text("utf-8"), re.S)
    starts = [block.lstrip().split("\n", 1)[0] for block in blocks]
    assert not [start for start in starts if not start.startswith(("```", "#", "**"))]
