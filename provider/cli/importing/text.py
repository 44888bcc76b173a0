"""Writes a desired state as YAML that a person would write, and that reads back as the same values."""

import re
from collections.abc import Mapping
from textwrap import indent
from typing import Any

import yaml

WIDTH = 1 << 30
"""A longer line is never folded, so that a text stays in one."""
_BORDERLINE = re.compile(r"[-+.0-9][-+.:_0-9a-fA-FoOxX]*|true|false|null|yes|no|on|off|y|n", re.IGNORECASE)
"""What readers of YAML 1.1 and 1.2 may take for something else than a text."""
HEAD = """\
# From {source}. Read it before you use it, and let `bluegreen validate --traefik` load it.
# Each container needs these labels, and each colour is a Compose project of its own, as `bluegreen deploy` starts it:
#   bluegreen.service: one of the services below
#   bluegreen.colour: ${{BLUEGREEN_COLOUR}}
"""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  an alias is for nobody to read
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if not text.isprintable() else "'" if _BORDERLINE.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    is_short = all(isinstance(item, str) for item in items) and sum(map(len, items)) < 60
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=is_short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def written(file: Mapping[str, Any], source: str) -> str:
    """Return the text of a desired state; `source` is what it was made from, in one line."""
    parts = [HEAD.format(source=source.translate(_NO_LINES)), _dumped({"environment": file["environment"]})]
    if "docker" in file:
        parts.append(_dumped({"docker": file["docker"]}))
    services = [indent(_dumped({name: body}), "  ") for name, body in file["services"].items()]
    parts.append("".join(["services:\n", *services]) if services else "services: {}\n")
    parts += [_dumped({key: value}) for key, value in file.items() if key not in _FIRST]
    return "".join(parts)


_FIRST = frozenset({"environment", "docker", "services"})
_NO_LINES = dict.fromkeys((*range(32), 127, 133, 8232, 8233), " ")


def _dumped(value: Mapping[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=False)
