"""Architectures that fit a number: which plausible caches keep so many bytes a token, and who keeps about as many."""

WITHIN = 0.05  # share by which a cache may differ from what was asked, where nobody says otherwise
