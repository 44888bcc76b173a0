# ruff: noqa: E501  messages stand whole, as an operator reads and searches them
"""Several files as one desired state: what is put together, what is refused, and the way back to a file (rule 62)."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from provider import config
from provider.config.directory import Whole, merged, read
from provider.model.errors import DesiredStateError, Problem


def whole(*texts: str) -> Whole:
    return merged([(f"conf/{name}.yaml", dedent(text)) for name, text in zip("abcd", texts, strict=False)], "conf")


def refusal(*texts: str) -> list[str]:
    """Return what is wrong with files, as a person who sent them reads it."""
    try:
        found = whole(*texts)
    except DesiredStateError as error:
        return str(error).splitlines()
    try:
        config.load(found.text, found.name)
    except DesiredStateError as error:
        return [str(found.place(one)) for one in error.problems]
    return []


BASE = """\
    # what all teams share
    environment: production
    defaults: {settle: 2s}
    http:
      middlewares: {gzip: {compress: {}}}
    """
SHOP = """\
    services:
        # the shop of team a
        shop:
            router: {rule: 'Host(`shop.example.com`)'}
            smokeTests:
              - name: home
                contains: "two
                  lines"
    """
CART = """\
    ---
    environment: production
    services:  # of team b
      cart:
        router: {rule: 'Host(`cart.example.com`)'}

    # routed by hand
    tcp: {}
    """


def test_services_are_put_together_and_texts_stay_as_they_are_written() -> None:
    found = whole(BASE, SHOP, CART)
    desired = config.load(found.text, "conf")
    assert (desired.environment, sorted(desired.services)) == ("production", ["cart", "shop"])
    assert desired.services["shop"].settle_s == desired.services["cart"].settle_s == 2.0
    assert desired.services["shop"].smoke_tests[0].contains == "two lines"
    assert all(comment in found.text for comment in ("# what all teams share", "# the shop of team a", "# routed by"))


def test_an_error_is_at_its_line_and_column_of_its_file() -> None:
    """P11."""
    cart = CART.replace("router:", "routr:").replace("tcp: {}", "tcp: {routrs: {}}")
    shop = SHOP.replace("smokeTests:", "settle: soon\n            smokeTests:")
    places = [one.partition(": ")[0] for one in refusal(BASE, shop, cart)]
    assert places == ["conf/c.yaml:8:7", "conf/b.yaml:5:17", "conf/c.yaml:5:5"]


def test_a_service_that_is_named_twice_is_refused_with_both_places() -> None:
    assert refusal(BASE, SHOP, "services:\n  shop: {router: {rule: 'Path(`/x`)'}}\n") == [
        "conf/c.yaml:2:3: services.shop: this service is also at conf/b.yaml:3:5: name it once"
    ]


def test_services_that_are_found_and_services_that_are_written_stand_in_two_files() -> None:
    """Rule 35: a service written in the file wins."""
    auto = "# all others\nservices: auto  # by their labels\n"
    for texts in ((BASE, SHOP, auto), (auto, BASE, SHOP), (BASE, auto), (auto, BASE, "services: {}\n")):
        found = whole(*texts)
        desired = config.load(found.text, "conf")
        assert desired.auto is not None
        assert sorted(desired.services) == (["shop"] if SHOP in texts else [])
        assert "# all others" in found.text
    assert refusal(BASE, auto, "services: auto\n") == [
        "conf/c.yaml:1:1: services.*: this service is also at conf/b.yaml:2:1: name it once"
    ]
    (found_in,) = refusal(BASE, auto, "requireEnvironmentLabel: false\n")
    assert found_in.startswith("conf/c.yaml:1:26: requireEnvironmentLabel: must be true")


def test_other_keys_stand_in_one_file() -> None:
    assert refusal(BASE, "defaults: {}\nenvironment: staging\nservices: {}\n") == [
        "conf/b.yaml:1:1: defaults: is also at conf/a.yaml:3:1: of several files services are put together, and names for Traefik",
        "conf/b.yaml:2:1: environment: 'staging' is not that of conf/a.yaml:2:1: a directory is of one environment",
    ]


def test_names_for_traefik_are_put_together_by_their_sections() -> None:
    """Rule 41."""
    base = "environment: x\nservices: {}\ntls: {certificates: [{certFile: a, keyFile: b}]}\n"
    one = """\
        http:
            # of team a
            middlewares:
                zip: {compress: {}}  # small
                text:
                    headers:
                        customRequestHeaders: {X-A: "two
                          lines"}
            routers: {}
        """
    other = """\
        http:
          # of team b
          routers:
            docs: {rule: Path(`/docs`), service: docs}
          services:
            docs: {loadBalancer: {servers: [{url: "http://a"}]}}
          middlewares:
            # before
            strip: {stripPrefix: {prefixes: [/a]}}
        tcp: {}
        """
    found = whole(base, one, other, "tcp: {}\nhttp: {}\n")
    passed: Any = config.load(found.text, "conf").pass_through
    assert passed["http"]["middlewares"].keys() == {"zip", "text", "strip"}
    assert passed["http"]["middlewares"]["text"]["headers"]["customRequestHeaders"] == {"X-A": "two lines"}
    assert (passed["http"]["routers"].keys(), passed["http"]["services"].keys()) == ({"docs"}, {"docs"})
    assert all(comment in found.text for comment in ("# of team b", "# before", "# small"))
    assert refusal(base, one, other.replace("prefixes: [/a]", "prefxes: [/a]")) == [
        "conf/c.yaml:9:27: http.middlewares.strip.stripPrefix.prefxes: unknown key (did you mean 'prefixes'?), for which Traefik 3.0 to 3.7 refuses the whole document; a newer Traefik's key goes into traefik.unchecked"
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("http:\n  middlewares:\n    gzip: {}\n", "3:5: http.middlewares.gzip: this name is also at conf/a.yaml:6:13"),
        ("http: {middlewares: {}}\n", "1:1: http: write one key a line, without braces"),
        ("http:\n  middlewares: {a: {}}\n", "2:3: http.middlewares: write one key a line, without braces"),
    ],
)
def test_a_name_for_traefik_that_cannot_be_put_together_is_refused(text: str, wrong: str) -> None:
    base = BASE.replace("      middlewares: {gzip: {compress: {}}}", "      middlewares:\n                gzip: {}")
    (found,) = refusal(base, text)
    assert found.startswith(f"conf/b.yaml:{wrong}")


def test_a_place_within_a_message_is_that_of_the_file_too() -> None:
    twice = "services:\n  cart:\n    settle: 1s\n    settle: 2s\n    router: {rule: 'Path(`/x`)'}\n"
    (found,) = refusal(BASE, SHOP, twice)
    assert found == "conf/c.yaml:4:5: services.cart.settle: duplicate key, first written at conf/c.yaml:3:5"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("services: [shop]\n", "conf/b.yaml:1:1: services: must be a mapping of services"),
        ("- services\n", "conf/b.yaml:1:1: must be a mapping, with the keys of a desired state"),
        ("services: {shop: {}}\n", "conf/b.yaml:1:1: services: write one key a line, without braces"),
        ("{services: {}}\n", "conf/b.yaml:1:1: write one key a line, without braces"),
        ("services: [\n", "conf/b.yaml:2:1: not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_put_together_is_named(text: str, wrong: str) -> None:
    (found,) = refusal(BASE, text)
    assert found.startswith(wrong)


def test_an_alias_that_would_change_its_meaning_is_refused() -> None:
    one = "environment: x\ndefaults: &d {settle: 1s}\nservices:\n  a:\n    deadlines: &e {waiting: 1m}\n    <<: *d\n"
    other = "tcp: &d {}\nservices:\n  b: {deadlines: &e {waiting: 2m}}\n  c: {deadlines: *e}\n"
    assert refusal(one, other) == [
        "conf:1:1: the files cannot be put together as they are: write the values of aliases out"
    ]


def test_a_directory_is_its_yaml_files_in_order(tmp_path: Path) -> None:
    for name, text in {"b.yaml": SHOP, "a.yaml": BASE, ".hidden.yaml": "[", "notes.txt": "["}.items():
        (tmp_path / name).write_text(dedent(text))
    found = read(tmp_path)
    assert found.text.index("# what all teams share") < found.text.index("# the shop of team a")
    assert sorted(config.load(found.text, found.name).services) == ["shop"]


def test_one_file_is_sent_to_the_letter(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("environment: x\nservices: {a: {}}")
    for path in (file, tmp_path):
        assert read(path) == Whole("environment: x\nservices: {a: {}}", str(file))
    problem = Problem(str(file), 2, 3, "services", "wrong")
    assert read(file).place(problem) == problem


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DesiredStateError, match=r"has no \*\.yaml"):
        read(tmp_path)
