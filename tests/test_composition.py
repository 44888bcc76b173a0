"""The document in the making is the one that all fragments together give, whatever came before."""

from hypothesis import given
from hypothesis import strategies as st

from provider.composition import Composition
from provider.model import Served, Server
from provider.render import BLOCK, NO_PASS_THROUGH, Fragment, assemble, compose, render_service
from provider.rollout import weights
from tests.worlds import BLUE, service


def fragment(name: str, port: int) -> Fragment:
    served = Served(service(name), weights(BLUE), {BLUE: (Server(f"http://10.0.0.1:{port}", "r1"),)})
    return render_service(served)


NAMES = [f"shop-{number:03}" for number in range(BLOCK * 2 + 10)]
PORTS = st.integers(1, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(NAMES), PORTS),
        st.tuples(st.just("drop"), st.sampled_from(NAMES), PORTS),
        st.tuples(st.just("keep"), st.sampled_from(NAMES), PORTS),
        st.tuples(st.just("look"), st.sampled_from(NAMES), PORTS),
    ),
    max_size=20,
)


@given(STEPS)
def test_the_same_fragments_give_the_same_bytes_whatever_the_way_there(steps: list[tuple[str, str, int]]) -> None:
    """P6."""
    composition, kept = Composition(), {name: fragment(name, 1) for name in NAMES}
    for name, one in kept.items():
        composition.put(name, one)
    for step, name, port in steps:
        match step:
            case "put":
                kept[name] = fragment(name, port)
                composition.put(name, kept[name])
            case "drop":
                kept.pop(name, None)
                composition.put(name, None)
            case "keep":
                kept = {each: one for each, one in kept.items() if each != name}
                composition.keep(set(NAMES) - {name})
            case _:
                composition.blocks()
    assert compose(composition.blocks(), NO_PASS_THROUGH) == assemble(
        [kept[name] for name in sorted(kept)], NO_PASS_THROUGH
    )
    assert len(composition) == len(kept)


def test_a_change_of_one_service_joins_its_own_block_alone() -> None:
    composition = Composition()
    for name in NAMES:
        composition.put(name, fragment(name, 1))
    composition.blocks()
    before = list(composition._blocks)
    composition.put(NAMES[BLOCK], fragment(NAMES[BLOCK], 2))
    composition.put(NAMES[0], fragment(NAMES[0], 1))
    composition.blocks()
    assert [one is other for one, other in zip(composition._blocks, before, strict=True)] == [True, False, True]


def test_without_services_there_is_a_document_of_nothing_but_its_marker() -> None:
    assert compose(Composition().blocks(), NO_PASS_THROUGH) == assemble([], NO_PASS_THROUGH)
