"""The page in a real browser: what is drawn is what the library answers, by mouse, by keyboard and by ear."""

import json
import random
import re
from importlib.resources import files
from urllib.parse import parse_qsl, urlsplit

import axe_playwright_python
import numpy as np
import pytest

import headway
from headway.generations import generations
from headway.techniques.ranking import ranking
from headway.web.controls import STOPS
from headway.web.state import BOARDS, read
from tests.browsing import browsing, drawn, serving

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
AXE = files(axe_playwright_python).joinpath("axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def browser():
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="module")
def server():
    with serving() as address:
        yield address


@pytest.fixture
def opened(browser, server):
    """A function that opens a board; whatever goes wrong on the page fails the test."""
    contexts, wrong = [], []

    def open_board(name, query="", **options):
        context = browser.new_context(**({"viewport": WIDE} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: request.url.startswith((server, "data:")) or wrong.append(request.url))
        page.goto(f"{server}{name}?{query}")
        page.wait_for_selector("[data-figure] svg", timeout=5000)
        page.set_default_timeout(5000)
        page.wrong = wrong
        return page

    yield open_board
    for context in contexts:
        context.close()
    assert not wrong


def settle(page):
    """Wait until the state has come to rest: the answer said, the address written, open folds up to date."""
    page.wait_for_selector('#board[aria-busy="false"]')
    page.wait_for_timeout(100)


def control(page, name, kind="input[type=range]"):
    return page.locator(f'{kind}[name="{name}"]').first


def move(page, name, keys):
    """Move a slider by the keyboard."""
    control(page, name).focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def state_of(page):
    address = urlsplit(page.url)
    return read(address.path.strip("/"), parse_qsl(address.query))


def points(page, key, label, column="a"):
    curves, _ = drawn(page, key, column)
    return np.array(curves[label]).T


def answered(state, **axes):
    """The library's answer to the state that the address bar shows."""
    asked = {"batch": state.batch, "context": state.context_tokens, "refine": state.refine, **axes}
    return headway.roofline(state.a.model, on=state.a.on, changes=dict(state.a.changes), **asked)


CLOSE = 1e-3  # three decimals of a pixel, on an axis of some hundred pixels a decade
MOVES = {"batch": ("context", ["ArrowRight"] * 6), "context": ("batch", ["ArrowRight"] * 5),
         "pass-length": ("batch", ["ArrowRight"] * 7)}  # fmt: skip


def test_the_batch_board_moves_and_is_the_library(opened):
    """After a slider was moved, every curve read back from the picture is what `headway.roofline` says there."""
    page = opened("batch", "terms=1&model=llama-3.1-70b&on=h100-sxm:8")
    before = points(page, "latency", "the pass")
    move(page, *MOVES["batch"])
    state = state_of(page)
    assert state.context_tokens > 4000
    batch, step = points(page, "latency", "the pass")
    assert not np.array_equal(before[1], step)
    answer = answered(state, batch=batch)
    assert step == pytest.approx(np.ravel(answer.step_s) * 1e3, rel=CLOSE)
    assert points(page, "latency", "arithmetic")[1] == pytest.approx(np.ravel(answer.t_compute_s) * 1e3, rel=CLOSE)
    batch, cost = points(page, "cost", "the pass")
    expected = np.ravel(answered(state, batch=batch).cost_per_token_usd) * 1e6
    assert cost == pytest.approx(expected, rel=CLOSE)


def test_the_context_board_moves_and_is_the_library(opened):
    """Cost against context, read back from the picture, is what `headway.roofline` says at each context."""
    page = opened("context", "model=llama-3.1-70b&on=h100-sxm:8")
    move(page, *MOVES["context"])
    state = state_of(page)
    assert state.batch > 8
    (label,) = drawn(page, "cost")[0]
    context, cost = points(page, "cost", label)
    assert context.size > 40
    assert cost == pytest.approx(np.ravel(answered(state, context=context).cost_per_token_usd) * 1e6, rel=CLOSE)
    context, capacity = points(page, "walls", "capacity: memory of the batch over what there is")
    answer = headway.roofline(state.a.model, on=state.a.on, batch=state.batch, context=context, beyond_memory=True)
    assert capacity == pytest.approx(np.ravel(answer.needed_bytes / answer.usable_bytes), rel=CLOSE)
    _, bandwidth = points(page, "walls", "bandwidth: reading KV over arithmetic")
    expected = np.ravel(answer.t_kv_per_sequence_s / answer.t_compute_per_sequence_s)
    assert bandwidth == pytest.approx(expected, rel=CLOSE)
    _, attention = points(page, "walls", "attention: arithmetic of a prompt's over its weights'")
    prompt = headway.describe(state.a.model, context)
    expected = prompt.value("attention_flop_of_prompt") / prompt.value("matmul_flop_of_prompt")
    assert attention == pytest.approx(expected, rel=CLOSE)


def test_kv_techniques_are_drawn_as_the_library_ranks_them(opened):
    """Each technique's curve, read back, costs at some contexts what the ranking of techniques says there."""
    page = opened("context", "model=llama-3.1-70b&on=h200-sxm:8&technique=fp8&technique=evict&technique=latent")
    move(page, *MOVES["context"])
    state = state_of(page)
    curves, _ = drawn(page, "cost")
    assert len(curves) == 4
    for label, drawn_points in curves.items():
        for context, cost in (drawn_points[len(drawn_points) // 2], drawn_points[-2]):
            ranked = ranking(state.a.model, state.a.on, batch=state.batch, context_tokens=context)
            rows = {row.names[0].replace("-", " "): row.figures for row in ranked.alone}
            figures = ranked.baseline if label == "as it is" else rows[label]
            if figures is not None:  # a window wider than the context does nothing
                assert cost == pytest.approx(figures.value("cost_per_mtok_usd"), rel=CLOSE)


def test_terms_apart_are_the_library_on_every_board_that_has_them(opened):
    """The terms of a cost, read back from the boards of length and of passes, are what the library says there."""
    for name, axis in (("context", "context"), ("pass-length", "pass_tokens")):
        page = opened(name, "terms=1&model=llama-3.1-70b&on=h100-sxm:8&batch=16")
        for label, term in (("arithmetic", "t_compute_s"), ("reading weights", "t_weights_s"),
                            ("reading KV cache", "t_kv_s")):  # fmt: skip
            x, cost = points(page, "cost", label)
            answer = answered(state_of(page), **{axis: x})
            tokens = 16 * np.broadcast_to(np.ravel(answer.pass_tokens), x.shape)
            seconds = np.broadcast_to(np.ravel(getattr(answer, term)), x.shape)
            assert cost == pytest.approx(seconds * float(answer.system_usd_per_s) / tokens * 1e6, rel=CLOSE)


def test_the_pass_length_board_moves_and_is_the_library(opened):
    """Cost against pass length and output over input, read back, are what `headway.roofline` says."""
    page = opened("pass-length")
    move(page, *MOVES["pass-length"])
    state = state_of(page)
    assert state.batch > 8
    length, cost = points(page, "cost", "the pass")
    expected = np.ravel(answered(state, pass_tokens=length).cost_per_token_usd) * 1e6
    assert cost == pytest.approx(expected, rel=CLOSE)
    batch, ratio = points(page, "ratio", "output over input")
    out, into = (answered(state, batch=batch, pass_tokens=n).cost_per_token_usd for n in (1, state.prompt_tokens))
    assert ratio == pytest.approx(np.ravel(out / into), rel=CLOSE)


def test_the_generations_board_moves_and_is_the_library(opened):
    """Every dot read back stands at its machine's figure, and choosing another machine changes which is marked."""
    page = opened("generations")
    page.locator('select[name="on"]').first.select_option("dgx-h100")
    settle(page)
    assert state_of(page).a.on == "dgx-h100"
    scales = {"ridge_bf16": 1.0, "drain_s": 1e3, "scaleup_over_scaleout": 1.0, "largest_model_params": 1e-9}
    for key, scale in scales.items():
        _, dots = drawn(page, key)
        known = {one.system.name: one.value(key) for one in generations()}
        expected = {name: value * scale for name, value in known.items() if value is not None}
        assert {name: y for name, (_, y) in dots.items()} == pytest.approx(expected, rel=CLOSE)
    assert page.locator('[data-figure="drain_s"] [data-name="dgx-h100"]').count() == 1


def test_two_columns_are_two_answers(opened):
    """Side by side, each column draws its own model on its own machine, on shared axes."""
    page = opened("batch", "vs_model=llama-3.1-70b&vs_on=h100-sxm:8")
    for column, model, machine in (("a", "deepseek-v3", "gb200-nvl72"), ("b", "llama-3.1-70b", "h100-sxm:8")):
        batch, step = points(page, "latency", "the pass", column)
        expected = headway.roofline(model, on=machine, batch=batch, context=4000).step_s
        assert step == pytest.approx(np.ravel(expected) * 1e3, rel=CLOSE)


def test_the_last_value_wins_with_one_request_in_flight(opened):
    """However fast a slider moves, one request at most is under way, and the picture ends on the newest value."""
    page = opened("batch")
    flying, most = set(), []

    def leave(request):
        flying.add(request)
        most.append(len(flying))

    page.on("request", leave)
    page.on("requestfinished", lambda request: flying.discard(request))  # noqa: PLW0108 Playwright takes no builtin
    page.evaluate("""async () => {
        const slider = document.querySelector('input[type=range][name=context]');
        for (let i = 0; i < 40; i++) {
            slider.value = 5 + i % 30;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            if (i % 4 === 0) await new Promise(done => setTimeout(done, 3));
        }
        slider.value = 20;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    }""")
    settle(page)
    assert max(most) == 1
    assert 1 < len(most) < 41
    state = state_of(page)
    assert state.context_tokens == STOPS["context"][20]
    batch, step = points(page, "latency", "the pass")
    assert step == pytest.approx(np.ravel(answered(state, batch=batch).step_s) * 1e3, rel=CLOSE)
    assert control(page, "context").input_value() == "20"


def test_the_address_is_the_view(opened, browser):
    """A view opened again from its address is the same view."""
    page = opened("batch", "terms=1")
    move(page, "batch", ["ArrowRight"] * 4)
    again = opened("batch", urlsplit(page.url).query)
    assert again.locator("#bodies").inner_text() == page.locator("#bodies").inner_text()
    assert np.array_equal(points(again, "cost", "the pass"), points(page, "cost", "the pass"))


def test_back_and_forward_are_earlier_and_later_views(opened):
    """Each control that was moved is one step of the browser's history; going back shows the view as it was."""
    page = opened("batch")
    begun = page.evaluate("history.length")
    first = points(page, "cost", "the pass")
    move(page, "context", ["ArrowRight"] * 3)
    move(page, "context", ["ArrowRight"] * 3)
    move(page, "batch", ["ArrowRight"] * 3)
    assert page.evaluate("history.length") == begun + 2
    page.go_back()
    settle(page)
    assert state_of(page).batch == 8
    assert page.locator("#batch-exact").input_value() == "8"
    page.go_back()
    settle(page)
    assert np.array_equal(points(page, "cost", "the pass"), first)
    page.go_forward()
    settle(page)
    assert state_of(page).context_tokens > 4000
    assert page.evaluate("history.length") == begun + 2


def delayed(page, pattern, milliseconds):
    """Answers to addresses that match a pattern come late."""

    def wait(route):
        page.wait_for_timeout(milliseconds)
        route.continue_()

    page.route(pattern, wait)


def test_a_refusal_takes_no_later_change_with_it(opened):
    """A bad value whose refusal comes late is marked where it was typed; what was moved since is answered."""
    page = opened("batch")
    delayed(page, re.compile(r"batch\.json"), 300)
    field = page.locator("#context-exact")
    field.fill("zzz")
    field.press("Tab")
    control(page, "batch").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    page.wait_for_timeout(1200)
    settle(page)
    assert state_of(page).batch == 12
    assert field.input_value() == "zzz"
    assert field.get_attribute("aria-invalid") == "true"
    assert control(page, "batch").get_attribute("aria-invalid") is None
    assert "context: expected a number" in page.locator("#problem").inner_text()
    page.wrong[:] = [line for line in page.wrong if "400" not in line]


def test_a_band_is_drawn_once_there_is_one(opened):
    """An interval in the answer is drawn as a band between its ends."""
    page = opened("batch")

    def widen(route):
        answer = route.fetch()
        told = answer.json()
        for one in told["columns"][0]["figures"][0]["curves"]:
            if one["role"] == "total":
                for end, factor in (("low", 0.5), ("high", 2.0)):
                    one[end] = [None if value is None else value * factor for value in one["values"]]
        route.fulfill(response=answer, json=told)

    page.route(re.compile(r"batch\.json"), widen)
    move(page, "context", ["ArrowRight"])
    bands = page.locator('[data-figure="latency"] [data-band] path')
    assert bands.count() == 1
    assert bands.bounding_box()["height"] > 30
    assert page.locator('[data-figure="cost"] [data-band]').count() == 0


def test_a_config_that_is_too_long_stays_where_it_is(opened):
    """A text that no address could hold is refused on the spot, and the page goes on."""
    page = opened("batch", "model=llama-3.1-8b&on=h100-sxm:8")
    page.get_by_text("Paste a config.json").first.click()
    page.locator("textarea").first.fill(json.dumps({"a": random.Random(1).randbytes(100_000).hex()}))
    page.get_by_role("button", name="Use this config").first.click()
    page.locator("#problem", has_text="48,000").wait_for()
    move(page, "batch", ["ArrowRight"])
    assert state_of(page).batch == 12


def test_techniques_hold_what_they_need_and_give_it_back(opened):
    """With a technique chosen, attention and experts are counted and said so; without it nothing of that stays."""
    page = opened("context", "model=deepseek-v3")
    technique = page.locator('input[name="technique"][value="fp8"]')
    attention = page.locator('input[name="refine"][value="attention"]')
    technique.check()
    settle(page)
    assert attention.is_checked()
    assert attention.is_disabled()
    technique.uncheck()
    settle(page)
    assert not attention.is_checked()
    assert urlsplit(page.url).query == ""


def test_another_chip_keeps_the_count(opened):
    """From eight of one chip to another chip means eight of that."""
    page = opened("batch", "model=llama-3.1-70b&on=h100-sxm:8")
    page.locator('select[name="on"]').first.select_option("h200-sxm")
    settle(page)
    assert state_of(page).a.on == "h200-sxm:8"
    page.locator('select[name="on"]').first.select_option("gb200-nvl72")
    settle(page)
    assert state_of(page).a.on == "gb200-nvl72"


def test_a_number_can_be_typed_as_people_write_it(opened):
    """Beside each slider the exact value may be typed, "12k" too."""
    page = opened("batch")
    field = page.locator("#context-exact")
    field.fill("12k")
    field.press("Enter")
    settle(page)
    assert state_of(page).context_tokens == 12_000


def test_a_mistake_is_told_and_loses_nothing(opened):
    """A value that is none brings one line; picture and text stay, and the next good value clears it."""
    page = opened("batch")
    before = points(page, "latency", "the pass")
    field = page.locator("#context-exact")
    field.fill("many")
    field.press("Enter")
    settle(page)
    alert = page.locator("#problem").inner_text()
    assert "expected a number" in alert
    assert "\n" not in alert.strip()
    assert field.input_value() == "many"
    assert field.get_attribute("aria-invalid") == "true"
    assert np.array_equal(points(page, "latency", "the pass"), before)
    field.fill("8k")
    field.press("Enter")
    settle(page)
    assert page.locator("#problem").inner_text().strip() == ""
    assert field.get_attribute("aria-invalid") is None
    page.wrong[:] = [line for line in page.wrong if "400" not in line]  # the browser tells of the refusal


def test_a_malformed_address_has_its_line_and_a_way_on(browser, server):
    """An address that is no state opens a page that says so, and leads to one that is."""
    page = browser.new_page()
    response = page.goto(f"{server}batch?batch=nan")
    assert response.status == 400
    assert "expected a number" in page.locator("#problem").inner_text()
    page.get_by_role("link", name="Start again").click()
    page.wait_for_selector("[data-figure] svg")
    page.close()


def test_a_pasted_config_is_drawn(opened):
    """The config of a model, pasted, is that model: the curves are the library's."""
    page = opened("batch", "model=llama-3.1-8b&on=h100-sxm:8")
    config = dict(headway.load_model("llama-3.1-70b").config)
    page.get_by_text("Paste a config.json").first.click()
    page.locator("textarea").first.fill(json.dumps(config, indent=2))
    page.get_by_role("button", name="Use this config").first.click()
    settle(page)
    assert state_of(page).a.config
    batch, step = points(page, "latency", "the pass")
    expected = headway.roofline("llama-3.1-70b", on="h100-sxm:8", batch=batch, context=4000).step_s
    assert step == pytest.approx(np.ravel(expected) * 1e3, rel=CLOSE)
    page.get_by_role("button", name="Back to the catalog").first.click()
    settle(page)
    assert not state_of(page).a.config


def test_a_number_can_be_changed(opened):
    """An input of the answer, edited in place, changes the curves as `--set` does."""
    page = opened("batch")
    page.get_by_text("Change a number").first.click()
    field = page.locator("#set-bandwidth_bytes_per_s")
    field.wait_for()
    field.fill("16 TB/s")
    field.press("Enter")
    settle(page)
    assert state_of(page).a.changes == (("bandwidth_bytes_per_s", "16 TB/s"),)
    batch, step = points(page, "latency", "the pass")
    assert step == pytest.approx(np.ravel(answered(state_of(page), batch=batch).step_s) * 1e3, rel=CLOSE)


def test_table_and_sources_open_on_demand(opened):
    """Under a figure the table and the sources come when asked for, and follow the state."""
    page = opened("batch")
    figure = page.locator('[data-figure="latency"]')
    figure.get_by_text("Table", exact=True).click()
    figure.locator("table").first.wait_for()
    rows = figure.locator("table").first.locator("tr").count()
    assert rows > 5
    before = figure.locator("table").first.inner_text()
    move(page, "context", ["ArrowRight"] * 8)
    assert figure.locator("table").first.inner_text() != before
    figure.get_by_text("Sources", exact=True).click()
    figure.locator("code", has_text="bandwidth_bytes_per_s = 8.00 TB/s").first.wait_for()
    assert figure.locator("a[href^=http]").count() >= 1


@pytest.mark.parametrize("name", BOARDS)
def test_everything_is_reached_by_keyboard_alone(opened, name):
    """The tabulator reaches every control, each shows that it has the focus, and none is a trap."""
    page = opened(name)
    wanted = page.evaluate("""() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
        .filter(node => node.checkVisibility() && !node.disabled && node.tabIndex >= 0)
        .filter(node => !node.closest("details:not([open]) > :not(summary)")).length""")
    seen = []
    for _ in range(wanted + 3):
        page.keyboard.press("Tab")
        told = page.evaluate("""() => {
            const node = document.activeElement;
            if (node === document.body) return null;
            window.order ??= new Map();
            if (!window.order.has(node)) window.order.set(node, window.order.size);
            const style = getComputedStyle(node);
            return { at: window.order.get(node), ring: style.outlineStyle !== "none" || style.boxShadow !== "none",
                     what: node.outerHTML.slice(0, 120) };
        }""")
        if told is not None:
            seen.append(told)
    assert len({one["at"] for one in seen}) >= wanted
    assert not [one["what"] for one in seen if not one["ring"]]


def test_the_keyboard_moves_everything(opened):
    """Sliders, choices, switches and folds answer to keys."""
    page = opened("batch")
    move(page, "batch", ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowLeft"])
    assert state_of(page).batch == STOPS["batch"][-2]
    control(page, "terms", "input[type=checkbox]").focus()
    page.keyboard.press("Space")
    settle(page)
    assert state_of(page).terms
    page.locator('select[name="model"]').first.focus()
    page.keyboard.type("qwen3-0")
    page.keyboard.press("Enter")
    settle(page)
    assert state_of(page).a.model.startswith("qwen3-0")
    page.locator("summary", has_text="Command").first.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("headway roofline").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(("name", "query"), [*((name, "") for name in BOARDS), ("batch", "vs_on=h100-sxm:8&terms=1")])
def test_axe_finds_nothing_serious(opened, name, query, viewport, scheme):
    """Names, roles, contrast, order: axe has nothing serious to say of any board, open folds included."""
    page = opened(name, query, viewport=viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    settle(page)
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not [(one["id"], one["help"], one["nodes"][0]["html"][:200]) for one in serious]


@pytest.mark.parametrize("name", BOARDS)
def test_a_narrow_screen_needs_no_sideways_scrolling(opened, name):
    """At 360 pixels the page is as wide as the screen, two columns too, and its charts can be read."""
    page = opened(name, "vs_on=h100-sxm:8", viewport=NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    for chart in page.locator("svg[role=img]").all():
        box = chart.bounding_box()
        assert 250 <= box["width"] <= 360
        assert box["height"] >= 200
    sizes = page.evaluate("""() => [...document.querySelectorAll("svg[role=img] text")]
        .map(text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)""")
    assert min(sizes) >= 10.5


def test_figures_have_names_and_descriptions(opened):
    """A screen reader is told what a chart shows, and hears the new answer once the state has come to rest."""
    page = opened("batch")
    for title in ("time of one pass against batch", "cost of a token against batch"):
        chart = page.get_by_role("img", name=title, exact=True)
        told = page.locator(f"#{chart.get_attribute('aria-describedby')}").text_content()
        assert told.startswith(f"{title}, 1 to 65,536 sequences.")
    live = page.locator('[aria-live="polite"], [role="status"]').first
    move(page, "batch", ["ArrowRight"] * 3)
    assert live.inner_text().startswith("One pass of ")


def test_colour_is_never_alone(opened):
    """Curves of one chart differ in their dashes or their weight too."""
    page = opened("batch", "terms=1&refine=communication")
    looks = page.evaluate("""() => [...document.querySelectorAll('[data-figure="latency"] [data-curve]')].map(group => {
        const style = getComputedStyle(group.querySelector("path"));
        return [style.strokeDasharray, style.strokeWidth].join("/");
    })""")
    assert len(looks) == 5
    assert len(set(looks)) == len(looks)


def test_nothing_moves_for_those_who_want_no_motion(opened):
    """With reduced motion asked for, no animation or transition runs after a change."""
    page = opened("batch", reduced_motion="reduce")
    control(page, "batch").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.getAnimations().length") == 0


def test_the_first_load_is_small(opened):
    """The whole page with its scripts and its first board is at most 400 kB compressed."""
    page = opened("batch")
    sizes = page.evaluate("""() => ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
        .map(entry => [entry.name, entry.encodedBodySize])""")
    assert sum(size for _, size in sizes) <= 400_000
    assert all(size > 0 for name, size in sizes if not name.startswith("data:"))


def test_the_vendored_files_are_the_published_ones():
    """The scripts of others are as published, by the checksums beside them, and their licences stand there."""
    import hashlib

    vendor = files("headway.web").joinpath("static", "vendor")
    lines = vendor.joinpath("CHECKSUMS").read_text("utf-8").split("\n")
    listed = {name: digest for digest, name in (line.split() for line in lines if line)}
    assert {"d3.min.js", "plot.umd.min.js"} <= set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest
    assert {"d3.LICENSE", "plot.LICENSE", "THIRD-PARTY"} <= {entry.name for entry in vendor.iterdir()}
