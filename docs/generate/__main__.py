"""Writes every generated page."""

from docs.generate import PAGES, REFERENCE

REFERENCE.mkdir(exist_ok=True)
for name, page in PAGES.items():
    (REFERENCE / name).write_text(page())
