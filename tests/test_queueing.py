"""Queues: what must hold, closed forms, chains solved by enumeration, and simulations written here.

A simulation is repeated with independent seeds; `agrees` asks that the mean of the repetitions lie within four of its
own standard errors, so a tolerance is never chosen by hand. Seeds are fixed: a pass today is a pass tomorrow.
"""

import math
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.equations import batching, throughput
from headway.equations import queueing as q
from headway.equations import timetable as clock

jax.config.update("jax_enable_x64", True)

BEAT_S = 0.020
LOADS = st.floats(0.01, 0.98)
LIMITS = st.integers(1, 300)


def agrees(samples, expected, axis=0):
    samples = np.asarray(samples)
    error = samples.std(axis=axis, ddof=1) / math.sqrt(samples.shape[axis])
    return np.all(np.abs(samples.mean(axis=axis) - expected) < 4 * error)


def left_behind(a, limit):
    """Mean left behind with time counted in beats."""
    return float(clock.timetable_left_behind(a, 1.0, limit))


# Laws.


@given(load=LOADS, more=st.floats(1.01, 1.5), limit=LIMITS)
def test_more_arrivals_never_shorten_a_wait(load, more, limit):
    """Every mean wait grows with the arrival rate, and is infinite from capacity on."""
    for wait in (clock.timetable_limited_wait_s, clock.bulk_wait_s, q.mdc_wait_s):
        assert wait(load * more * limit, 1.0, limit) >= wait(load * limit, 1.0, limit) * (1 - 1e-9)
    for wait in (q.md1_wait_s, q.mm1_wait_s, lambda u, s: q.mmc_wait_s(u, s, 3)):
        assert wait(load * more, 1.0) > wait(load, 1.0)


@given(load=LOADS, limit=LIMITS, scale=st.floats(1e-3, 1e3))
def test_waits_scale_with_the_clock(load, limit, scale):
    """With all times longer by a factor, every wait is longer by that factor."""
    for wait in (clock.timetable_limited_wait_s, clock.bulk_wait_s, q.mdc_wait_s):
        slow, fast = wait(load * limit / scale, scale, limit), wait(load * limit, 1.0, limit)
        assert slow == pytest.approx(scale * fast, rel=1e-9)


@given(load=LOADS, limit=st.integers(1, 100))
def test_room_for_one_more_never_lengthens_a_wait(load, limit):
    """At the same arrivals a larger departure leaves fewer behind, and none in the limit."""
    a = load * limit
    assert left_behind(a, limit + 1) <= left_behind(a, limit)
    assert left_behind(a, 1000 + 10 * limit) < 1e-12
    assert clock.timetable_limited_wait_s(a, 1.0, 1000 + 10 * limit) == pytest.approx(clock.timetable_wait_s(1.0))
    assert clock.bulk_wait_s(a, 1.0, 1000 + 10 * limit) == pytest.approx(clock.bulk_unlimited_wait_s(a, 1.0))


@given(load=LOADS, limit=LIMITS)
def test_a_server_that_need_not_wait_for_the_clock_waits_less(load, limit):
    """A pass that starts when the last one ends beats a timetable of the same period."""
    bulk, timetable = (
        clock.bulk_wait_s(load * limit, 1.0, limit),
        clock.timetable_limited_wait_s(load * limit, 1.0, limit),
    )
    assert 0 < bulk <= timetable * (1 + 1e-12)


@pytest.mark.parametrize("load", [1.0, 1.0 + 1e-12, 1.5, 30.0])
def test_a_queue_without_slack_has_no_mean_wait(load):
    """At or above capacity a mean wait is infinite, never negative and never NaN."""
    waits = (
        clock.timetable_left_behind(4 * load, 1.0, 4),
        clock.timetable_limited_wait_s(4 * load, 1.0, 4),
        clock.timetable_lower_wait_s(2 * load, 2 * load, 1.0, 4),
        clock.bulk_wait_s(4 * load, 1.0, 4),
        q.mdc_wait_s(4 * load, 1.0, 4),
        q.md1_wait_s(load, 1.0),
        q.mm1_wait_s(load, 1.0),
        q.mg1_wait_s(load, 1.0, 3.0),
        q.mmc_wait_s(load, 1.0, 4),
        q.priority_wait_s(1.0, load, 0.1),
        batching.continuous_step_s(1.0, load),
        batching.sharing_batch(load, 1.0, 1.0, 1.0),
        batching.sharing_latency_s(load, 1.0, 1.0, 1.0),
        batching.prefill_tensor_latency_s(2 * load, 1.0, 2.0),
        batching.prefill_pipeline_latency_s(2 * load, 1.0, 2.0),
    )
    assert all(float(wait) == math.inf for wait in waits)
    assert q.mmc_wait_probability(load, 4) == 1


def test_an_empty_system_waits_for_the_clock_only():
    """As arrivals vanish the waits tend to half a beat where a clock rules, and to nothing elsewhere."""
    assert clock.timetable_limited_wait_s(1e-9, 1.0, 8) == pytest.approx(0.5)
    assert clock.timetable_left_behind(0.0, 1.0, 8) == 0
    for wait in (clock.bulk_wait_s(1e-9, 1.0, 8), q.mdc_wait_s(1e-9, 1.0, 8), q.mm1_wait_s(1e-9, 1.0)):
        assert 0 <= wait < 1e-8


@given(load=LOADS, servers=st.integers(1, 40))
def test_constant_service_halves_the_wait_and_pooling_shortens_it(load, servers):
    """M/D/1 waits half of M/M/1; M/D/c less than M/M/c, though at least half; one queue for all beats one for each."""
    assert q.md1_wait_s(load, 1.0) == pytest.approx(q.mm1_wait_s(load, 1.0) / 2)
    constant, random = q.mdc_wait_s(load * servers, 1.0, servers), q.mmc_wait_s(load, 1.0, servers)
    assert random * (1 - 1e-9) / 2 <= constant <= random
    assert random <= q.mm1_wait_s(load, 1.0) * (1 + 1e-12)


@given(
    rates=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5),
    services=st.lists(st.floats(0.01, 2.0), min_size=5, max_size=5),
    scvs=st.lists(st.floats(0.0, 4.0), min_size=5, max_size=5),
    load=LOADS,
)
def test_the_order_of_service_only_redistributes_waiting(rates, services, scvs, load):
    """Kleinrock's conservation law: waits weighted by load sum to load times residual over slack, in any order."""
    rates, services, scvs = (np.array(v[: len(rates)]) for v in (rates, services, scvs))
    rates *= load / (rates @ services)
    waits = q.class_waits_s(rates, services, scvs)
    residual = q.residual_s(rates, services, scvs).sum()
    assert (rates * services) @ waits == pytest.approx(load * residual / (1 - load))
    assert np.all(np.diff(waits) >= 0)


@given(load=st.floats(0.1, 0.98), upper=st.floats(0.05, 0.95), limit=LIMITS)
def test_a_lower_class_pays_exactly_what_an_upper_class_gains(load, upper, limit):
    """Boarding first moves waiting from one class to the other; the mean over all requests stays."""
    first, second = load * limit * upper, load * limit * (1 - upper)
    up, down = (
        clock.timetable_limited_wait_s(first, 1.0, limit),
        clock.timetable_lower_wait_s(first, second, 1.0, limit),
    )
    everyone = clock.timetable_limited_wait_s(first + second, 1.0, limit)
    assert upper * up + (1 - upper) * down == pytest.approx(everyone, rel=1e-9)
    assert down >= up * (1 - 1e-9)


def test_limits_loads_and_beats_may_all_be_arrays():
    """Rates, beats and batch limits broadcast, and each entry equals its own scalar call."""
    loads, limits = np.array([0.2, 0.7, 0.95, 1.2]), np.array([[1], [8], [256]])
    for wait in (clock.timetable_limited_wait_s, clock.bulk_wait_s, q.mdc_wait_s):
        table = wait(loads * limits / BEAT_S, BEAT_S, limits)
        apart = [[wait(load * limit / BEAT_S, BEAT_S, limit) for load in loads] for limit in limits[:, 0].tolist()]
        np.testing.assert_allclose(table, apart, rtol=1e-12)


@pytest.mark.parametrize("wait", [clock.timetable_limited_wait_s, clock.bulk_wait_s, q.mdc_wait_s])
@pytest.mark.parametrize("load", [0.01, 0.6, 0.99, 1.3])
def test_waits_can_be_differentiated(wait, load):
    """JAX's compiled derivative in the arrival rate is the slope of the wait, and never NaN, overload included."""
    slope = jax.jit(jax.grad(lambda rate: wait(rate, 1.0, 16)))(jnp.asarray(16 * load))
    step = 1e-4 * load
    if load < 1:
        secant = (wait(16 * load + step, 1.0, 16) - wait(16 * load - step, 1.0, 16)) / (2 * step)
        assert float(slope) == pytest.approx(float(secant), rel=1e-4, abs=1e-12)
    assert not math.isnan(float(slope))


# Closed forms.


@given(load=LOADS)
def test_one_seat_is_a_single_server(load):
    """With one seat, bulk service and M/D/c are M/D/1; the timetable adds half a beat; M/M/c is M/M/1."""
    single = q.md1_wait_s(load, 1.0)
    assert q.mg1_wait_s(load, 1.0, 0.0) == pytest.approx(single)
    assert q.mg1_wait_s(load, 1.0, 1.0) == pytest.approx(q.mm1_wait_s(load, 1.0))
    assert clock.bulk_wait_s(load, 1.0, 1) == pytest.approx(single, rel=1e-11)
    assert q.mdc_wait_s(load, 1.0, 1) == pytest.approx(single, rel=1e-11)
    assert clock.timetable_limited_wait_s(load, 1.0, 1) == pytest.approx(single + 0.5, rel=1e-11)
    assert q.mmc_wait_s(load, 1.0, 1) == pytest.approx(q.mm1_wait_s(load, 1.0))
    assert q.utilisation(load * 3, 1.0, 3) == pytest.approx(load)


def bailey(a, limit):
    """Mean left behind and chance of nobody, from the roots of z^B = e^(a (z - 1)) inside the unit circle."""
    turn, rho = np.exp(2j * np.pi * np.arange(1, limit) / limit), a / limit
    z = np.zeros(limit - 1, complex)
    for _ in range(5000):
        z = turn * np.exp(rho * (z - 1))
    mean = (1 / (1 - z)).sum().real - (limit * (limit - 1) - a * a) / (2 * (limit - a))
    return mean, (limit - a) * np.exp(a) * np.prod(-z / (1 - z)).real


@pytest.mark.parametrize("limit", [2, 3, 8, 32, 100])
@pytest.mark.parametrize("load", [0.3, 0.8, 0.95, 0.99])
def test_who_is_left_behind_is_baileys_sum_over_roots(limit, load):
    """The contour integral equals the classical formula; the roots keep some 13 digits of the seats."""
    a = load * limit
    mean, nobody = bailey(a, limit)
    assert left_behind(a, limit) == pytest.approx(mean, rel=1e-11, abs=1e-13 * limit)
    pass_wait = (mean + a / 2) / (a + nobody * math.exp(-a))
    assert clock.bulk_wait_s(a, 1.0, limit) == pytest.approx(pass_wait, rel=1e-11)


@pytest.mark.parametrize(("a", "limit"), [(0.02, 2), (0.3, 4), (3.2, 32), (12.8, 64)])
def test_rare_overflow_keeps_its_digits(a, limit):
    """Far below capacity the mean left behind is the Poisson tail of the first few terms of Spitzer's sum."""
    spitzer = 0.0
    for n in range(1, 6):
        tail = [math.exp(k * math.log(n * a) - n * a - math.lgamma(k + 1)) for k in range(n * limit, n * limit + 200)]
        spitzer += sum(i * p for i, p in enumerate(tail)) / n
    assert left_behind(a, limit) == pytest.approx(spitzer, rel=1e-8)  # five terms at these loads
    assert 0 < spitzer < 1e-3


@given(servers=st.integers(1, 60), load=LOADS)
def test_erlang_c_is_the_busy_share_of_the_chain(servers, load):
    """The chance of finding all servers busy is that of the birth-death chain, summed state by state in logarithms."""
    a = servers * load
    log_weights = [k * math.log(a) - math.lgamma(k + 1) for k in range(servers)]
    log_all = servers * math.log(a) - math.lgamma(servers + 1) - math.log(1 - load)
    probability = 1 / (1 + sum(math.exp(w - log_all) for w in log_weights))
    assert q.mmc_wait_probability(load, servers) == pytest.approx(probability, rel=1e-9)
    waiting = probability * load / (1 - load)
    assert q.mmc_wait_s(load, 1.0, servers) == pytest.approx(waiting / a, rel=1e-9)


@pytest.mark.parametrize(("fixed_s", "sequence_s"), [(1.0, 0.1), (0.2, 0.5), (1.0, 1e-9)])
def test_a_shared_batch_is_the_mean_of_its_birth_death_chain(fixed_s, sequence_s):
    """The number in the batch has weights that multiply by rate times step over number; Poisson where step is fixed."""
    rate = 0.8 / sequence_s if sequence_s > 1e-6 else 5.0
    n = np.arange(1, 4000)
    weights = np.exp(np.cumsum(np.log(rate * (fixed_s + sequence_s * n) / n)))
    mean = (n * weights).sum() / (1 + weights.sum())
    assert batching.sharing_batch(rate, 1.0, fixed_s, sequence_s) == pytest.approx(mean)
    if sequence_s < 1e-6:
        assert mean == pytest.approx(rate * fixed_s, rel=1e-6)
    idle = 1 / (1 + weights.sum())
    step = fixed_s * (1 - idle) + sequence_s * mean
    assert batching.sharing_latency_s(rate, 1.0, fixed_s, sequence_s) == pytest.approx(mean / rate + step / 2)


def test_prefill_latencies_are_distserves():
    """Tensor parallel is D/K + R D^2 / (2K (K - R D)), two stages D + R D^2 / (4 (2 - R D)); both start as M/D/1."""
    rate, prefill_s = np.linspace(0.1, 4.9, 9), 0.2
    demand = rate * prefill_s
    for k in (1.0, 1.6, 2.0):
        tensor = prefill_s / k + demand * prefill_s / (2 * k * (k - demand))
        np.testing.assert_allclose(batching.prefill_tensor_latency_s(rate, prefill_s, k), tensor)
    pipeline = prefill_s + demand * prefill_s / (4 * (2 - demand))
    np.testing.assert_allclose(batching.prefill_pipeline_latency_s(rate, prefill_s), pipeline)
    alone = prefill_s + q.md1_wait_s(demand, prefill_s)
    np.testing.assert_allclose(batching.prefill_tensor_latency_s(rate, prefill_s, 1.0), alone)
    np.testing.assert_allclose(batching.prefill_pipeline_latency_s(rate, prefill_s, 1.0), alone)


def test_overload_is_linear_in_time():
    """Over capacity the backlog is what arrives less what leaves, and the n-th waits for those before it."""
    rate, limit, seconds = 2000.0, 32, 60.0
    backlog = clock.overload_backlog(seconds, rate, BEAT_S, limit)
    assert backlog == pytest.approx(seconds * (rate - clock.timetable_capacity_per_s(limit, BEAT_S)))
    last = clock.overload_wait_s(rate * seconds, rate, BEAT_S, limit)
    assert last * limit / BEAT_S == pytest.approx(backlog)
    assert (
        clock.overload_backlog(seconds, 1000.0, BEAT_S, limit) == clock.overload_wait_s(9, 1000.0, BEAT_S, limit) == 0
    )


# Chains solved by enumeration.


def chain(a, limit, states=400):
    """Stationary law of X <- max(X + A - B, 0), from its transition matrix."""
    poisson = np.exp(
        np.arange(states + limit) * np.log(a) - a - np.array([math.lgamma(k + 1) for k in range(states + limit)])
    )
    step = np.zeros((states, states))
    for x in range(states):
        for arrivals in range(states + limit):
            step[x, min(max(x + arrivals - limit, 0), states - 1)] += poisson[arrivals]
    balance = np.vstack([step.T - np.eye(states), np.ones(states)])
    return np.linalg.lstsq(balance, np.append(np.zeros(states), 1.0), rcond=None)[0]


@pytest.mark.parametrize(("a", "limit"), [(3.2, 4), (6.0, 8), (0.9, 2)])
def test_timetable_and_bulk_waits_are_those_of_their_chains(a, limit):
    """Mean left behind and mean bulk wait equal sums over the stationary law of the number left behind."""
    law = chain(a, limit, 250)
    mean = law @ np.arange(len(law))
    assert left_behind(a, limit) == pytest.approx(mean, rel=1e-8)
    idle = law[0] * math.exp(-a)  # nobody stayed and nobody came
    assert clock.bulk_wait_s(a, 1.0, limit) == pytest.approx((mean + a / 2) / (a + idle), rel=1e-8)


# Simulations.


def recursion(steps):
    """X_n = max(X_(n-1) + step_n, 0) from 0, along the last axis, without a loop."""
    walk = np.cumsum(steps, axis=-1)
    return walk - np.minimum(np.minimum.accumulate(walk, axis=-1), 0)


def serve(arrivals, limit, pass_s, beat_s=None):
    """Waits in arrival order: passes take up to `limit` of those waiting, at beats or else as soon as they can."""
    waits, i, free = np.empty(len(arrivals)), 0, 0.0
    while i < len(arrivals):
        start = max(free, arrivals[i])
        if beat_s:
            start = math.ceil(start / beat_s) * beat_s
        end = min(i + limit, int(np.searchsorted(arrivals, start, side="right")))
        waits[i:end] = start - arrivals[i:end]
        i, free = end, start + pass_s
    return waits


def poisson_arrivals(seed, rate, n):
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, n))


@pytest.mark.parametrize(("a", "limit"), [(3.2, 4), (28, 32), (240, 256)])
def test_a_simulated_timetable_waits_as_computed(a, limit):
    """Batches that leave every 20 ms with up to B of those waiting show the mean wait of the formula."""
    waits = [
        serve(poisson_arrivals(s, a / BEAT_S, 40_000), limit, BEAT_S / 2, BEAT_S)[4_000:].mean() for s in range(12)
    ]
    assert agrees(waits, clock.timetable_limited_wait_s(a / BEAT_S, BEAT_S, limit))


@pytest.mark.parametrize(("a", "limit"), [(3.2, 4), (0.7, 1), (2.0, 10_000)])
def test_a_simulated_busy_server_waits_as_computed(a, limit):
    """A server that takes up to B as soon as it is free shows the mean wait of the formula."""
    waits = [serve(poisson_arrivals(s, a / BEAT_S, 40_000), limit, BEAT_S)[4_000:].mean() for s in range(12)]
    assert agrees(waits, clock.bulk_wait_s(a / BEAT_S, BEAT_S, limit))


def test_the_worst_wait_of_a_simulated_train_is_one_beat():
    """Far below capacity no one waits longer than a beat, someone nearly that, and the mean is half."""
    waits = serve(poisson_arrivals(1, 128 / BEAT_S, 200_000), 256, BEAT_S / 2, BEAT_S)
    assert (
        0.999 * clock.timetable_worst_wait_s(BEAT_S) < waits.max() <= clock.timetable_worst_wait_s(BEAT_S) * (1 + 1e-9)
    )
    assert waits.mean() == pytest.approx(clock.timetable_wait_s(BEAT_S), rel=0.01)


def test_an_overloaded_simulation_follows_the_fluid():
    """At twice capacity the waits of a simulated timetable grow as the fluid line says, to the sampling error."""
    n, rate = 100_000, 3200.0
    waits = serve(poisson_arrivals(2, rate, n), 32, BEAT_S / 2, BEAT_S)
    fluid = clock.overload_wait_s(np.arange(n), rate, BEAT_S, 32)
    spread = 4 * math.sqrt(n) / rate + BEAT_S  # of the arrival epochs, and a beat of granularity
    assert np.abs(waits - fluid).max() < spread


def test_two_classes_on_a_simulated_timetable():
    """Lower requests that take only the seats left over wait as computed."""
    limit, upper, lower = 8, 3.0, 4.2
    samples = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first = rng.poisson(upper, 40_000)
        left = recursion(first + rng.poisson(lower, 40_000) - limit) - recursion(first - limit)
        samples.append(0.5 + left[4_000:].mean() / lower)
    assert agrees(samples, clock.timetable_lower_wait_s(upper, lower, 1.0, limit))


@pytest.mark.parametrize(("servers", "load"), [(1, 0.8), (3, 0.85), (16, 0.9)])
def test_simulated_servers_of_constant_speed(servers, load):
    """M/D/c: the n-th is served where the (n - c)-th was, so its wait follows a recursion of c steps."""
    samples = []
    for seed in range(12):
        gaps = np.random.default_rng(seed).exponential(1 / (load * servers), (120_000 // servers, servers))
        arrivals = np.cumsum(gaps).reshape(gaps.shape).T
        waits = recursion(1.0 - np.diff(arrivals, axis=1))
        samples.append(waits[:, waits.shape[1] // 10 :].mean())
    assert agrees(samples, q.mdc_wait_s(load * servers, 1.0, servers))


def test_a_single_simulated_server_waits_by_pollaczek_and_khinchine():
    """Uniform, exponential and hyperexponential services give the mean wait of their squared variation."""
    rng = np.random.default_rng(5)
    shape, rate = (12, 100_000), 0.75
    fast = rng.random(shape) < 0.9
    for service, scv in [
        (rng.uniform(0, 2, shape), 1 / 3),
        (rng.exponential(1, shape), 1.0),
        (rng.exponential(1, shape) * np.where(fast, 5 / 9, 5.0), 2 * (0.9 * (5 / 9) ** 2 + 0.1 * 25) - 1),
    ]:
        waits = recursion(service - rng.exponential(1 / rate, shape))[:, 10_000:].mean(axis=1)
        assert agrees(waits, q.mg1_wait_s(rate, 1.0, scv))


def priority_simulation(seed, rates, services, n):
    """Mean waits of classes on one server, first class first, a begun service always finished."""
    rng = np.random.default_rng(seed)
    horizon = n / sum(rates)
    queues = []
    for rate in rates:
        times = np.cumsum(rng.exponential(1 / rate, int(rate * horizon)))
        queues.append(deque(times[times < horizon].tolist()))
    now, waits = 0.0, [[] for _ in rates]
    while now < horizon and any(queues):
        if all(not queue or queue[0] > now for queue in queues):
            now = min(queue[0] for queue in queues if queue)
        k = next(k for k, queue in enumerate(queues) if queue and queue[0] <= now)
        waits[k].append(now - queues[k].popleft())
        now += rng.exponential(services[k])
    return [np.mean(w[len(w) // 10 :]) if w else math.inf for w in waits]


@pytest.mark.parametrize(
    ("rates", "services"), [((0.3, 0.2, 0.1), (1.0, 1.5, 2.0)), ((0.4, 0.9, 0.3), (1.0, 2.0, 1.0))]
)
def test_simulated_priorities(rates, services):
    """Classes wait as Cobham says; where the lower ones overload the server, the upper one's wait is still finite."""
    expected = q.class_waits_s(np.array(rates), np.array(services), np.ones(3))
    load = np.cumsum(np.multiply(rates, services))
    assert np.array_equal(np.isfinite(expected), load < 1)
    samples = np.array([priority_simulation(seed, rates, services, 25_000) for seed in range(12)])
    assert agrees(samples[:, load < 1], expected[load < 1])


def decode(seed, rate, output, steps, alpha, beta, gamma=0.0, kappa=0.0, geometric=False, prompts=(0,)):
    """A continuous batch: mean step, mean batch over steps, idle share, mean latency and mean batch over time.

    The first tenth of the steps is left out.
    """
    rng = np.random.default_rng(seed)
    now, busy, sizes, area, latencies = 0.0, 0.0, 0, 0.0, []
    came, context, left = np.empty(0), np.empty(0), np.empty(0)
    waiting = []
    for n in range(-steps // 9, steps):
        if n == 0:
            start, busy, sizes, area, latencies = now, 0.0, 0, 0.0, []
        if not waiting and not len(came):
            now += rng.exponential(1 / rate)
            waiting = [now]
        if waiting:
            new = rng.choice(prompts, len(waiting))
            due = rng.geometric(1 / output, len(new)) if geometric else np.full(len(new), output)
            came, context, left = (
                np.concatenate(v) for v in ((came, waiting), (context, new), (left, due.astype(float)))
            )
        prompt = float(new.sum()) if waiting else 0.0
        dt = alpha + beta * len(came) + gamma * prompt + kappa * context.sum()
        busy, sizes, area = busy + dt, sizes + len(came), area + len(came) * dt
        waiting = list(now + dt * np.sort(rng.random(rng.poisson(rate * dt))))
        now += dt
        context, left = context + 1, left - 1
        if not left.all():
            latencies.extend(now - came[left == 0])
            came, context, left = came[left > 0], context[left > 0], left[left > 0]
    return busy / steps, sizes / steps, 1 - busy / (now - start), np.mean(latencies), area / (now - start)


@pytest.mark.parametrize(
    ("rate", "geometric", "prompts"),
    [(4.0, False, (40,)), (4.0, True, (40,)), (4.0, False, (10, 110)), (0.5, True, (40,))],
)
def test_a_simulated_continuous_batch_steps_as_computed(rate, geometric, prompts):
    """Mean step and batch follow the load for constant and geometric outputs, idle time taken out."""
    output, alpha, beta, gamma, kappa = 30, 0.02, 1e-3, 5e-4, 3e-5
    squared = output**2 + geometric * (output**2 - output)
    prompt = float(np.mean(prompts))
    load = batching.continuous_load(
        rate,
        output,
        beta,
        prompt_tokens=prompt,
        prompt_token_s=gamma,
        context_token_s=kappa,
        prompt_times_output=prompt * output,
        output_squared=squared,
    )
    runs = np.array([decode(s, rate, output, 4_000, alpha, beta, gamma, kappa, geometric, prompts) for s in range(8)])
    idle = runs[:, 2]
    step = batching.continuous_step_s(alpha, load, idle)
    assert agrees(runs[:, 0] - step, 0)
    assert agrees(runs[:, 1] - batching.continuous_batch(rate, output, step, idle), 0)
    assert (idle.mean() > 0.3) == (rate < 1)


@pytest.mark.parametrize("geometric", [False, True])
def test_a_simulated_decoding_batch_shares_the_processor(geometric):
    """Mean number over time and mean latency are those of processor sharing, whatever the law of the outputs."""
    rate, output, alpha, beta = 1.0, 150, 0.005, 0.004
    runs = np.array([decode(s, rate, output, 25_000, alpha, beta, geometric=geometric) for s in range(8)])
    assert agrees(runs[:, 4], batching.sharing_batch(rate, output, alpha, beta))
    assert agrees(runs[:, 3], batching.sharing_latency_s(rate, output, alpha, beta))
    assert agrees(q.in_flight(rate, runs[:, 3]), runs[:, 4].mean() + rate * (alpha + beta * runs[:, 4].mean()) / 2)


# Published figures.


def test_the_train_of_the_lecture():
    """Claims Q01 to Q03: a train every 20 ms waits 20 ms at worst, 10 ms on average, and arrives 40 ms on at worst."""
    assert throughput.worst_latency_s(BEAT_S, BEAT_S) == 0.04
    assert clock.timetable_worst_wait_s(BEAT_S) == 0.02
    assert clock.timetable_wait_s(BEAT_S) == 0.01
    assert clock.timetable_capacity_per_s(2000, BEAT_S) == pytest.approx(100_000)
    assert throughput.tokens_per_s(2000, 1, 1 / 64) == 128_000  # claim Q05


@pytest.mark.parametrize(
    ("limit", "a", "wait_ms"), [(4, 3.2, 17.72190), (32, 28, 10.98610), (256, 240, 10.15572), (1, 0.9, 100.0)]
)
def test_limited_timetables_as_tabulated(limit, a, wait_ms):
    """Waits at a 20 ms beat, as the roots give them (claim Q04 is the second); stated to seven digits."""
    assert clock.timetable_limited_wait_s(a / BEAT_S, BEAT_S, limit) * 1e3 == pytest.approx(wait_ms, abs=5e-6)


@pytest.mark.parametrize(("limit", "a", "wait_ms"), [(4, 3.2, 17.59072), (32, 28, 10.98610), (1000, 2, 9.36621)])
def test_bulk_service_as_tabulated(limit, a, wait_ms):
    """Waits of a server that is never idle while anyone waits, passes of 20 ms; stated to seven digits."""
    assert clock.bulk_wait_s(a / BEAT_S, BEAT_S, limit) * 1e3 == pytest.approx(wait_ms, abs=5e-6)


def test_erlang_c_as_tabulated():
    """Two servers at 80 % are both busy 32/45 of the time, which pencil and paper give."""
    assert q.mmc_wait_probability(0.8, 2) == pytest.approx(32 / 45)
