"""Facts: accelerators, systems, memory tiers and model configs, each figure with its source and date.

The facts are data files (`catalog/data/`), checked against one vocabulary (`quantities.toml`). Users add their own
as TOML files of the same form, in the folder named by `HEADWAY_CATALOG` or in `~/.config/headway/catalog`.

>>> entry("h100-sxm").figures["bandwidth_bytes_per_s"].value
3350000000000.0
"""

from headway.catalog.entries import Entry, Vocabulary, vocabulary
from headway.catalog.store import KINDS, entries, entry, model_names, read_file, read_model, resolve

__all__ = [
    "KINDS",
    "Entry",
    "Vocabulary",
    "entries",
    "entry",
    "model_names",
    "read_file",
    "read_model",
    "resolve",
    "vocabulary",
]
