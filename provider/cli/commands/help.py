"""Commands whose help ends in an Examples section: lines of a shell, each below a comment that says what it does."""

import inspect
from typing import Any

import click


class _WithExamples(click.Command):
    """A command with `examples`, printed as they are written; tests parse each of them with the command itself."""

    def __init__(self, *arguments: Any, examples: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = inspect.cleandoc(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in self.examples.splitlines():
                formatter.write(f"{'':>{formatter.current_indent if line else 0}}{line}\n")
        super().format_epilog(ctx, formatter)


class Verb(_WithExamples):
    """One verb."""


class Verbs(_WithExamples, click.Group):
    """The group of all verbs."""
