"""Systems as people write them: a chip and a count, a named rack or several, a file; with changes, and refusals."""

import math

import pytest
from hypothesis import given
from hypothesis.strategies import characters, from_regex, integers, sampled_from, text

from headway import catalog
from headway.errors import BadInput, HeadwayError, UnknownName
from headway.hardware import MOST_CHIPS, load_system
from headway.model.dtypes import DTYPES, dtype

CHIPS = sampled_from(sorted(catalog.entries("accelerator")))
RACKS = sampled_from(sorted(catalog.entries("system")))


@given(CHIPS, integers(1, 100_000))
def test_a_chip_and_a_count_in_any_spelling_are_so_many_chips(name, count):
    """`h100-sxm:8`, `8xh100-sxm`, `8 x H100_SXM` are the same eight chips."""
    system = load_system(f"{name}:{count}")
    assert (system.chip.name, system.chips, system.rack) == (name, count, None)
    for spelling in (f"{count}x{name}", f"{count} x {name.upper()}", f" {name.replace('-', '_')}:{count} "):
        assert load_system(spelling) == system


@given(RACKS, integers(1, 500))
def test_several_racks_are_so_many_domains(name, count):
    """A named system has the chips that its maker put into it; two of them are twice as many, in two domains."""
    one, several = load_system(name), load_system(f"{name}:{count}")
    assert several.chips == count * one.chips
    assert several.domain_chips == one.domain_chips == one.chips
    assert (one.domains, several.domains) == (1, count)
    assert load_system(f"{count}x{name}") == several


@pytest.mark.parametrize(
    ("written", "chips", "domains"),
    [
        ("h100-sxm", 1, 1), ("8xH100-SXM", 8, 1), ("h100-sxm:16", 16, 2), ("h100-sxm:12", 12, 2), ("dgx-h100", 8, 1),
        ("dgx-h100:2", 16, 2), ("gb200-nvl72", 72, 1), ("gb200:72", 72, 1), ("gb200:144", 144, 2),
        ("2xgb200-nvl72", 144, 2), ("GB200_NVL72", 72, 1), ("tpu-v5p-pod", 8960, 1), ("rtx-4090:4", 4, 4),
    ],
)  # fmt: skip
def test_well_known_systems_have_their_chips_and_domains(written, chips, domains):
    """A DGX has 8 chips in one domain, an NVL72 72; more chips than a domain holds become several domains."""
    system = load_system(written)
    assert (system.chips, system.domains) == (chips, domains)


@given(CHIPS, integers(1, 10_000))
def test_domains_hold_all_chips_and_only_the_last_may_be_short(name, count):
    """Chips fill domains one after the other: the domains suffice, and one fewer would not."""
    system = load_system(f"{name}:{count}")
    assert 1 <= system.domain_chips <= count
    assert (system.domains - 1) * system.domain_chips < count <= system.domains * system.domain_chips


def test_a_chip_without_a_known_domain_is_one_domain():
    """Where no source says how many chips share a fabric, those that were asked for do."""
    unknown = next(e.name for e in catalog.entries("accelerator").values() if "domain_chips" not in e.figures)
    system = load_system(f"{unknown}:5")
    assert (system.domain_chips, system.domains) == (5, 1)


def test_a_system_answers_for_its_chip_but_not_with_the_chips_power():
    """Figures of the rack come first, then those of the chip; the power of one chip is not that of a rack."""
    rack = load_system("gb200-nvl72")
    assert rack.figure("power_w").value == 120e3
    assert rack.figure("memory_bytes") == rack.chip.figures["memory_bytes"]
    assert rack.figure("domain_chips").value == 72
    silent = load_system("hgx-h200")
    assert silent.figure("power_w").value is None
    assert "power_w of hgx-h200" in silent.figure("power_w").gap
    assert load_system("h200-sxm").figure("power_w").value == 700


# --- rates -------------------------------------------------------------------------------------------------------


def test_a_format_is_multiplied_at_its_own_rate_or_the_next_wider():
    """fp8 weights run at the fp8 rate where the chip has one, and at the bf16 rate where it does not; it says so."""
    h100, a100 = load_system("h100-sxm"), load_system("a100-sxm-80gb")
    assert h100.peak(dtype("fp8")).value == h100.chip.figures["fp8_flop_per_s"].value
    assert a100.peak(dtype("fp8")).value == a100.chip.figures["bf16_flop_per_s"].value
    assert "weights in fp8 are multiplied at the bf16 rate" in a100.peak(dtype("fp8")).origin.note
    assert a100.peak(dtype("fp8")).origin.references == a100.chip.figures["bf16_flop_per_s"].origin.references


@pytest.mark.parametrize("name", [name for name in DTYPES if name != "fp32"])
def test_narrow_weights_never_run_at_the_fp32_rate(name):
    """A chip whose only known rate is that of its fp32 units has no rate for 16 bits or fewer; fp32 weights have."""
    assert {"fp32_flop_per_s", "tf32_flop_per_s"}.isdisjoint(dtype(name).rates)
    gb10 = load_system("gb10")
    assert gb10.peak(dtype("bf16")).value is None
    assert gb10.peak(dtype("fp32")).value == gb10.chip.figures["fp32_flop_per_s"].value


@pytest.mark.parametrize("name", ["fp4", "mxfp4", "nvfp4"])
def test_four_bits_run_at_their_own_rate_or_expanded_to_sixteen(name):
    """Without a 4-bit rate the weights are dequantised: an H100 multiplies them at bf16, though it has fp8."""
    h100, b200 = load_system("h100-sxm"), load_system("b200-sxm")
    assert h100.peak(dtype(name)).value == h100.chip.figures["bf16_flop_per_s"].value
    assert b200.peak(dtype(name)).value == b200.chip.figures["fp4_flop_per_s"].value


def test_a_chip_that_lacks_bf16_is_answered_at_fp16():
    """Apple's chips and the V100 have an fp16 rate only."""
    for name in ("apple-m1", "v100-sxm2-32gb"):
        chip = load_system(name)
        assert chip.peak(dtype("bf16")).value == chip.chip.figures["fp16_flop_per_s"].value


@pytest.mark.parametrize("chip", sorted(catalog.entries("accelerator")))
@pytest.mark.parametrize("name", DTYPES)
def test_every_format_has_a_rate_of_the_chip_or_a_gap_that_names_itself(chip, name):
    """The rate is one of the chip's own figures; without any that fits, the gap names the chip and the format."""
    system = load_system(chip)
    peak = system.peak(dtype(name))
    assert (peak.name, peak.unit) == ("flop_per_s", "FLOP/s")
    if peak.value is None:
        assert f"{chip} for {name}" in peak.gap
        assert not set(dtype(name).rates) & set(system.chip.figures)
    else:
        assert peak.value in [system.chip.figures[r].value for r in dtype(name).rates if r in system.chip.figures]


# --- changes -----------------------------------------------------------------------------------------------------


def test_a_changed_figure_is_the_users():
    """A change replaces one figure of chip and rack, is marked as the user's, and leaves the catalog alone."""
    changed = load_system("gb200-nvl72", {"scaleup_bytes_per_s": "1.8 TB/s", "memory_bytes": "288 GB"})
    assert changed.figure("scaleup_bytes_per_s").value == 1.8e12
    assert changed.figure("scaleup_bytes_per_s").origin.where == "--set scaleup_bytes_per_s=1.8 TB/s"
    assert changed.figure("memory_bytes").value == 288e9
    plain = load_system("gb200-nvl72")
    assert plain.figure("scaleup_bytes_per_s").value == 900e9
    untouched = [n for n in plain.chip.figures if n not in ("scaleup_bytes_per_s", "memory_bytes")]
    assert all(changed.figure(n) == plain.figure(n) for n in untouched)


def test_a_changed_domain_splits_the_same_chips():
    """With domains of 8, the 72 chips are nine domains."""
    system = load_system("gb200-nvl72", {"domain_chips": 8})
    assert (system.chips, system.domain_chips, system.domains) == (72, 8, 9)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bandwidth", "3 TB/s", "did you mean bandwidth_bytes_per_s"),
        ("usd_per_byte", "5", "unknown figure of a system 'usd_per_byte'"),
        ("power_w", "700 GB", "expected W such as '700 W', found '700 GB'"),
        ("power_w", "0 W", "power_w must be positive"),
        ("rental_usd_per_s", "2", "expected USD/s with its unit, such as '$2/h', found '2'"),
        ("power_w", "-700 W", "power_w must be positive"),
        ("power_w", "1e31", "at most 1e+30"),
        ("domain_chips", "0.5", "domain_chips must be a whole number of chips"),
        ("domain_chips", 7.5, "domain_chips must be a whole number of chips"),
        ("memory_bytes", None, "expected a number in B such as '80 GB'"),
    ],
)
def test_an_impossible_change_is_refused(name, value, expected):
    """A figure that does not exist, another unit, half a chip or nothing at all is refused with what would do."""
    with pytest.raises(BadInput) as refusal:
        load_system("gb200-nvl72", {name: value})
    assert expected in str(refusal.value)


def test_a_refused_change_does_not_suggest_what_it_refuses():
    """Neighbours are figures that a system can have."""
    with pytest.raises(UnknownName) as refusal:
        load_system("h100-sxm", {"read_bytes_per_s": 1})
    words = catalog.vocabulary()
    assert all({"accelerator", "system"} & set(words[name].of) for name in refusal.value.suggestions)


# --- files -------------------------------------------------------------------------------------------------------


def accelerator(name, more=""):
    return f"[[accelerator]]\nname = '{name}'\n{more}\n"


def rack(name, chip, chips=None):
    size = "" if chips is None else f"domain_chips = {chips}"
    return f"[[system]]\nname = '{name}'\nchip = '{chip}'\n{size}\n"


TIER = "[[memory_tier]]\nname = 'm'\n"
FILES = {
    "a chip": (accelerator("a"), ("a", 1, "a")),
    "a chip after a tier": (TIER + accelerator("a"), ("a", 1, "a")),
    "a system of a catalogued chip": (rack("s", "H100_SXM", 4), ("s", 4, "h100-sxm")),
    "a system that leaves its size to the chip": (rack("s", "h100-sxm"), ("s", 8, "h100-sxm")),
    "a system of its own chip": (accelerator("My Chip") + rack("s", "my_chip", 6), ("s", 6, "my-chip")),
    "its own chip by its alias": (accelerator("a", "aliases = ['b']") + rack("s", "b", 2), ("s", 2, "a")),
    "a chip and a system of one name": (accelerator("a") + rack("a", "a", 2), ("a", 2, "a")),
    "the first of two systems": (rack("s", "h100", 4) + rack("t", "h200"), ("s", 4, "h100-sxm")),
}


@pytest.mark.parametrize(("content", "expected"), FILES.values(), ids=FILES)
def test_a_file_defines_a_system(tmp_path, content, expected):
    """A TOML file is its first system, else its first chip; chips are its own, else the catalog's."""
    path = tmp_path / "mine.toml"
    path.write_text(content, "utf-8")
    system = load_system(str(path))
    assert (system.name, system.chips, system.chip.name) == expected
    assert system.chip.kind == "accelerator"
    assert load_system(f"{path}:3").chips == 3 * system.chips


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "defines no [[accelerator]] and no [[system]]"),
        (TIER, "defines no [[accelerator]] and no [[system]]"),
        (rack("s", "h100-smx"), "the chip of system s: unknown accelerator 'h100-smx'; did you mean h100-sxm"),
        (rack("s", "gb200-nvl72"), "chip of system s: unknown accelerator 'gb200-nvl72'; that is a system of gb200"),
        (rack("s", "h100", "1e9"), "1,000,000,000 chips are more than the 10,000,000"),
        (accelerator("a") + rack("s", "a"), "system s does not say how many chips it has; add domain_chips"),
    ],
)
def test_a_file_that_defines_no_system_is_refused(tmp_path, content, expected):
    """No system in the file, a chip nobody knows, no size or an impossible one: one line says which."""
    path = tmp_path / "mine.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(BadInput) as refusal:
        load_system(str(path))
    assert expected in str(refusal.value)


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("h100-smx:8", "did you mean h100-sxm"),
        ("gb200-nvl27", "did you mean gb200-nvl72"),
        ("h100-sxm:0", "must be between 1 and 10,000,000"),
        ("0xh100-sxm", "must be between 1 and 10,000,000"),
        ("h100-sxm:-8", "must be a whole number, such as h100-sxm:8"),
        ("h100-sxm:8.5", "must be a whole number, such as h100-sxm:8"),
        ("h100-sxm:eight", "must be a whole number, such as h100-sxm:8"),
        ("h100-sxm:", "must be a whole number, such as h100-sxm:8"),
        ("h100-sxm:²", "must be a whole number, such as h100-sxm:8"),
        ("h100-sxm:10000001", "must be between 1 and 10,000,000"),
        ("h100-sxm:" + "9" * 5000, "must be between 1 and 10,000,000"),
        ("gb200-nvl72:1000000", "72,000,000 chips are more than the 10,000,000"),
        ("", "unknown accelerator or system ''"),
        ("8x", "unknown accelerator or system '8x'"),
        ("hbm3e-stack", "unknown accelerator or system 'hbm3e-stack'; that is a memory tier"),
        ("deepseek-v3", "unknown accelerator or system 'deepseek-v3'; that is a model"),
        ("nowhere.toml", "there is no file 'nowhere.toml'"),
        ("x" * 5000, "unknown accelerator or system"),
        ("a\nb", r"unknown accelerator or system 'a-b'"),
    ],
)
def test_what_is_no_system_is_refused(written, expected):
    """A slip in the name, an impossible count or nothing at all is refused in one line with the nearest thing."""
    with pytest.raises(BadInput) as refusal:
        load_system(written)
    message = str(refusal.value)
    assert expected in message
    assert message.isprintable()
    assert len(message) < 250


def outcome(written):
    try:
        return load_system(written)
    except HeadwayError as refusal:
        return str(refusal)


ALMOST = from_regex(r"(\d{0,13} ?[xX] ?)?(h100-sxm|GB200_NVL72|dgx|x|)[:x]?-?[\w.]{0,14}", fullmatch=True)


@given(ALMOST | text(characters(codec="utf-8"), max_size=40))
def test_anything_is_a_system_or_a_refusal(written):
    """Whatever is written, the answer is a system with whole chips in whole domains, or one readable line."""
    found = outcome(written)
    if isinstance(found, str):
        assert found.isprintable()
    else:
        assert 1 <= found.chips <= MOST_CHIPS
        assert found.domains == math.ceil(found.chips / found.domain_chips)
