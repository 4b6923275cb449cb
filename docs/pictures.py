"""The pictures of the live page in the docs: a real server in a real browser, in both themes and two widths."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browsing import browsing, serving

WIDE, NARROW = (1280, 860), (360, 1500)  # a narrow page as far down as its first figures
COMPARED = "batch=64&terms=1&vs_model=llama-3.1-70b&vs_on=h100-sxm:8"
PICTURES = (
    ("batch-wide-light", "batch?context=1000&batch=256", WIDE, "light"),
    ("compare-wide-dark", f"batch?{COMPARED}", (1280, 1200), "dark"),
    ("context-wide-light", "context?batch=64&technique=fp8&technique=windows&technique=top-k", WIDE, "light"),
    ("generations-wide-dark", "generations", WIDE, "dark"),
    ("pass-length-wide-light", "pass-length?batch=256", WIDE, "light"),
    ("batch-narrow-light", "batch?context=1000&batch=256", NARROW, "light"),
    ("pass-length-narrow-light", "pass-length?batch=256", NARROW, "light"),
    ("context-narrow-dark", "context", NARROW, "dark"),
    ("generations-narrow-dark", "generations", NARROW, "dark"),
)


def main() -> None:
    """Take every picture into docs/page."""
    with serving() as address, browsing() as browser:
        for name, view, (width, height), theme in PICTURES:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.goto(address + view)
            page.wait_for_selector("[data-figure] svg")
            page.wait_for_timeout(400)
            few = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(200)  # a third of the bytes
            few.save(ROOT / "docs" / "page" / f"{name}.png", optimize=True)
            page.close()


if __name__ == "__main__":
    main()
