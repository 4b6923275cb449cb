"""KV under each attention technique: what is stored, what is read, and how each grows with context."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from headway.equations.kv_variants import (
    best_stride_tokens,
    caching_layers,
    compressed_bytes,
    full_bytes,
    grouped_bytes_per_token,
    hybrid_bytes,
    latent_bytes_per_token,
    scaled_element_bytes,
    sqrt_read_bytes,
    sqrt_stored_bytes,
    state_bytes,
    strided_read_tokens,
    topk_break_even_tokens,
    topk_read_bytes,
    topk_stored_bytes,
    window_bytes,
)

CONTEXT = integers(1, 100_000_000)
TECHNIQUES = {  # name: (stored, read) as functions of context, of the same cache of 1,152 bytes per token
    "full": (lambda n: full_bytes(n, 1152),) * 2,
    "window": (lambda n: window_bytes(n, 4096, 1152),) * 2,
    "hybrid": (lambda n: hybrid_bytes(n, 4096, 192, 960),) * 2,
    "compressed": (lambda n: compressed_bytes(n, 4, 1152),) * 2,
    "state": (lambda _: state_bytes(1, 8, 128, 128, 4),) * 2,
    "topk": (lambda n: topk_stored_bytes(n, 1152, 132), lambda n: topk_read_bytes(n, 2048, 1152, 132)),
    "sqrt": (lambda n: sqrt_stored_bytes(n, 16, 1152), lambda n: sqrt_read_bytes(n, 16, 1152)),
}


@pytest.mark.parametrize("technique", TECHNIQUES)
@given(context=CONTEXT, more=CONTEXT)
def test_a_longer_context_is_never_cheaper_and_nothing_is_read_that_is_not_stored(technique, context, more):
    """Under every technique both byte counts grow with context or stay, and a step reads at most what is stored."""
    stored, read = TECHNIQUES[technique]
    assert stored(context + more) >= stored(context) > 0
    assert read(context + more) >= read(context) > 0
    assert read(context) <= stored(context) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("technique", "growth"),
    [("full", 10), ("window", 1), ("hybrid", 10), ("compressed", 10), ("state", 1), ("topk", 10), ("sqrt", 10**0.5)],
)
def test_reads_grow_with_context_as_named(technique, growth):
    """From 10 to 100 million tokens, linear, constant, or the square root; the constant parts are below a percent."""
    read = TECHNIQUES[technique][1]
    assert float(read(1e8) / read(1e7)) == pytest.approx(growth, rel=0.01)


@given(context=CONTEXT)
def test_a_hybrid_of_one_kind_is_that_kind(context):
    """All layers global is full attention; all local is a window; a window as long as the context is full."""
    assert hybrid_bytes(context, 1024, 4096, 0) == full_bytes(context, 4096)
    assert hybrid_bytes(context, 1024, 0, 4096) == window_bytes(context, 1024, 4096)
    assert window_bytes(context, context, 4096) == full_bytes(context, 4096)


@given(context=CONTEXT, opened=integers(1, 64), stride=integers(1, 100_000))
def test_no_stride_reads_less_than_the_best(context, opened, stride):
    """The square root bounds every fixed stride from below: arithmetic mean over geometric mean."""
    assert strided_read_tokens(context, stride, opened) >= sqrt_read_bytes(context, opened, 1) * (1 - 1e-12)


def test_the_best_stride_is_the_brute_force_minimum():
    """Over every whole stride, the cheapest is the square root to the nearest token, at twice the geometric mean."""
    strides = np.arange(1, 10_000)
    for context, opened in ((1e6, 16), (3e5, 7), (1e8, 64)):
        cost = strided_read_tokens(context, strides, opened)
        assert abs(strides[cost.argmin()] - best_stride_tokens(context, opened)) <= 1
        assert cost.min() == pytest.approx(float(sqrt_read_bytes(context, opened, 1)), rel=1e-5)
        assert sqrt_stored_bytes(context, opened, 1) == context + context / best_stride_tokens(context, opened)


def test_the_indexer_breaks_even_where_both_read_the_same():
    """At the break-even context top-k and full attention read alike; beyond it top-k reads less."""
    even = float(topk_break_even_tokens(2048, 1152, 132))
    assert float(topk_read_bytes(even, 2048, 1152, 132)) == pytest.approx(full_bytes(even, 1152))
    assert topk_read_bytes(even + 1, 2048, 1152, 132) < full_bytes(even + 1, 1152)
    assert topk_break_even_tokens(2048, 132, 132) == np.inf


def test_a_simulated_cache_holds_what_the_formulas_say():
    """Tokens pushed one by one into a list (global), a ring (local) and a shared cache take the bytes computed."""
    width, window, context, per_cache = 24, 5, 13, 2
    caches = [[] if layer % 3 == 0 else deque(maxlen=window) for layer in range(6)]
    shared = [[] for layer in range(5) if layer % per_cache == 0]
    for token in range(context):
        for cache in caches + shared:
            cache.append(token)
    held = width * sum(len(cache) for cache in caches)
    assert hybrid_bytes(context, window, 2 * width, 4 * width) == held
    assert full_bytes(context, caching_layers(5, per_cache) * width) == width * sum(map(len, shared))


def test_a_quantised_array_takes_the_scaled_bytes():
    """The values and scales of a real block-quantised array have the bytes computed for it."""
    values, scales = np.zeros(4096, dtype=np.int8), np.zeros(4096 // 128, dtype=np.float32)
    assert 4096 * scaled_element_bytes(1, 4, 128) == values.nbytes + scales.nbytes


def test_a_linear_attention_state_is_the_outer_product_it_keeps():
    """A state of keys times values in float32, plus the inputs that a short convolution remembers."""
    state, convolution = np.zeros((16, 128, 64), dtype=np.float32), np.zeros((3, 512), dtype=np.float32)
    assert state_bytes(2, 16, 128, 64, 4, convolution_elements=3 * 512) == 2 * (state.nbytes + convolution.nbytes)


@pytest.mark.parametrize(
    ("computed", "published"),
    [
        pytest.param(grouped_bytes_per_token(1, 8, 128, 128, 1), 2048, id="E04 one shared layer"),
        pytest.param(grouped_bytes_per_token(126, 8, 128, 128, 2), 516_096, id="E05 Llama-405B"),
        pytest.param(grouped_bytes_per_token(80, 8, 128, 128, 2), 327_680, id="Llama-70B, Qwen2.5-72B"),
        pytest.param(latent_bytes_per_token(61, 512, 64, 2), 70_272, id="E06 DeepSeek-V3"),
        pytest.param(sqrt_read_bytes(1e6, 16, 1), 8000, id="E20 square root"),
    ],
)
def test_published_cache_sizes_come_out_exactly(computed, published):
    """Claims E04 to E06 and E20, whole numbers, to the last digit."""
    assert computed == published


def test_sparse_attention_reads_what_the_claim_says():
    """Claim E19: dense MLA reads 7.68 times what DSA reads at 131,072 tokens; the notes put break-even at 2.3k."""
    ratio = full_bytes(131_072, 1152) / topk_read_bytes(131_072, 2048, 1152, 132)
    assert float(ratio) == pytest.approx(7.68, rel=5e-3)  # three digits are published
    assert float(topk_break_even_tokens(2048, 1152, 132)) == pytest.approx(2300, rel=0.02)  # two digits


def test_multi_query_with_windows_and_sharing_saves_more_than_twenty_times():
    """character.ai's three measures (8 → 1 key heads, five of six layers local, two layers per cache) beat 20×."""
    context, window = 32_768, 1024
    before = full_bytes(context, grouped_bytes_per_token(36, 8, 128, 128, 2))
    layer = grouped_bytes_per_token(1, 1, 128, 128, 2)
    after = hybrid_bytes(context, window, caching_layers(6, 2) * layer, caching_layers(30, 2) * layer)
    assert before / after > 20
