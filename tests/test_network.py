"""Collectives written on a worksheet: what a group exchanges on each fabric, and what no figure is needed for."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, sampled_from

from headway.equations import collectives, fabrics, moe
from headway.errors import MissingFact
from headway.explanation import step
from headway.hardware import changed_system, load_system
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.network import write_collective, write_domains_hit, write_expert_exchange, write_group, write_links
from headway.step.torus import even_sides, torus_of

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point")
SENT = {
    "all_reduce": collectives.all_reduce_sent_bytes,
    "all_gather": collectives.all_gather_sent_bytes,
    "reduce_scatter": collectives.reduce_scatter_sent_bytes,
    "all_to_all": collectives.all_to_all_sent_bytes,
    "point_to_point": lambda payload, ranks: payload * (np.asarray(ranks) > 1),
}
FABRICS = ("h100-sxm:64", "mi300x:16", "tpu-v4-pod:2", "tpu-v5e:8", "gb200-nvl72:2", "l40s:16")
RANKS = np.array([1, 2, 4, 8, 16])


def asked(spec, changes=None, **quantities):
    """A sheet with the links of a system and quantities of the test's own."""
    system = changed_system(spec if not isinstance(spec, str) else load_system(spec), changes or {})
    sheet = Worksheet(
        Quantity(name, np.asarray(value, float)[()], "1", Origin("user", "the test"))
        for name, value in quantities.items()
    )
    write_links(sheet, system)
    return sheet


def collective(spec, kind, ranks, payload=1e6, times=1, stride=1, changes=None):
    """The sheet with one collective, under its kind's name."""
    sheet = asked(spec, changes, ranks=ranks, stride=stride, payload=payload, times=times)
    write_group(sheet, "group", "ranks", "stride")
    write_collective(sheet, kind, kind, payload="payload", group="group", times="times")
    return sheet


def exchange(spec, ranks, *, domains=False, limit=None, tokens=128, value_bytes=2.0, changes=None, times=1):
    """The sheet with an exchange of DeepSeek-V3's experts: 8 of 256 for each token, 7168 values wide."""
    sheet = asked(spec, changes, ranks=ranks, stride=1, tokens=tokens, experts_per_token=8, n_experts=256, width=7168,
                  value_bytes=value_bytes, times=times, **({} if limit is None else {"limit": limit}))  # fmt: skip
    write_group(sheet, "experts", "ranks", "stride")
    if domains:
        write_domains_hit(sheet, "hit", "experts", limit="" if limit is None else "limit")
    write_expert_exchange(sheet, "way", tokens="tokens", copies="experts_per_token", width="width",
                          value_bytes="value_bytes", group="experts", times="times",
                          domains="hit" if domains else "")  # fmt: skip
    return sheet


# Laws, on every fabric


@pytest.mark.parametrize("spec", FABRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_sent_are_those_of_the_definition(spec, kind):
    """Whatever the topology, a rank sends what Thakur et al. say, as often as asked; a rank alone sends nothing."""
    sheet = collective(spec, kind, RANKS, payload=3e6, times=160)
    np.testing.assert_allclose(sheet.need(f"{kind}_sent_bytes"), 160 * SENT[kind](3e6, RANKS))
    for result in ("sent_bytes", "messages", "s"):
        values = np.broadcast_to(sheet.need(f"{kind}_{result}"), RANKS.shape)
        assert values[0] == 0
        assert np.all(values[1:] > 0)


@pytest.mark.parametrize("spec", FABRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_elementwise(spec, kind):
    """A call with many groups and payloads gives what each of them gives alone."""
    payload = np.array([[1e3], [1e7]])
    sheet = collective(spec, kind, RANKS, payload=payload)
    together = np.broadcast_to(sheet.need(f"{kind}_s"), (2, RANKS.size))
    for row, size in enumerate((1e3, 1e7)):
        for column, ranks in enumerate(RANKS):
            alone = float(collective(spec, kind, ranks, payload=size).need(f"{kind}_s"))
            assert together[row, column] == pytest.approx(alone), (size, ranks)


@given(
    spec=sampled_from(FABRICS), kind=sampled_from(KINDS), ranks=integers(1, 16), stride=integers(1, 8),
    payload=floats(1, 1e9), more=floats(0, 1e9), times=integers(1, 200),
)  # fmt: skip
def test_more_bytes_take_longer_and_a_machine_twice_as_fast_half(spec, kind, ranks, stride, payload, more, times):
    """Time grows with the payload, is proportional to the repetitions, and halves with every link and latency."""

    def seconds(payload, times, faster=1):
        system = load_system(spec)
        figures = {name: system.figure(name).value for name in ("scaleup_bytes_per_s", "scaleout_bytes_per_s")}
        changes = {name: str(value * faster) for name, value in figures.items() if value is not None}
        sheet = asked(changed_system(system, changes), ranks=ranks, stride=stride, payload=payload, times=times,
                      scaleup_latency_s=2e-6 / faster, scaleout_latency_s=9e-6 / faster)  # fmt: skip
        write_group(sheet, "group", "ranks", "stride")
        write_collective(sheet, kind, kind, payload="payload", group="group", times="times")
        return float(sheet.need(f"{kind}_s"))

    once = seconds(payload, 1)
    assert seconds(payload + more, 1) >= once
    assert seconds(payload, times) == pytest.approx(times * once)
    assert seconds(payload, 1, faster=2) == pytest.approx(once / 2)


@pytest.mark.parametrize("spec", FABRICS)
def test_everything_written_can_be_explained(spec):
    """Each computed quantity prints its formula with the numbers put in."""
    for sheet in (collective(spec, "all_to_all", 16), exchange(spec, 16, domains=True, limit=2)):
        for cell in sheet:
            if cell.equation is not None:
                told = step(cell, sheet)
                assert told.symbols
                assert told.source, cell.quantity.name


# What a group needs to know


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_within_a_domain_needs_no_slow_link(kind):
    """A figure that no source gave is a gap only for those that use it, and the refusal says how to supply it."""
    system = load_system("h100-sxm:16")
    lacking = replace(
        system.chip, figures={n: q for n, q in system.chip.figures.items() if n != "scaleout_bytes_per_s"}
    )
    lonely = replace(system, chip=lacking)
    inside = collective(lonely, kind, 8)
    assert inside.need(f"{kind}_s") == collective("h100-sxm:16", kind, 8).need(f"{kind}_s")
    with pytest.raises(MissingFact, match="scaleout_bytes_per_s"):
        collective(lonely, kind, 16).need(f"{kind}_s")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", ["rtx-4090:1", "l40s:1", "tpu-v7x:64"])
def test_a_rank_alone_needs_no_link_at_all(spec, kind):
    """Machines whose links nobody described still run what does not use them."""
    assert collective(spec, kind, 1).need(f"{kind}_s") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_torus_of_unknown_rings_is_refused(kind):
    """Where no source gave the dimensions, the answer says what is missing."""
    with pytest.raises(MissingFact, match="rings of tpu-v7x:64"):
        collective("tpu-v7x:64", kind, 64).need(f"{kind}_s")


def test_links_on_the_sheet_already_are_left_alone():
    """What the user set, or a pass wrote down before, is not overwritten."""
    sheet = asked("h100-sxm:16", scaleup_bytes_per_s=1.0, scaleup_latency_s=2.0, domain_chips=4)
    assert [sheet.value(name) for name in ("scaleup_bytes_per_s", "scaleup_latency_s", "domain_chips")] == [1, 2, 4]


# Fabrics


@pytest.mark.parametrize(("kind", "messages"), [("all_reduce", 2), ("all_gather", 1), ("all_to_all", 1)])
def test_messages_on_a_switch_are_those_of_the_definition(kind, messages):
    """Two for an all-reduce, one for the others, on either kind of link that the group uses."""
    sheet = collective("h100-sxm:64", kind, np.array([1, 2, 8, 64]), times=10)
    np.testing.assert_array_equal(sheet.need(f"{kind}_messages"), 10 * messages * np.array([0, 1, 1, 2]))


def test_an_empty_all_reduce_takes_its_latencies():
    """Eight chips of a node: two messages; sixteen: two more between the nodes."""
    sheet = collective("h100-sxm:16", "all_reduce", np.array([8, 16]), payload=1e-9)
    fast, slow = sheet.value("scaleup_latency_s"), sheet.value("scaleout_latency_s")
    np.testing.assert_allclose(sheet.need("all_reduce_s"), [2 * fast, 2 * fast + 2 * slow], rtol=1e-6)


def test_ranks_a_domain_apart_use_the_slow_links_alone():
    """Data-parallel ranks of eight chips each: an all-reduce between nodes is that of the slow link."""
    sheet = collective("h100-sxm:32", "all_reduce", 4, payload=1e9, stride=8)
    expected = collectives.all_reduce_s(1e9, 4, 50e9, sheet.value("scaleout_latency_s"))
    assert sheet.need("all_reduce_s") == pytest.approx(expected)


def test_a_mesh_gives_a_pair_one_link_however_few_chips_are_asked_for():
    """Two MI300X exchange over 64 GB/s, an eighth of a mesh as well as a mesh cut out of it; eight over all links."""
    for spec in ("mi300x:8", "mi300x:2"):
        pair = collective(spec, "all_gather", 2, payload=1e9, changes={"scaleup_bytes_per_s": "448 GB/s"})
        latency = pair.value("scaleup_latency_s")
        assert pair.need("all_gather_s") == pytest.approx(0.5e9 / 64e9 + latency)
    whole = collective("mi300x:8", "all_gather", 8, payload=1e9)
    assert whole.need("all_gather_s") == pytest.approx(collectives.all_gather_s(1e9, 8, 448e9, latency))


def test_a_pod_exchanges_as_the_torus_does():
    """All 4096 chips of a TPU v4 pod: twelve times slower than a switch, its gathering as fast as one."""
    shuffled = collective("tpu-v4-pod", "all_to_all", 4096, payload=1e9)
    gathered = collective("tpu-v4-pod", "all_gather", 4096, payload=1e9)
    rate, latency = shuffled.value("scaleup_bytes_per_s"), shuffled.value("scaleup_latency_s")
    assert shuffled.need("all_to_all_s") - 24 * latency == pytest.approx(12 * 1e9 / rate)
    assert gathered.need("all_gather_s") - 24 * latency == pytest.approx(4095 / 4096 * 1e9 / rate)


def test_two_pods_exchange_over_both_kinds_of_link():
    """Half of an all-to-all leaves the pod meanwhile, over links so slow that they decide."""
    sheet = collective("tpu-v4-pod:2", "all_to_all", 8192, payload=1e9, changes={"scaleout_bytes_per_s": "6.25 GB/s"})
    assert sheet.need("all_to_all_s") == pytest.approx(0.5e9 / 6.25e9, rel=0.01)
    assert sheet.need("all_to_all_slow_s") > sheet.need("all_to_all_fast_s") > 0


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("tpu-v4-pod", ((16, 16, 16), True), id="whole pod"),
        pytest.param("tpu-v4:64", ((4, 4, 4), True), id="cube"),
        pytest.param("tpu-v4:32", ((4, 4, 2), False), id="half a cube"),
        pytest.param("tpu-v5e:16", ((4, 4), False), id="open slice"),
        pytest.param("tpu-v5e:256", ((16, 16), True), id="whole pod by chips"),
        pytest.param("tpu-v7x:64", None, id="rings unknown"),
    ],
)
def test_a_part_of_a_torus_is_the_block_with_the_most_even_sides(spec, expected):
    """It closes its rings where the scaling book says so: whole axes, and multiples of 4 in three dimensions."""
    assert torus_of(load_system(spec)) == expected


@given(chips=integers(1, 5000), dimensions=integers(1, 3))
def test_even_sides_make_the_block(chips, dimensions):
    """As many sides as dimensions, the longest first, whose product is the count."""
    sides = even_sides(chips, dimensions)
    assert len(sides) == dimensions
    assert math.prod(sides) == chips
    assert list(sides) == sorted(sides, reverse=True)


# Experts


@pytest.mark.parametrize(
    ("claim", "ranks", "value_bytes", "printed", "time_s"),
    [
        ("D02 dispatch EP8", 8, 1 + 4 / 128, 98e9, 77e-6),
        ("D03 combine EP8", 8, 2.0, 127e9, 114e-6),
        ("D04 dispatch EP256", 256, 1 + 4 / 128, 39e9, 194e-6),
        ("combine EP256", 256, 2.0, 40e9, 360e-6),
    ],
)
def test_payloads_and_bandwidths_of_deepep_give_its_times(claim, ranks, value_bytes, printed, time_s):
    """128 tokens to 8 experts each, whose rate is printed for the whole payload, a rank's own share included."""
    sheet = exchange(f"h800-sxm:{ranks}", ranks, value_bytes=value_bytes)
    assert sheet.need("way_payload_bytes") / printed == pytest.approx(time_s, rel=0.03), claim


def test_the_slowest_combine_of_deepep_follows_from_its_rate():
    """EP256 on RDMA alone, a rank to a domain, at the 40 GB/s that were reached: 360 µs within 3 %."""
    sheet = exchange("h800-sxm:256", 256, changes={"domain_chips": "1", "scaleout_bytes_per_s": "40 GB/s"})
    sent = sheet.need("way_s") - sheet.value("scaleout_latency_s")
    assert sent == pytest.approx(360e-6, rel=0.03)


@pytest.mark.parametrize("spec", ["h100-sxm:64", "mi300x:64", "tpu-v4-pod:2", "l40s:64"])
@pytest.mark.parametrize("domains", [False, True])
def test_an_exchange_of_experts_grows_with_tokens_and_repeats(spec, domains):
    """Twice the tokens take longer, never more than twice as long; 58 layers take 58 times as long as one."""
    one, two = (exchange(spec, 64, domains=domains, tokens=n).need("way_s") for n in (1024, 2048))
    assert one < two <= 2 * one
    assert exchange(spec, 64, domains=domains, tokens=1024, times=58).need("way_s") == pytest.approx(58 * one)
    alone = exchange(spec, 1, domains=domains)
    assert alone.need("way_s") == alone.need("way_sent_bytes") == 0


@pytest.mark.parametrize("domains", [False, True])
def test_within_a_domain_it_does_not_matter_how_copies_are_sent(domains):
    """Nothing crosses, nothing is forwarded: the all-to-all of the switch."""
    sheet = exchange("gb200-nvl72", 64, domains=domains)
    payload, latency = 128 * 8 * 7168 * 2, sheet.value("scaleup_latency_s")
    assert sheet.need("way_s") == pytest.approx(collectives.all_to_all_s(payload, 64, 900e9, latency))


def test_one_copy_for_each_node_saves_the_slow_links():
    """Eight nodes: 5.29 of them hit (D13) instead of eight copies, four at most with DeepSeek's limit."""
    sheets = [exchange("h100-sxm:64", 64, tokens=4096), exchange("h100-sxm:64", 64, tokens=4096, domains=True),
              exchange("h100-sxm:64", 64, tokens=4096, domains=True, limit=4)]  # fmt: skip
    alone, once, limited = (float(sheet.need("way_s")) for sheet in sheets)
    assert sheets[1].value("hit") == pytest.approx(5.2947, rel=1e-3)
    assert sheets[2].value("hit") <= 4
    copy = 4096 * 7168 * 2 * 7 / 8 / 50e9
    assert alone == pytest.approx(8 * copy, rel=0.01)
    assert once == pytest.approx(5.2947 * copy, rel=0.01)
    assert limited == pytest.approx(float(moe.limited_ranks_hit(256, 8, 8, 4)) * copy, rel=0.01)


def test_layouts_in_one_call_exchange_as_alone():
    """Ranks within a node, over several and over all of them, in one array."""
    ranks = np.array([1, 4, 8, 16, 64])
    together = exchange("h100-sxm:64", ranks, domains=True).need("way_s")
    alone = [float(exchange("h100-sxm:64", n, domains=True).need("way_s")) for n in ranks]
    np.testing.assert_allclose(together, alone)


def test_a_forwarded_exchange_of_tori_waits_for_hops_and_rail():
    """Two pods: the torus deals out every copy, meanwhile one in two domains crosses; latencies add up."""
    sheet = exchange("tpu-v4-pod:2", 8192, domains=True, changes={"scaleout_bytes_per_s": "6.25 GB/s"})
    fast, slow = sheet.need("way_fast_s"), sheet.need("way_slow_s")
    waits = sheet.need("way_fast_wait_s") + sheet.need("way_slow_wait_s")
    assert waits == pytest.approx(24 * sheet.value("scaleup_latency_s") + sheet.value("scaleout_latency_s"))
    assert sheet.need("way_s") == pytest.approx(max(fast, slow) + waits)
    hit = moe.distinct_ranks_hit(256, 2, 8)
    assert slow == pytest.approx(0.5 * 128 * float(hit) * 7168 * 2 / 6.25e9)
    link = collectives.ring_link_bytes_per_s(sheet.value("scaleup_bytes_per_s"), 3)
    whole = fabrics.torus_longest_ring(4096, 16, 16, 16, 2)
    assert fast == pytest.approx(float(collectives.torus_all_to_all_s(128 * 8 * 7168 * 2, whole, link)))
