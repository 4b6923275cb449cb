"""Facts: every figure has a source and a date, every name is one name, and what is not understood is refused."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import characters, sampled_from, text

from headway import catalog
from headway.catalog import store
from headway.catalog.entries import DATA, canonical
from headway.equations import throughput
from headway.errors import BadInput, HeadwayError, UnknownName, neighbours
from headway.hardware import load_system
from headway.model.config import load_model
from headway.units import parse

ENTRIES = [pytest.param(e, id=f"{kind} {e.name}") for kind in catalog.KINDS for e in catalog.entries(kind).values()]
NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
DATE = re.compile(r"20[2-9]\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?")


@pytest.fixture
def own_catalog(tmp_path, monkeypatch):
    """A folder of the user's own, read afresh before and after."""
    monkeypatch.setenv("HEADWAY_CATALOG", str(tmp_path))
    store.entries.cache_clear()

    def write(content, name="mine.toml"):
        (tmp_path / name).write_text(content, "utf-8")
        store.entries.cache_clear()
        return tmp_path / name

    yield write
    store.entries.cache_clear()


def shipped_tables():
    for kind, file in catalog.KINDS.items():
        for table in tomllib.loads((DATA / f"{file}.toml").read_text("utf-8"))[kind]:
            yield kind, table


# --- the shipped facts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_figure_has_a_source_and_a_date(entry):
    """No figure is shipped that somebody did not read somewhere, on a page that is named with the day of looking."""
    assert entry.figures
    for figure in entry.figures.values():
        assert figure.origin.references, f"{figure.name} has no source"
        for page in figure.origin.references:
            assert page in store._sources().values(), f"{figure.name}: {page.where} is not in sources.toml"
            assert DATE.fullmatch(page.checked)
            assert re.match("https?://|Read in a copy that has no stable address: ", page.where)


def test_every_source_is_used_and_stands_once():
    """A page in the list of sources carries at least one figure, and no page is listed under two keys."""
    pages = list(store._sources().values())
    used = {page for kind in catalog.KINDS for e in catalog.entries(kind).values()
            for page in (*e.references, *(p for f in e.figures.values() for p in f.origin.references))}  # fmt: skip
    assert set(pages) == used
    assert len({page.where for page in pages}) == len(pages)


def test_every_price_is_dated():
    """A price of memory or of a chip carries its date, or says that the source had none: yesterday's bill stays."""
    for kind in catalog.KINDS:
        for entry in catalog.entries(kind).values():
            for name in ("rental_usd_per_s", "purchase_usd", "usd_per_byte"):
                if name in entry.figures:
                    note = entry.figures[name].origin.note
                    assert re.search(r"20[12]\d|undated|date not recorded", note), f"{entry.name}: {name}: {note!r}"


def test_every_default_of_a_layout_says_why():
    """What the operator model assumes has a reason, and a page that was read or the words that nobody stated it."""
    assumed = store.defaults("layout")
    table = tomllib.loads((DATA / "defaults.toml").read_text("utf-8"))
    assert {"scaleup_latency_s", "scaleout_latency_s", "runtime_reserve_bytes", "expert_skew"} <= set(assumed)
    for name, default in assumed.items():
        assert table[name]["help"]
        assert default.origin.references or "our own choice" in default.origin.where, name
        assert all(DATE.fullmatch(page.checked) for page in default.origin.references)


def test_a_message_between_domains_waits_longer_than_one_inside():
    """The latencies of messages keep the order of the links: NVLink answers before a network does."""
    assumed = store.defaults("layout")
    assert 0 < assumed["scaleup_latency_s"].value < assumed["scaleout_latency_s"].value < 1e-4


def test_scales_of_a_dispatch_are_one_fp32_for_128_numbers():
    """With its scales fp8 dispatch takes 1.03125 bytes a number, and 77 µs for 128 tokens are 98 GB/s (DeepEP, EP8)."""
    plain = store.defaults()["dispatch_bytes_per_element"].value
    scales = store.defaults("layout")["dispatch_scale_bytes_per_element"].value
    assert plain + scales == 1 + 4 / 128
    assert 128 * 8 * 7168 * (plain + scales) / 77e-6 == pytest.approx(98e9, rel=0.01)


def test_every_name_is_one_name():
    """Names and aliases are unique across accelerators, systems and memory tiers: a name means one thing."""
    owners = {}
    for kind in catalog.KINDS:
        for entry in catalog.entries(kind).values():
            for name in (entry.name, *entry.aliases):
                owners.setdefault(name, []).append(f"{kind} {entry.name}")
    assert {name: of for name, of in owners.items() if len(of) > 1} == {}
    models = [n for name, facts in catalog.model_names().items() for n in (name, *facts.get("aliases", ()))]
    assert len(models) == len(set(models))
    assert not set(models) & set(owners)


def test_names_are_lower_case_with_hyphens():
    """The files spell names as they are shown: lower case, hyphens, no spaces or underscores."""
    for kind, table in shipped_tables():
        for name in (table["name"], *table.get("aliases", ())):
            assert NAME.fullmatch(name), f"{kind} {name}"
    for name, facts in catalog.model_names().items():
        assert all(NAME.fullmatch(n) for n in (name, *facts.get("aliases", ())))


@given(
    sampled_from([e.values[0] for e in ENTRIES]), sampled_from([str.upper, str.title, lambda n: n.replace("-", "_")])
)
def test_any_spelling_of_a_name_finds_it(entry, spelling):
    """Case, underscores and surrounding blanks do not matter, for names as for aliases."""
    for name in (entry.name, *entry.aliases):
        assert catalog.entry(f" {spelling(name)} ") is entry


@given(text(characters(codec="utf-8"), max_size=30))
def test_canonical_names_are_canonical(name):
    """Spelling a name the catalog's way twice changes nothing more."""
    assert canonical(canonical(name)) == canonical(name)


def test_the_vocabulary_covers_every_figure_and_every_word_of_it_is_used():
    """Each quantity has a unit that can be read and a meaning; entries use these words and leave none idle."""
    used = {(e.values[0].kind, name) for e in ENTRIES for name in e.values[0].figures}
    declared = {(kind, word.name) for word in catalog.vocabulary().values() for kind in word.of}
    assert used == declared
    for word in catalog.vocabulary().values():
        assert word.help
        assert parse(8, word.unit) == 8
    for entry in (e.values[0] for e in ENTRIES):
        assert all(figure.unit == catalog.vocabulary()[name].unit for name, figure in entry.figures.items())


def test_each_chip_of_a_system_exists():
    """A system is made of a catalogued accelerator; it says how many share a domain, and a torus has that many."""
    for system in catalog.entries("system").values():
        chip = catalog.entry(system.texts["chip"], "accelerator")
        assert chip.name == system.texts["chip"]
        size = system.figures["domain_chips"].value
        assert size == int(size) >= 1
        if system.torus:
            product = 1
            for ring in system.torus:
                product *= ring
            assert product == size


def test_each_chip_can_at_least_hold_and_read():
    """What a first-order pass needs of a chip is there; one without is a known gap, listed here with the reason."""
    known_gaps = {
        ("cpu-epyc-9654", "memory_bytes"),  # a socket holds what its modules hold
    }
    gaps = {(e.name, name) for e in catalog.entries("accelerator").values()
            for name in ("memory_bytes", "bandwidth_bytes_per_s") if name not in e.figures}  # fmt: skip
    assert gaps == known_gaps


def test_narrower_numbers_are_multiplied_no_slower():
    """A chip's dense rate does not fall as numbers get narrower (int8 apart: recent chips dropped it)."""
    order = ["fp32", "bf16", "fp8", "fp4"]
    for entry in catalog.entries("accelerator").values():
        rates = [entry.figures[f"{d}_flop_per_s"].value for d in order if f"{d}_flop_per_s" in entry.figures]
        assert rates == sorted(rates), entry.name


def test_memory_is_faster_than_any_link():
    """A chip reads its own memory faster than it talks to its neighbours."""
    for entry in catalog.entries("accelerator").values():
        figures = entry.figures
        if {"bandwidth_bytes_per_s", "scaleup_bytes_per_s"} <= set(figures):
            assert figures["scaleup_bytes_per_s"].value < figures["bandwidth_bytes_per_s"].value, entry.name


# Words by which a note names a figure, and the figures that the word may mean.
NAMED_IN_NOTES = {
    **{rf"\b{d}\b": rf"{d}_flop_per_s" for d in ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8")},
    r"tensor|FLOP/s|FLOPS|compute": r".*_flop_per_s",
    r"bandwidth|sustained rate": r"bandwidth_bytes_per_s|read_bytes_per_s",
    r"\bL2\b|cache": "sram_bytes",
    r"\bNIC\b|scale-out": "scaleout_bytes_per_s",
    r"scale-up|\blink\b": "scaleup_bytes_per_s",
    r"pod size|domain": "domain_chips",
    r"capacity": "memory_bytes|capacity_bytes",
    r"\brental": "rental_usd_per_s",
    r"\blaunch\b": "launch",
}
SAID_TO_BE_MISSING = re.compile(
    r"\b(not (found|read|stated|given|in a source)|left (out|empty)|stays? empty|no (bf16|nic|rental|flop/s))\b",
    re.I,
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_note_says_that_a_figure_is_missing_which_is_there(entry):
    """A note on gaps speaks of gaps: once a figure is found, the note that missed it goes."""
    has = {*entry.figures, *entry.texts}
    for clause in re.split(r"[;.:](?:\s|$)", entry.texts.get("notes", "")):
        if not SAID_TO_BE_MISSING.search(clause):
            continue
        for word, meant in NAMED_IN_NOTES.items():
            if re.search(word, clause):
                assert not [f for f in has if re.fullmatch(meant, f)], f"{entry.name}: {clause!r}"


@pytest.mark.parametrize("entry", ENTRIES)
def test_notes_speak_to_a_reader_who_has_only_the_catalog(entry):
    """No note points to a file that is not shipped, to how somebody searched, or to a bare identifier."""
    for note in (*entry.texts.values(), *(figure.origin.note for figure in entry.figures.values())):
        assert not re.search(r"\bcsv\b|code index|\bthe tool\b|\bcolumns? stays?\b|\b\d{9,}\b", note, re.I), note


def test_decimal_figures_are_printed_in_decimal_units():
    """A binary unit has a number that somebody would print: a converted decimal figure such as 114441 GiB does not."""
    for _, table in shipped_tables():
        for name, stated in table.items():
            if isinstance(stated, dict) and (found := re.match(r"([\d.]+) [KMGT]iB", str(stated["value"]))):
                assert found[1].isdigit(), f"{table['name']}: {name}: {stated['value']}"
                assert int(found[1]) < 1024, f"{table['name']}: {name}: {stated['value']}"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("a6000", "rtx-a6000"), ("RTX3090", "rtx-3090"), ("RTX5090", "rtx-5090"), ("Gaudi 3", "gaudi3"),
     ("v5e", "tpu-v5e"), ("Trainium 2", "trainium2"), ("WSE-3", "cerebras-wse3"), ("B100", "b100-sxm")],
)  # fmt: skip
def test_short_names_that_people_type_are_found(typed, meant):
    """A chip answers to what it is called in conversation, where that means one chip."""
    assert catalog.entry(typed).name == meant


def test_a_third_party_derivation_is_no_peak_rate():
    """Cerebras prints one sparse figure without a dtype: the catalog has a gap there and says why."""
    chip = catalog.entry("cerebras-wse3")
    assert not [name for name in chip.figures if name.endswith("_flop_per_s")]
    assert "sparse" in chip.texts["notes"]


def test_a_rate_with_another_accumulator_says_so():
    """The RTX 5090's fp16 and fp8 rates accumulate in fp16, its bf16 rate in fp32: each figure says which."""
    figures = catalog.entry("rtx-5090").figures
    assert figures["fp16_flop_per_s"].value == pytest.approx(2 * figures["bf16_flop_per_s"].value, rel=1e-3)
    assert all("fp16 accumulation" in figures[f"{d}_flop_per_s"].origin.note for d in ("fp16", "fp8"))
    assert "fp32 accumulat" in figures["bf16_flop_per_s"].origin.note


def test_every_model_says_what_is_known_of_its_licence():
    """Each shipped config carries its model's terms, known or not read; NOTICE names every repository of origin."""
    root = Path(__file__).parents[1]
    notice = (root / "NOTICE").read_text("utf-8")
    for name, facts in catalog.model_names().items():
        assert re.search(r"MIT|Apache-2\.0|not read here", facts["licence"]), name
        assert "/".join(facts["config_source"].split("/")[3:5]) in notice, name
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    assert "NOTICE" in project["project"]["license-files"]
    assert "NOTICE" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


# Vendors' data sheets, specification tables, as their makers print them; sparse rates halved.
DATA_SHEETS = [
    ("h100-sxm", "memory_bytes", 80e9), ("h100-sxm", "bandwidth_bytes_per_s", 3.35e12),
    ("h100-sxm", "bf16_flop_per_s", 989.5e12), ("h100-sxm", "fp8_flop_per_s", 1979e12), ("h100-sxm", "power_w", 700),
    ("h200-sxm", "memory_bytes", 141e9), ("h200-sxm", "bandwidth_bytes_per_s", 4.8e12),
    ("a100-sxm-80gb", "bf16_flop_per_s", 312e12), ("a100-sxm-80gb", "bandwidth_bytes_per_s", 2.039e12),
    ("mi300x", "memory_bytes", 192e9), ("mi300x", "bandwidth_bytes_per_s", 5.3e12),
    ("mi300x", "bf16_flop_per_s", 1307.4e12), ("tpu-v5p", "bf16_flop_per_s", 459e12),
    ("gb200", "bandwidth_bytes_per_s", 8e12), ("gb200", "scaleup_bytes_per_s", 900e9),
]  # fmt: skip


@pytest.mark.parametrize(("chip", "name", "printed"), DATA_SHEETS)
def test_figures_are_those_of_the_data_sheets(chip, name, printed):
    """Well-known figures agree with the makers' data sheets (three digits: some print 989, some 989.4)."""
    assert catalog.entry(chip).figures[name].value == pytest.approx(printed, rel=1.1e-3)


def test_rubin_drains_in_fourteen_milliseconds():
    """288 GB at 20 TB/s take 14.4 ms to read once (the lecture's anchor); the catalog's Rubin has 22 TB/s or 20."""
    assert throughput.drain_s(288e9, 20e12) == pytest.approx(14.4e-3)
    chip = catalog.entry("vr200-nvl72").figures
    assert chip["memory_bytes"].value == 288e9
    assert throughput.drain_s(chip["memory_bytes"].value, chip["bandwidth_bytes_per_s"].value) <= 14.4e-3


# --- names -------------------------------------------------------------------------------------------------------

# Every chip that published measurements name, as they name it.
MEASURED_CHIPS = [
    "H100-SXM", "B200", "H200", "A100-SXM-80GB", "GB200", "GB300", "A100-SXM-40GB", "Gaudi2", "TPU-v6e", "MI250",
    "RTX-4090", "RTX-PRO-6000", "RTX-3090", "RTX-A6000", "A40", "A100-PCIe-80GB", "H100-PCIe", "M2-Ultra",
    "H100-96GB-HBM2e", "TPU-v5p", "M1-Max", "TPU-v5e", "RTX-5000-Ada", "MI300X", "B300", "H200-NVL", "M4-Max", "H800",
    "Arc-Pro-B60", "TPU-v4", "RTX-3070", "RTX-3080", "RTX-4070-Ti", "H100-NVL", "GB10-DGX-Spark", "MI250X-GCD",
    "TPU7x", "H20",
]  # fmt: skip


@pytest.mark.parametrize("name", MEASURED_CHIPS)
def test_the_chips_of_published_measurements_are_found(name):
    """A measured row's chip is looked up under the name that the row has."""
    assert catalog.entry(name).kind == "accelerator"


# Every model that published measurements name, as they name it, and its nominal size in billions.
MEASURED_MODELS = {
    "DeepSeek-R1": 671, "DeepSeek-R1-0528": 671, "DeepSeek-V3": 671, "DeepSeek-V3.2": 672, "GPT-1.3B": 1.3,
    "GPT-13B": 13, "GPT-20B": 20, "GPT-350M": 0.35, "GPT-89B": 89, "GPT-J-6B": 6.05, "Llama-2-13B": 13,
    "Llama-2-70B": 69, "Llama-2-7B": 6.74, "Llama-3-70B": 70.6, "Llama-3-8B": 8.03, "Llama-3.1-405B": 405,
    "Llama-3.1-70B": 70.6, "Llama-3.1-8B": 8.03, "Llama-3.3-70B": 70.6, "Llama-4-Maverick-17B-128E": 400,
    "Llama-4-Scout-17B-16E": 109, "Megatron-530B": 530, "Mistral-7B-v0.1": 7.24, "Mixtral-8x7B": 46.7,
    "Nemotron-3-Super-120B-A12B": 120, "PaLM-540B": 540, "Qwen3-235B-A22B": 235, "Qwen3-30B-A3B": 30.5,
    "Qwen3-32B": 32.8, "Qwen3-4B": 4.02, "Qwen3.5-397B-A17B": 397, "gpt-oss-120b": 117, "gpt-oss-20b": 20.9,
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED_MODELS)
def test_the_models_of_published_measurements_are_found_and_of_their_size(name):
    """A measured row's model is looked up under the name that the row has; its config adds up to its size."""
    assert load_model(name).total_params / 1e9 == pytest.approx(MEASURED_MODELS[name], rel=0.025)


# Hosts of cards that published measurements name, with as many cards as the largest of them.
MEASURED_HOSTS = {
    "rtx-3090-host": 6, "rtx-4090-host": 8, "rtx-5000-ada-host": 4, "rtx-a6000-host": 4, "a40-host": 4,
    "a100-pcie-host": 4, "arc-pro-b60-dual-host": 4, "h100-nvl-host": 8, "h200-nvl-host": 8,
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED_HOSTS)
def test_cards_of_one_host_have_a_link_to_each_other(name):
    """Cards without a fabric of their own talk through their host; links are slower than the memory at their end."""
    system = replace(load_system(name), chips=MEASURED_HOSTS[name])
    links = [system.figure("scaleup_bytes_per_s").value]
    if system.domains > 1:
        links.append(system.figure("scaleout_bytes_per_s").value)
    assert None not in links
    assert max(links) < system.figure("bandwidth_bytes_per_s").value


def test_a_name_of_two_variants_is_refused_with_both():
    """GH200 was sold with 96 GB and with 141 GB; asked without the size, the catalog guesses neither."""
    with pytest.raises(UnknownName) as refusal:
        catalog.entry("GH200", "accelerator", "system")
    assert {"gh200-96gb", "gh200-141gb"} <= set(refusal.value.suggestions)
    assert all(name in str(refusal.value) for name in ("gh200-96gb", "gh200-141gb"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("h100-smx", "h100-sxm"), ("gb200-nvl27", "gb200-nvl72"), ("mi3000x", "mi300x"), ("tpuv5p", "tpu-v5p")],
)
def test_a_misspelt_name_suggests_its_neighbours(written, meant):
    """A slip of the fingers is answered with the name that was meant."""
    with pytest.raises(UnknownName, match=re.escape(meant)):
        catalog.entry(written)


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ("llama-3.1-8b-instruct", "llama-3.1-8b"), ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("org/deepseek-v3-base", "deepseek-v3"), ("qwen3", "qwen3-0.6b"), ("llama-3.1-8", "llama-3.1-8b"),
    ],
)  # fmt: skip
def test_a_name_with_a_suffix_suggests_the_name_without(written, first):
    """A catalogued name that begins what was typed, or is begun by it, comes before names that look alike."""
    assert neighbours(written, catalog.model_names())[0] == first


def test_few_names_are_listed_where_none_is_near():
    """Where nothing looks like what was typed, and there is little to choose from, the message has it all."""
    assert str(UnknownName("colour", "zzz", ["red", "blue"])) == "unknown colour 'zzz'; known are red, blue"
    assert str(UnknownName("colour", "zzz", {"red", "blue"})) == "unknown colour 'zzz'; known are blue, red"
    assert str(UnknownName("colour", "zzz", map(str, range(13)))) == "unknown colour 'zzz'"


def test_a_model_is_found_by_the_last_part_of_another_owners_id(tmp_path, monkeypatch):
    """Mirrors and renamed owners have the same model; a path that exists is a path."""
    assert catalog.read_model("meta-llama/Llama-3.1-8B")[0] == "llama-3.1-8b"
    assert catalog.read_model("someone/Meta-Llama-3.1-8B")[0] == "llama-3.1-8b"
    assert catalog.read_model("meta-llama/Llama-9-8B") is None
    assert catalog.read_model("models/meta-llama/Llama-3.1-8B") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "llama-3.1-8b").mkdir(parents=True)
    assert catalog.read_model("mine/llama-3.1-8b") is None


def test_a_name_of_another_kind_is_not_found():
    """Asked for an accelerator, the catalog does not answer with a memory tier."""
    tier = next(iter(catalog.entries("memory_tier")))
    assert catalog.entry(tier).kind == "memory_tier"
    with pytest.raises(UnknownName, match=r"; that is a memory tier$"):
        catalog.entry(tier, "accelerator")


def test_a_figure_that_is_not_there_is_a_gap_that_names_itself():
    """A figure no source gave has no value and says which figure of what is missing, and how to give it."""
    gap = catalog.entry("apple-m1").figure("rental_usd_per_s")
    assert gap.value is None
    assert gap.unit == "USD/s"
    assert "rental_usd_per_s of apple-m1" in gap.gap
    assert gap.gap.endswith("; supply --price '$2/h'")
    assert "; supply it with --set memory_bytes=..." in catalog.entry("cpu-epyc-9654").figure("memory_bytes").gap


# --- the user's own ----------------------------------------------------------------------------------------------

OWN = """
[[accelerator]]
name = "My_Chip X"
aliases = ["mcx"]
vendor = "me"
memory_bytes = "1 TiB"
bandwidth_bytes_per_s = { value = "30 TB/s", from = ["our data sheet, page 3"], note = "measured" }
bf16_flop_per_s = 5e15
domain_chips = 4

[[system]]
name = "my-rack"
chip = "My_Chip X"
domain_chips = 16

[[memory_tier]]
name = "my-flash"
capacity_bytes = "61.44 TB"
usd_per_byte = "$0.1/GB"
"""


def test_own_entries_are_found_beside_the_shipped_ones(own_catalog):
    """A TOML file in the folder named by HEADWAY_CATALOG adds chips, systems and tiers, with their sources."""
    own_catalog(OWN)
    chip = catalog.entry("MCX")
    assert chip.name == "my-chip-x"
    assert chip.figures["memory_bytes"].value == 2**40
    bandwidth = chip.figures["bandwidth_bytes_per_s"]
    assert bandwidth.value == 30e12
    assert (bandwidth.origin.references[0].where, bandwidth.origin.note) == ("our data sheet, page 3", "measured")
    assert catalog.entry("my_flash").figures["usd_per_byte"].value == pytest.approx(1e-10)
    assert load_system("my-rack:2").chips == 32
    assert load_system("my-rack").chip == chip
    assert load_system("my-chip-x:8").domains == 2
    assert catalog.entry("h100-sxm").figures["memory_bytes"].value == 80e9


def test_an_own_entry_replaces_the_shipped_one_of_its_name(own_catalog):
    """A user who knows better writes the entry again; only that one changes."""
    own_catalog("[[accelerator]]\nname = 'H100-SXM'\nmemory_bytes = '79 GB'")
    assert catalog.entry("h100-sxm").figures["memory_bytes"].value == 79e9
    assert "bandwidth_bytes_per_s" not in catalog.entry("h100-sxm").figures
    assert catalog.entry("h200-sxm").figures["memory_bytes"].value == 141e9


def test_an_own_file_can_be_named_where_a_system_is_asked_for(tmp_path):
    """The same file by its path is a system: its first system, made of its own chip, whatever the spelling."""
    path = tmp_path / "rack.toml"
    path.write_text(OWN, "utf-8")
    system = load_system(str(path))
    assert (system.name, system.chips, system.chip.name) == ("my-rack", 16, "my-chip-x")
    assert load_system(f"{path}:3").chips == 48
    with pytest.raises(UnknownName):
        catalog.entry("my-rack")


def test_a_broken_own_catalog_is_named_in_every_answer(own_catalog):
    """A file in the user's folder that cannot be read is not passed over in silence."""
    own_catalog("[[accelerator]]\nname = 'x'\nmemory = '1 GB'")
    with pytest.raises(BadInput, match=r"^mine\.toml, x: unknown field of \[\[accelerator\]\] 'memory'"):
        catalog.entry("h100-sxm")


def test_a_catalog_folder_that_is_not_there_is_refused(monkeypatch, tmp_path):
    """HEADWAY_CATALOG with a slip in it is an error, not an empty catalog."""
    monkeypatch.setenv("HEADWAY_CATALOG", str(tmp_path / "catalogue"))
    store.entries.cache_clear()
    try:
        with pytest.raises(BadInput, match="HEADWAY_CATALOG must name a folder"):
            catalog.entry("h100-sxm")
    finally:
        store.entries.cache_clear()


CHIP = "[[accelerator]]\nname = 'x'\n"
# What is wrong with a file, and what the one line must contain.
BAD_FILES = {
    "unknown field": (CHIP + "membory_bytes = 3", "membory_bytes'; did you mean memory_bytes"),
    "field of another kind": (CHIP + "capacity_bytes = '1 GB'", "unknown field of [[accelerator]] 'capacity_bytes'"),
    "unknown table": ("[[acelerator]]\nname = 'x'", "'acelerator'; did you mean accelerator?"),
    "wrong unit": (CHIP + "memory_bytes = '3 TB/s'", "memory_bytes: expected B such as '80 GB', found '3 TB/s'"),
    "bits for bytes": (CHIP + "memory_bytes = '80 Gb'", "found '80 Gb'"),
    "unknown key of a figure": (CHIP + "memory_bytes = { value = 1, form = 'me' }", "{ value, from, note }"),
    "figure without value": (CHIP + "memory_bytes = { from = ['me'] }", "{ value, from, note }"),
    "figure is a list": (CHIP + "memory_bytes = [1]", "expected a number in B such as '80 GB'"),
    "figure is a date": (CHIP + "memory_bytes = 2026-01-01", "expected a number in B"),
    "figure is true": (CHIP + "memory_bytes = true", "expected a number in B"),
    "price without its time": (CHIP + "rental_usd_per_s = '0.8'", "rental_usd_per_s: expected USD/s with its unit"),
    "price that is a number": (CHIP + "rental_usd_per_s = 0.8", "such as '$2/h', found '0.8'"),
    "price that is a whole number": (CHIP + "rental_usd_per_s = { value = 2 }", "such as '$2/h', found '2'"),
    "nan": (CHIP + "memory_bytes = nan", "expected a finite number in B"),
    "infinite": (CHIP + "memory_bytes = inf", "expected a finite number in B"),
    "negative": (CHIP + "memory_bytes = '-80 GB'", "memory_bytes must be positive"),
    "zero": (CHIP + "memory_bytes = 0", "memory_bytes must be positive"),
    "larger than anything": (CHIP + "memory_bytes = 1e31", "memory_bytes must be positive and at most 1e+30"),
    "thousands of digits": (CHIP + f"memory_bytes = {'9' * 5000}", "file.toml is not TOML"),
    "thousands of hexadecimal digits": (CHIP + f"memory_bytes = 0x{'f' * 5000}", "a number of thousands of digits"),
    "half a chip": (CHIP + "domain_chips = 0.5", "domain_chips must be a whole number"),
    "no name": ("[[accelerator]]\nmemory_bytes = 1", "needs a name"),
    "empty name": ("[[accelerator]]\nname = ' '", "needs a name"),
    "name is a number": ("[[accelerator]]\nname = 5", "needs a name"),
    "table is a number": ("accelerator = 5", "accelerator is a table"),
    "list of numbers": ("accelerator = [5]", "accelerator is a table"),
    "sources are a number": (CHIP + "memory_bytes = { value = 1, from = 5 }", "from is a list of strings"),
    "aliases are numbers": (CHIP + "aliases = [5]", "aliases is a list of strings"),
    "system without chip": ("[[system]]\nname = 'x'\ndomain_chips = 8", "needs a chip"),
    "torus of words": ("[[system]]\nname = 'x'\nchip = 'h100-sxm'\ntorus = ['4']", "torus is a list of ring lengths"),
    "not TOML": ("name: x\n", "file.toml is not TOML"),
    "same key twice": (CHIP + "vendor = 'a'\nvendor = 'b'", "file.toml is not TOML"),
    "deep nesting": ("a = " + "[" * 100_000, "nested too deeply"),
    "deep tables": ("a = " + "{a=" * 100_000, "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_with_a_mistake_is_refused_in_one_line(tmp_path, content, expected):
    """What is wrong in a user's file is said in one line: the file, the entry, what was expected, the nearest name."""
    path = tmp_path / "file.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(BadInput) as refusal:
        catalog.read_file(path)
    message = str(refusal.value)
    assert expected in message
    assert "file.toml" in message
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\xff\xfe\x00", "cannot read"), (b"#" * 25_000_000, "larger than 20 MB")],
    ids=["no text", "25 MB"],
)
def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path, content, expected):
    """Bytes that are no text, or more than anybody writes, are refused before they are parsed."""
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=expected):
        catalog.read_file(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """A path that leads to no file says so."""
    (tmp_path / "folder.toml").mkdir()
    for name in ("nothing.toml", "folder.toml"):
        with pytest.raises(BadInput, match="there is no file"):
            catalog.read_file(tmp_path / name)


FIELDS = sampled_from(
    ["name", "chip", "memory_bytes", "domain_chips", "torus", "aliases", "notes", "value", "accelerator"]
)
VALUES = sampled_from(
    ["'x'", "5", "-1", "1e400", "[]", "['a']", "[[1]]", "{}", "{ value = '1 GB' }", "true", "'80 GB'"]
)


@given(
    lines=text(alphabet="\x00 \n='\"[]{}#\\u1", max_size=20),
    kind=sampled_from([*catalog.KINDS, "x"]),
    field=FIELDS,
    value=VALUES,
)
def test_any_file_is_entries_or_a_refusal(tmp_path_factory, lines, kind, field, value):
    """Whatever a file holds, reading it gives entries or one readable line."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(f"[[{kind}]]\nname = 'x'\n{field} = {value}\n{lines}", "utf-8")
    try:
        found = catalog.read_file(path)
    except HeadwayError as error:
        found = str(error)
    assert isinstance(found, list) or found.isprintable()
