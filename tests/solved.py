"""Equations whose result is solved or summed, not a formula in one line, and the test that checks each one."""

SOLVED: dict[str, str] = {
    "busiest_rank_share": "tests/test_moe.py::test_the_busiest_rank_is_the_mean_over_every_outcome",
    "rank_imbalance": "tests/test_moe.py::test_the_busiest_rank_over_the_mean",
    "busiest_load_tokens": "tests/test_moe.py::test_the_busiest_bin_agrees_with_simulation",
    "distinct_ranks_hit": "tests/test_moe.py::test_distinct_ranks_are_the_mean_over_every_choice",
}
