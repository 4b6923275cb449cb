"""How many random examples each law is tried on: few in `make check`, many in `make soak`."""

import os

from hypothesis import settings

settings.register_profile("check", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("soak", max_examples=int(os.environ.get("HEADWAY_LAW_EXAMPLES", "60")), deadline=None)
settings.load_profile("soak" if "HEADWAY_LAW_EXAMPLES" in os.environ else "check")
