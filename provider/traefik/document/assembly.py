"""The fragments of all services, kept joined in blocks."""

from collections.abc import Collection, Iterator

from provider.traefik.document.render import BLOCK, Block, Fragment, join


class Assembly:
    """Fragments by the names of their services. A change of one joins its own block again, and then the blocks.

    Which services share a block depends on nothing but the names there are: the same state gives the same bytes (P6).
    """

    def __init__(self) -> None:
        self._fragments: dict[str, Fragment] = {}
        self._places: dict[str, int] = {}
        self._names: list[str] = []
        self._blocks: list[Block | None] = []

    def __len__(self) -> int:
        """Return how many services there are."""
        return len(self._fragments)

    def put(self, name: str, fragment: Fragment | None) -> None:
        """Replace the fragment of a service; None removes it."""
        before = self._fragments.pop(name, None)
        if fragment is not None:
            self._fragments[name] = fragment
        if (before is None) is not (fragment is None):
            self._places = {}
        elif before != fragment and self._places:
            self._blocks[self._places[name]] = None

    def keep(self, names: Collection[str]) -> None:
        """Drop the services that are not among these."""
        gone = self._fragments.keys() - names
        for name in gone:
            del self._fragments[name]
        if gone:
            self._places = {}

    def join(self) -> Iterator[None]:
        """Join what has changed, a block at each step."""
        if not self._places:
            self._lay_out()
        for number, block in enumerate(self._blocks):
            if block is None:
                self._join(number)
                yield

    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks of a document."""
        for _ in self.join():
            pass
        return tuple([block for block in self._blocks if block is not None])

    def _lay_out(self) -> None:
        self._names = sorted(self._fragments)
        self._places = {name: number // BLOCK for number, name in enumerate(self._names)}
        self._blocks = [None] * -(-len(self._names) // BLOCK)

    def _join(self, number: int) -> None:
        names = self._names[number * BLOCK : (number + 1) * BLOCK]
        self._blocks[number] = join([self._fragments[name] for name in names])
