"""Texts that Traefik's decoder of files does not read as they are: yaml.v3 and paerser."""

import re

SEPARATOR = "\N{BOX DRAWINGS DOUBLE VERTICAL}"
"""The separator of list items in Traefik's decoder."""
UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""The control characters of yaml.v3, and those that no rule, name or header has."""
