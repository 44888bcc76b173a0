"""What the `traefik.*` labels of a container say, decoded (rule 34)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A label that cannot be taken: its name, its value, what is wrong with it, and what to do.

    `label` is one that is missing where its value is None. `router` is the one that goes for it, where others stay.
    """

    label: str
    value: str | None
    message: str
    fix: str
    router: str | None = None

    def __str__(self) -> str:
        written = self.label if self.value is None else f"{self.label}={self.value}"
        return f"{written}: {self.message}: {self.fix}"
