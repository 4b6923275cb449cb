"""The rooms of the house: which may use which, and what stays out of an import that has to be instant."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import headway

PACKAGE = Path(headway.__file__).parent

# Floor by floor: a room may use the rooms on the floors below its own, and itself.
FLOORS = [
    {"errors"},
    {"units"},
    {"uncertainty"},
    {"provenance"},
    {"catalog", "equations"},
    {"model", "hardware"},
    {"generations", "matching", "step"},
    {"explanation", "techniques", "validate"},
    {"figures"},
    {"drawing", "words", "api"},
    {"web"},
    {"cli"},
]
# Rooms that may use less than what stands below them: equations take numbers, and know nothing of where they are from;
# what explains them knows no model and no machine.
ONLY = {"equations": {"equations"}, "explanation": {"errors", "units", "provenance", "equations", "explanation"}}
# A system is asked for the rate of a number format.
BESIDE = {("hardware", "headway.model.dtypes")}
FRONT_DOOR = {"__init__", "__main__"}  # hands out names and starts the command


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Every module that a file imports anywhere, also inside functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from names if node.module == "headway" else [node.module]


FILES = [
    pytest.param(path, id=str(path.relative_to(PACKAGE)))
    for path in sorted(PACKAGE.rglob("*.py"))
    if room_of(path) not in FRONT_DOOR
]


@pytest.mark.parametrize("path", FILES)
def test_imports_point_one_way(path):
    """A file uses only rooms below its own (`headway` itself is the front door: only the command reads its version)."""
    room = room_of(path)
    level = next(i for i, floor in enumerate(FLOORS) if room in floor)
    allowed = ONLY.get(room, set().union(*FLOORS[:level]) | {room})
    for module in imports(path):
        top, _, rest = module.partition(".")
        if top == "headway" and (room, module) not in BESIDE and not (room == "cli" and rest == "__version__"):
            assert rest.split(".")[0] in allowed, f"{room} may not use {module}"


def test_every_room_has_its_floor():
    """A new room is given its place here before it is used."""
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - FRONT_DOOR
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p.values[0]) == "equations"])
def test_equations_need_only_arrays(path):
    """Equations import NumPy, array-API helpers, the standard library and each other; so they run anywhere."""
    free = {"numpy", "array_api_compat", "headway", *sys.stdlib_module_names}
    assert {module.split(".")[0] for module in imports(path)} <= free


def test_what_is_imported_is_a_dependency():
    """Beyond the standard library there are the two mandatory dependencies, and the extras where they are used."""
    for path in PACKAGE.rglob("*.py"):
        found = {module.split(".")[0] for module in imports(path)} - set(sys.stdlib_module_names) - {"headway"}
        extras = {"drawing": {"matplotlib"}, "web": {"starlette", "uvicorn"}}.get(room_of(path), set())
        assert found <= {"numpy", "array_api_compat"} | extras, path


def loaded(code):
    """The modules that are loaded after some code, in a fresh interpreter."""
    program = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(run.stderr.split())


HEAVY = {
    "numpy",
    "matplotlib",
    "jax",
    "scipy",
    "array_api_compat",
    "tomllib",
    "argparse",
    "asyncio",
    "pandas",
    "msgspec",
}


@pytest.mark.parametrize(
    "code",
    ["import headway", *(f"from headway.cli import main; main(['--{word}'])" for word in ("help", "version"))],
    ids=["import headway", "headway --help", "headway --version"],
)  # fmt: skip
def test_an_import_and_help_load_nothing_heavy(code):
    """`import headway` and `headway --help` feel instant: no array library, no plotting, no catalog is loaded."""
    modules = loaded(code)
    assert "headway" in modules
    assert not HEAVY & {module.split(".")[0] for module in modules}


def test_an_answer_loads_neither_plotting_nor_jax():
    """Without a picture asked for, a whole question is answered without matplotlib, and always without JAX."""
    modules = loaded("import headway; headway.roofline('llama-3.1-8b', on='h100-sxm', batch=1)")
    assert "numpy" in modules
    assert not {"matplotlib", "jax", "pandas", "scipy"} & modules


def test_public_names_stay_what_they_are():
    """A public name means the same thing however often it is asked for and whatever else was imported before.

    A function and a module of one name had made `headway.explain` a function once and a module ever after.
    """
    before = {name: getattr(headway, name) for name in headway.__all__}
    for module in pkgutil.walk_packages([str(PACKAGE)], "headway."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {name: getattr(headway, name) for name in headway.__all__} == before
    assert all(callable(before[name]) for name in ("explain", "roofline", "load_model", "load_system"))
    assert set(headway.__all__) <= set(dir(headway))
    with pytest.raises(AttributeError, match="rooflin"):
        _ = headway.rooflin
