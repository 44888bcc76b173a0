"""Rule 41: nothing replaces variables here, and a text that Traefik could not read is no text."""

import json

import pytest

from provider.config import load
from tests.support.desired_state import FILE, refused

HOSTS = ["${DOMAIN}", "shop.${DOMAIN}", "shop.${DOMAIN:-example.com}", "$DOMAIN", "a.$TLD", "{{ env `D` }}", "%DOMAIN%",
         "<domain>", "{domain}", "$(DOMAIN)"]  # fmt: skip


def file(**sections: object) -> str:
    return json.dumps({"environment": "x", "services": {}, **sections}, ensure_ascii=False)


def message_of(**sections: object) -> str:
    (message,) = refused(file(**sections))
    return message


class TestVariables:
    @pytest.mark.parametrize("host", HOSTS)
    @pytest.mark.parametrize("matcher", ["Host", "HostSNI", "host"])
    @pytest.mark.parametrize("quote", ["`", '"'])
    def test_in_a_host_of_a_rule_they_are_refused(self, host: str, matcher: str, quote: str) -> None:
        host = host.replace(quote, "'")
        rule = f"PathPrefix(`/`) && {matcher}({quote}a.test{quote}) || {matcher}({quote}{host}{quote})"
        services = {"shop": {"router": {"rule": rule}}}
        assert "services.shop.router.rule: has " in message_of(services=services)
        assert "nothing replaces variables in this file" in message_of(services=services)
        assert "http.routers.r.rule" in message_of(http={"routers": {"r": {"RULE": rule}}})
        assert "tcp.routers.r.rule" in message_of(tcp={"routers": {"r": {"rule": rule}}})

    @pytest.mark.parametrize("part", ["router", "preview", "routers"])
    def test_in_every_router_of_a_service_they_are_refused(self, part: str) -> None:
        bad = {"rule": "PathPrefix(`/${X}`)"}
        router = {"routers": {"shop": bad}} if part == "routers" else {"router": {"rule": "x"}, part: bad}
        assert message_of(services={"shop": router}).count("'${X}'") == 1

    @pytest.mark.parametrize(
        "rule",
        [
            "PathRegexp(`^/a$`)",
            "PathRegexp(`^/(a|b$)`) && HostRegexp(`^.+\\.example\\.com$`)",
            "Path(`/odata/$metadata`) || PathPrefix(`/$batch`) || Query(`$filter`, `x`)",
            "HostRegexp(`{sub:[a-z]{2,}}.example.com`)",
            "HostRegexp(`^a{1,3}$`)",
            "Header(`X-Price`, `$5`) && Host(`shop.example.com`, `*.example.com`)",
            "HostSNI(`*`) || Host(`xn--bcher-kva.example`) || ClientIP(`10.0.0.0/8`)",
        ],
    )
    def test_what_a_rule_may_mean_is_accepted(self, rule: str) -> None:
        services = {"shop": {"router": {"rule": rule}}}
        assert load(file(services=services, http={"routers": {"r": {"rule": rule, "service": "a@file"}}}), FILE)

    @pytest.mark.parametrize(
        "middleware",
        [
            {"forwardAuth": {"address": "http://${AUTH}/"}},
            {"forwardAuth": {"address": "http://$AUTH:80/"}},
            {"forwardAuth": {"address": "http://auth/", "authResponseHeaders": ["${H}"]}},
            {"forwardAuth": {"address": "http://auth/", "tls": {"ca": "{{ .CA }}"}}},
            {"basicAuth": {"users": ["ann:$$apr1$$q8eZFHjF$$Fvmkk//V6Btlaf2i/ju5n/"]}},
            {"basicAuth": {"users": ["${USERS}"]}},
            {"digestAuth": {"users": ["ann:realm:$$1"]}},
            {"basicAuth": {"usersFile": "${DIR}/users"}},
            {"ipAllowList": {"sourceRange": ["${OFFICE}"]}},
            {"redirectScheme": {"scheme": "https", "port": "${PORT}"}},
            {"errors": {"service": "${ERRORS}", "query": "/{status}.html"}},
            {"stripPrefix": {"prefixes": ["/${TENANT}"]}},
            {"headers": {"accessControlAllowOriginList": ["https://{{ env `D` }}"]}},
            {"chain": {"middlewares": ["${AUTH}@file"]}},
        ],
    )
    def test_in_a_middleware_they_are_refused_where_they_can_never_be_right(self, middleware: object) -> None:
        message = message_of(http={"middlewares": {"m": middleware}})
        assert "replace" in message

    @pytest.mark.parametrize(
        "middleware",
        [
            {"redirectRegex": {"regex": "^http://(.*)$", "replacement": "https://${1}/$name"}},
            {"replacePathRegex": {"regex": "^/a/(?P<rest>.*)$", "replacement": "/${rest}"}},
            {"basicAuth": {"users": ["ann:$apr1$q8eZFHjF$Fvmkk//V6Btlaf2i/ju5n/", "bob:$2y$05$abc"], "realm": "${x}"}},
            {"errors": {"service": "a@file", "query": "/{status}.html", "status": ["500-599"]}},
            {"headers": {"customResponseHeaders": {"Content-Security-Policy": "script-src 'nonce-${nonce}'"}}},
            {"circuitBreaker": {"expression": "NetworkErrorRatio() > 0.30"}},
            {"plugin": {"p": {"template": "{{ .Name }} ${X} $$"}}},
            {"headers": {"accessControlAllowOriginListRegex": ["^https://.*$"]}},
        ],
    )
    def test_what_traefik_or_a_browser_reads_of_a_dollar_is_accepted(self, middleware: object) -> None:
        assert load(file(http={"middlewares": {"m": middleware}}), FILE)

    @pytest.mark.parametrize(
        "section",
        [
            {"http": {"services": {"s": {"loadBalancer": {"servers": [{"url": "http://${HOST}:80"}]}}}}},
            {"http": {"services": {"s": {"loadBalancer": {"servers": [{"URL": "http://%HOST%:80"}]}}}}},
            {"tcp": {"services": {"s": {"loadBalancer": {"servers": [{"address": "$HOST:80"}]}}}}},
            {"udp": {"services": {"s": {"loadBalancer": {"servers": [{"address": "{{ .Host }}:80"}]}}}}},
            {"http": {"serversTransports": {"t": {"serverName": "${NAME}"}}}},
            {"http": {"routers": {"r": {"rule": "x", "tls": {"domains": [{"main": "${DOMAIN}"}]}}}}},
            {"http": {"routers": {"r": {"rule": "x", "entryPoints": ["${ENTRY}"]}}}},
            {"tls": {"certificates": [{"certFile": "${CERT}"}]}},
            {"environment": "${ENVIRONMENT}"},
            {"services": {"shop": {"router": {"rule": "x", "middlewares": ["{{ .Auth }}"]}}}},
            {"services": {"shop": {"router": {"rule": "x"}, "servers": {"blue": {"urls": ["http://${HOST}:80"]}}}}},
            {"services": {"shop": {"router": {"rule": "x"}, "healthCheck": {"path": "/${CHECK}"}}}},
            {"services": {"shop": {"router": {"rule": "x"}, "healthCheck": {"hostname": "${HOST}"}}}},
            {"services": {"shop": {"router": {"rule": "x"}, "smokeTests": [{"name": "a", "path": "/${HOME_PAGE}"}]}}},
            {"traefik": {"api": ["http://${TRAEFIK}:8080"]}},
        ],
    )
    def test_in_hosts_addresses_and_names_they_are_refused(self, section: dict[str, object]) -> None:
        assert "nothing replaces variables in this file" in message_of(**section)

    def test_the_message_names_the_variable_and_no_hash_of_a_password(self) -> None:
        message = message_of(http={"middlewares": {"m": {"basicAuth": {"users": ["ann:$$apr1$$hunter2"]}}}})
        assert "hunter2" not in message


class TestReadable:
    @pytest.mark.parametrize("code", [0, 7, 0x1B, 0x7F, 0x9F, 0xFFFF])
    def test_a_control_character_is_refused_wherever_it_stands(self, code: int) -> None:
        text = f"a{chr(code)}"

        def message_of(**sections: object) -> str:
            (message,) = refused(json.dumps({"environment": "x", "services": {}, **sections}).replace("\x7f", "\\x7f"))
            return message

        name = f"has the control character U+{code:04X}, for which Traefik refuses the document"
        assert name in message_of(services={"shop": {"router": {"rule": f"Path(`/{text}`)"}}})
        assert name in message_of(http={"middlewares": {"m": {"headers": {"customRequestHeaders": {"X": text}}}}})
        assert name in message_of(http={"middlewares": {text: {"compress": {}}}})
        assert name in message_of(http={"middlewares": {"m": {"plugin": {"p": {"a": [{text: 1}]}}}}})

    def test_text_of_several_lines_in_any_script_is_accepted(self) -> None:
        text = "-----BEGIN CERTIFICATE-----\r\n\tü漢\u2028🙂\n"
        assert load(file(tls={"certificates": [{"certFile": text}]}), FILE)

    def test_a_name_that_is_too_long_for_a_key_in_yaml_is_refused(self) -> None:
        assert load(file(http={"middlewares": {"m" * 1000: {"compress": {}}}}), FILE)
        (message,) = refused(
            f"environment: x\nservices: {{}}\nhttp:\n  middlewares:\n    ? {'m' * 1023}\n    : {{compress: {{}}}}"
        )
        assert "is longer than 1024 characters" in message
        assert "is longer than 1000 characters" in message_of(services={"s" * 1010: {"router": {"rule": "x"}}})

    @pytest.mark.parametrize("read", [{"a": [None]}, {"a": [[1]]}, {"a": [1, True]}, {"a": {"": 1}}, {"a": "║x"}])
    def test_what_breaks_the_decoder_within_a_plugin_is_refused(self, read: object) -> None:
        assert "which Traefik " in message_of(http={"middlewares": {"m": {"plugin": {"p": read}}}})
