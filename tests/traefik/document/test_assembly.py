"""The document in the making is the one that all fragments together give, whatever came before."""

from hypothesis import given
from hypothesis import strategies as st

from provider.model import Served, Server
from provider.traefik.document.assembly import Assembly
from provider.traefik.document.render import BLOCK, NO_PASS_THROUGH, Fragment, assemble, compose, render_service
from tests.support.worlds import BLUE, service, whole


def fragment(name: str, port: int) -> Fragment:
    served = Served(service(name), whole(BLUE), {BLUE: (Server(f"http://10.0.0.1:{port}", "r1"),)})
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
    assembly, kept = Assembly(), {name: fragment(name, 1) for name in NAMES}
    for name, one in kept.items():
        assembly.put(name, one)
    for step, name, port in steps:
        match step:
            case "put":
                kept[name] = fragment(name, port)
                assembly.put(name, kept[name])
            case "drop":
                kept.pop(name, None)
                assembly.put(name, None)
            case "keep":
                kept = {each: one for each, one in kept.items() if each != name}
                assembly.keep(set(NAMES) - {name})
            case _:
                assembly.blocks()
    assert compose(assembly.blocks(), NO_PASS_THROUGH) == assemble(
        [kept[name] for name in sorted(kept)], NO_PASS_THROUGH
    )
    assert len(assembly) == len(kept)


def test_a_change_of_one_service_joins_its_own_block_alone() -> None:
    assembly = Assembly()
    for name in NAMES:
        assembly.put(name, fragment(name, 1))
    assembly.blocks()
    before = list(assembly._blocks)
    assembly.put(NAMES[BLOCK], fragment(NAMES[BLOCK], 2))
    assembly.put(NAMES[0], fragment(NAMES[0], 1))
    assembly.blocks()
    assert [one is other for one, other in zip(assembly._blocks, before, strict=True)] == [True, False, True]


def test_without_services_there_is_a_document_of_nothing_but_its_marker() -> None:
    assert compose(Assembly().blocks(), NO_PASS_THROUGH) == assemble([], NO_PASS_THROUGH)
