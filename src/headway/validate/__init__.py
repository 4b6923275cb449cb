"""Is it true? Claims that others made, recomputed by the library's own functions."""
