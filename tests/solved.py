"""Equations whose result is solved or summed, not a formula in one line, and the test that checks each one."""

SOLVED: dict[str, str] = {}
