"""What a picture holds: the tables behind it, and the file that it is drawn into."""

import re
from pathlib import Path

import numpy as np
import pytest

import headway
from headway.cli.textplot import text_plot
from headway.drawing import draw
from headway.figures import caption, plain, roofline_panels

SYSTEM = "8xh200-sxm"


def asked(**axes):
    return headway.roofline("llama-3.1-70b", on=SYSTEM, **axes)


def doubling(low, high):
    return [float(low * 2**i) for i in range(int(np.log2(high / low)) + 1)] + [float(high)]


def test_a_single_value_is_marked_in_its_range():
    """A picture around one batch says which was asked for."""
    for panel in roofline_panels(asked(batch=8, context=8000)):
        assert [mark.x for mark in panel.marks if mark.label == "asked"] == [8.0]
        assert panel.key()[0] == "A asked: 8"


def test_letters_stand_for_the_places_inside_from_left_to_right():
    """A mark outside the range has no letter, and is told with its side."""
    panel, _ = roofline_panels(asked(batch=[1.0, 300.0], context=8000))
    assert list(panel.places()) == ["A"]
    assert panel.key() == ["A balance, KV left out: 206", "memory full: 333, off to the right"]
    panel, _ = roofline_panels(asked(batch=doubling(1, 1000), context=8000))
    assert [mark.label for mark in panel.places().values()] == ["balance, KV left out", "memory full"]


@pytest.mark.parametrize(
    ("context", "linear"),
    [
        (np.arange(0, 128001, 8000.0), True),
        (np.arange(1000, 1101, 10.0), True),
        (np.round(np.linspace(1000, 2000, 7)), True),
        ([0.0, 8000.0], True),
        ([1000.0, 2000.0], False),
        ([1000.0, 2000.0, 4000.0, 8000.0], False),
        (doubling(1000, 5000), False),
        (np.round(np.geomspace(1000, 100000, 9)), False),
        ([1.0, 2.0, 4.0], False),
        ([0.0, 1000.0, 8000.0], False),
    ],
)
def test_the_axis_is_spaced_as_the_range_is(context, linear):
    """Equal steps are drawn on a linear axis, which has room for zero; all else on a logarithmic one."""
    panel, _ = roofline_panels(asked(batch=8, context=list(context)))
    assert panel.x_linear is linear
    above = [value for value in context if linear or value > 0]
    assert (panel.x[0], panel.x[-1]) == (min(above), max(above))
    scales = "time logarithmic" if linear else "both logarithmic"
    assert f"against context, {scales} (" in text_plot(panel)


def test_all_curves_end_where_the_memory_is_full():
    """The terms end with the pass, at the last context that fits; beyond memory all go on, and say what is held."""
    panel, _ = roofline_panels(asked(batch=32, context=doubling(1000, 1e6)))
    full = next(mark.x for mark in panel.marks if mark.label == "memory full")
    for curve in panel.curves:
        assert panel.x[np.isfinite(curve.values)][-1] == full
    beyond, _ = roofline_panels(asked(batch=32, context=doubling(1000, 1e6), beyond_memory=True))
    for curve in beyond.curves:
        assert np.isfinite(curve.values).all()
        assert beyond.x[curve.held][-1] == full


def test_a_pass_too_long_for_the_memory_is_marked():
    """Along the pass length too, the mark is the last length that fits."""
    panel, _ = roofline_panels(asked(batch=32, context=8000, pass_tokens=doubling(1, 1e6)))
    (full,) = [mark.x for mark in panel.marks if mark.label == "memory full"]
    assert panel.x[panel.curves[-1].held][-1] == full
    assert bool(asked(batch=32, context=8000, pass_tokens=full).fits)
    with pytest.raises(headway.Infeasible):
        asked(batch=32, context=8000, pass_tokens=full + 1)


def test_several_curves_look_alike_and_have_no_terms():
    """Values of a second axis are equals: none is drawn as the pass among its terms."""
    panel, _ = roofline_panels(asked(batch=[1.0, 8.0, 32.0], context=doubling(1000, 128000)))
    assert [curve.role for curve in panel.curves] == ["family0", "family1", "family2"]
    assert [curve.label for curve in panel.curves] == ["batch 1", "batch 8", "batch 32"]


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"batch": [1, 8, 32]}, ""),
        ({"batch": [1, 2], "context": doubling(1000, 64000)}, ""),
        ({"batch": doubling(1, 512), "context": list(range(1000, 10000, 1000))}, "4 of 9 contexts drawn"),
        ({"batch": [1, 2, 4], "context": [1000, 2000], "pass_tokens": [1, 2]}, "drawn at pass length 1"),
        ({"batch": [1, 32], "context": doubling(1000, 1e6)}, "a curve ends where the memory is full"),
        ({"batch": [1, 32], "context": doubling(1000, 1e6), "beyond_memory": True}, "thin where the memory does not"),
        ({"batch": [1, 5000], "context": doubling(1000, 64000)}, "batch 5,000 does not fit in memory"),
        ({"batch": 1, "context": [0, 1000, 8000]}, "context 0 has no place on a logarithmic axis"),
    ],
)
def test_the_caption_says_what_is_not_drawn(axes, told):
    """Curves left out, the value of a third axis, ends: said where they are, and nothing where there is nothing."""
    found = caption(asked(**axes))
    assert told in found if told else found == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100000.0, "100,000"),
        (6.0, "6"),
        (60.0, "60"),
        (2.5, "2.5"),
        (1e-5, "0.00001"),
        (0.2, "0.2"),
        (1e6, "1,000,000"),
    ],
)
def test_numbers_on_axes_have_no_powers_of_ten(value, text):
    """Thousands are set apart; a small number has its zeros written out."""
    assert plain(value) == text


def svg(tmp_path, **axes):
    """The text of a picture, whose labels stand in its comments."""
    draw(roofline_panels(asked(**axes)), "a title", tmp_path / "out.svg", caption=caption(asked(**axes)))
    return re.findall(r"<!-- (.*?) -->", (tmp_path / "out.svg").read_text("utf-8"), re.S)


def test_ticks_are_written_out(tmp_path):
    """Thousands separators along both axes, and never a power of ten, on wide and on narrow ranges."""
    wide = svg(tmp_path, batch=32, context=doubling(1000, 1e8), beyond_memory=True)
    assert {"10,000", "100,000", "10 M"} <= set(wide)
    narrow = svg(tmp_path, batch=[10, 11], context=[7900, 8000])
    assert not [text for text in (*wide, *narrow) if "times" in text or "^" in text or re.search(r"\de[-+]?\d", text)]


def test_marks_are_letters_explained_under_the_picture(tmp_path):
    """The letter and its explanation are texts of their own; where the memory ends is in the legend."""
    texts = svg(tmp_path, batch=32, context=doubling(1000, 1e6))
    assert {"A", "B", "does not fit in memory"} <= set(texts)
    assert any("B memory full: 83,358" in text for text in texts)


def test_the_caption_is_in_the_picture(tmp_path):
    """What is left out is said in the file too, which travels alone."""
    texts = svg(tmp_path, batch=doubling(1, 512), context=list(range(1000, 10000, 1000)))
    assert any(text.startswith("4 of 9 contexts drawn") for text in texts)


@pytest.mark.parametrize("axes", [{}, {"batch": [1, 5000], "context": [1000, 64000]}, {"batch": 300, "context": 8000},
                                  {"batch": 700, "context": 1e6, "beyond_memory": True}])  # fmt: skip
def test_odd_questions_are_drawn(tmp_path, axes):
    """Defaults, a value that fits nowhere, the memory full near a value and left of it: all draw without a warning."""
    assert svg(tmp_path, **axes)
    assert all(text_plot(panel) for panel in roofline_panels(asked(**axes)))


def test_a_page_has_its_head_above_the_picture_and_asks_for_nothing(tmp_path):
    """The page is whole in itself, names its picture, follows a dark screen, and escapes what it is given."""
    file = Path(tmp_path / "out.html")
    head = "One pass takes <1 s.\nBecause.\n\n$ headway roofline x\n\nAssumptions\n  - one & two"
    draw(roofline_panels(asked(batch=8)), 'a "title"', file, head=head, table="t", notes="n", caption="a caption")
    page = file.read_text("utf-8")
    assert "<p>One pass takes &lt;1 s.\nBecause.</p>" in page
    assert re.search(r"<pre[^>]*>\$ headway roofline x</pre>", page)
    assert re.search(r"<pre[^>]*>Assumptions\n  - one &amp; two</pre>", page)
    assert page.index("One pass takes") < page.index("<svg") < page.index("<h2>Numbers")
    assert 'role="img" aria-label="a &quot;title&quot;. time of one pass' in page
    assert "a caption" in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"<(script|link|img|iframe)|(src|href)=\"http|@import|url\(http", page)
