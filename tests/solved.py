"""Equations whose result is solved or summed, not a formula in one line, and the test that checks each one."""

SOLVED: dict[str, str] = {
    "busiest_rank_share": "tests/test_moe.py::test_the_busiest_rank_is_the_mean_over_every_outcome",
    "rank_imbalance": "tests/test_moe.py::test_the_busiest_rank_over_the_mean",
    "busiest_load_tokens": "tests/test_moe.py::test_the_busiest_bin_agrees_with_simulation",
    "busiest_load_ratio": "tests/test_moe.py::test_the_busiest_bin_of_any_mean_agrees_with_throwing_copies",
    "placed_imbalance": "tests/test_moe.py::test_placing_copies_by_hand_gives_the_imbalance",
    "limited_ranks_hit": "tests/test_moe.py::test_a_limit_on_nodes_is_the_mean_over_every_choice",
    "distinct_ranks_hit": "tests/test_moe.py::test_distinct_ranks_are_the_mean_over_every_choice",
    "timetable_left_behind": "tests/test_queueing.py::test_who_is_left_behind_is_baileys_sum_over_roots",
    "timetable_limited_wait_s": "tests/test_queueing.py::test_a_simulated_timetable_waits_as_computed",
    "timetable_lower_wait_s": "tests/test_queueing.py::test_two_classes_on_a_simulated_timetable",
    "bulk_wait_s": "tests/test_queueing.py::test_timetable_and_bulk_waits_are_those_of_their_chains",
    "class_waits_s": "tests/test_queueing.py::test_simulated_priorities",
    "mmc_wait_probability": "tests/test_queueing.py::test_erlang_c_is_the_busy_share_of_the_chain",
    "mmc_wait_s": "tests/test_queueing.py::test_erlang_c_is_the_busy_share_of_the_chain",
    "mdc_wait_s": "tests/test_queueing.py::test_simulated_servers_of_constant_speed",
}
