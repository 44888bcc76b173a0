"""A page of commands, played by a shell that lives as long as somebody sits at it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.machines import Machine

END = "the block has ended"


class Operator:
    """A shell on a machine, in a directory; `played` are those of the page's blocks, by heading, that it was given."""

    def __init__(self, machine: Machine, folder: Path, blocks: Mapping[str, Sequence[str]]) -> None:
        self.played: set[str] = set()
        self._blocks = blocks
        self._block = folder.parent / "block"
        self._shell = subprocess.Popen(
            machine.command("bash", "-e"),
            env=machine.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.does(f"cd {folder}")

    def does(self, script: str) -> str:
        """Run a script to its end, each command of which has to go well; return what it wrote."""
        self._block.write_text(script)
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f". {self._block} </dev/null; echo '{END}'\n")
        self._shell.stdin.flush()
        said: list[str] = []
        for line in self._shell.stdout:
            if line.strip() == END:
                return "".join(said)
            said.append(line)
        raise AssertionError(f"this failed:\n{script}\n{''.join(said)}")

    def plays(self, heading: str, number: int = 0, **filled: str) -> str:
        """Play a block of the page as it is written, but for what it leaves to fill in."""
        block = self._blocks[heading][number]
        self.played.add(block)
        for text in filled.values():
            assert "bg_..." in block
            block = block.replace("bg_...", text)
        return self.does(block)

    def close(self) -> None:
        """Leave the machine."""
        self._shell.kill()
        self._shell.communicate()
