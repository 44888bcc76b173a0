# ruff: noqa: E501  messages stand whole, as an operator reads and searches them
"""The specification of what an operator is message about a bad desired-state file, word for word."""

from textwrap import dedent

import pytest

from tests.support.desired_state import FILE, one, refused

# The messages, word for word, by the place in the file.
REFUSED = {
    "no mapping": ("[]", ["1:1: must be a mapping, not a list"]),
    "a bare word": ("hello", ["1:1: must be a mapping, not 'hello'"]),
    "an empty file": ("", ["1:1: the file is empty: it needs at least 'environment' and 'services'"]),
    "comments only": ("# later\n---\n", ["1:1: the file is empty: it needs at least 'environment' and 'services'"]),
    "two documents": (
        "environment: x\n---\nservices: {}",
        ["2:1: a second document: the file is one, so remove this '---'"],
    ),
    "a tab": (
        "environment: x\nservices:\n\tshop: {}",
        ["3:1: not valid YAML: a tab where only spaces may indent"],
    ),
    "a backtick": (
        "environment: x\nservices: {shop: {router: {rule: `x`}}}",
        ["2:34: not valid YAML: a value cannot begin with '`': put it in quotes"],
    ),
    "a colon in a value": (
        "environment: a: b",
        [
            "1:15: not valid YAML: mapping values are not allowed in this context (quote a value that contains ': ', or check the indentation)"
        ],
    ),
    "an open bracket": (
        "environment: [x\nservices: {}",
        ["2:9: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence, begun in line 1"],
    ),
    "an open quote": (
        "environment: 'x",
        [
            "1:16: not valid YAML: found unexpected end of stream while scanning a quoted scalar, begun in line 1 (is a closing quote missing?)"
        ],
    ),
    "a control character": ("é: ü\x07", ["1:5: not valid YAML: control characters are not allowed"]),
    "a surrogate": ("environment: \udc80", ["1:14: not UTF-8 text: a lone surrogate"]),
    "a template": (
        "environment: {{ env }}",
        ["1:15: a key must be a word, not a mapping or list: quote text that begins with { or ["],
    ),
    "an alias of nothing": ("environment: *env", ["1:14: the alias *env has no anchor &env above it"]),
    "an alias as a key": ("a: &a b\n*a : c", ["2:1: a key must be written out, not be the alias *a"]),
    "an alias of itself": (
        "environment: x\nservices: &all {shop: *all}",
        ["2:23: the alias *all is inside the value that it repeats"],
    ),
    "a merge of no mapping": (
        "environment: x\nservices: {<<: [a]}",
        ["2:12: services: '<<' takes an alias of a mapping, or a list of them"],
    ),
    "depth": ("[" * 200_000, ["1:101: nested more than 100 deep"]),
    "tags": (
        "environment: !!binary aGk=\nservices: !shops {}",
        [
            "1:14: environment: the tag !!binary is not supported: write the value without it",
            "2:11: services: the tag !shops is not supported: write the value without it",
        ],
    ),
    "numbers that JSON cannot hold": (
        "environment: x\nservices: {}\nhttp: {middlewares: {m: {plugin: {p: {a: .inf, b: -.Inf, c: .nan, d: 1e999, e: 9223372036854775808}}}}}",
        [
            "3:42: http.middlewares.m.plugin.p.a: .inf is no number that JSON can hold: put it in quotes if it is text",
            "3:51: http.middlewares.m.plugin.p.b: -.Inf is no number that JSON can hold: put it in quotes if it is text",
            "3:61: http.middlewares.m.plugin.p.c: .nan is no number that JSON can hold: put it in quotes if it is text",
            "3:70: http.middlewares.m.plugin.p.d: 1e999 is too large a number: put it in quotes if it is text",
            "3:80: http.middlewares.m.plugin.p.e: 9223372036854775808 is no 64-bit number: put it in quotes if it is text",
        ],
    ),
    "duplicate keys": (
        "services: {}\nenvironment: x\nservices: {}\nhttp: {routers: {a: {rule: x}, a: {rule: y}}}",
        [
            "3:1: services: duplicate key, first written at production.yaml:1:1",
            "4:32: http.routers.a: duplicate key, first written at production.yaml:4:18",
        ],
    ),
    "no services": (
        "environment: x",
        [
            "1:1: services: required key is missing: Every application under blue-green; write 'services: {}' to have none, and auto to have each one that containers name"
        ],
    ),
    "null services": (
        "environment: x\nservices:\n",
        ["2:10: services: names no services: write 'services: {}' if that is what is meant"],
    ),
    "no environment": (
        "services: {}",
        [
            "1:1: environment: required key is missing: The name that containers carry as bluegreen.environment, such as production"
        ],
    ),
    "types at the top": (
        "environment: 5\nrequireEnvironmentLabel: yes\nservices: []\ntls:\n",
        [
            '1:14: environment: must be a string, not 5: put it in quotes ("5")',
            "2:26: requireEnvironmentLabel: must be true or false, not 'yes'",
            "3:11: services: must be a mapping, not a list",
            "4:5: tls: has no value: write one ({} for an empty mapping), or remove the key",
        ],
    ),
    "unknown keys at the top": (
        "enviroment: x\nenvironment: x\nservices: {}\nmiddlewares: {}",
        [
            "1:1: enviroment: unknown key (did you mean 'environment'?)",
            "4:1: middlewares: unknown key (known here: environment, requireEnvironmentLabel, traefik, docker, release, defaults, services, http, tcp, udp, tls)",
        ],
    ),
    "the addresses of Traefik": (
        "environment: x\nservices: {}\ntraefik: {api: ['traefik:8080'], defaultCertificate: self-signed}",
        [
            "3:17: traefik.api[0]: 'traefik:8080' is no URL of a Traefik API: write one such as http://traefik:8080",
            "3:54: traefik.defaultCertificate: must be 'none' or 'generated', not 'self-signed'",
        ],
    ),
    "two default certificates": (
        "environment: x\nservices: {}\ntraefik: {defaultCertificate: generated}\ntls: {stores: {default: {}}}",
        [
            "3:31: traefik.defaultCertificate: 'generated' clashes with tls.stores.default (production.yaml:4:16): Traefik has one default store; remove that one, or write 'none' here"
        ],
    ),
    "what is no default": (
        "environment: x\nservices: {}\ndefaults: {routers: {}, aktiv: blue, router: {rule: x}}",
        [
            "3:12: defaults.routers: no default: every service would get the same, so write it in each service",
            "3:25: defaults.aktiv: unknown key (did you mean 'active'?)",
            "3:47: defaults.router.rule: unknown key (known here: entryPoints, middlewares, priority, observability, parentRefs, ruleSyntax, tls)",
        ],
    ),
    "names": (
        "environment: x\nservices:\n  a@b: {router: {rule: x}}\n  bluegreen-a: {router: {rule: x}}\n  '': {router: {rule: x}}",
        [
            f"{line}:3: services.{name}: '{name}' is no name: it needs a character or more, none of them '@', '/' or white space, and must not begin with 'bluegreen-'"
            for line, name in ((3, "a@b"), (4, "bluegreen-a"), (5, ""))
        ],
    ),
    "no router": (one("{}"), ["3:3: services.shop: has no router: write router: {rule: Host(`shop.example.com`)}"]),
    "both router and routers": (
        one("router: {rule: x}\nrouters: {shop: {rule: x}}"),
        ["3:3: services.shop: has both 'router' and 'routers': keep one of them"],
    ),
    "no routers": (one("routers: {}"), ["4:14: services.shop.routers: needs at least one entry"]),
    "a router without a rule": (
        one("router: {tls: {}}"),
        [
            "4:5: services.shop.router.rule: required key is missing: What the router matches, such as Host(`shop.example.com`)"
        ],
    ),
    "an empty rule": (
        one("routers: {a: {rule: '  '}}"),
        [
            "4:25: services.shop.routers.a.rule: '  ' is no rule: write what the router matches, such as Host(`shop.example.com`)"
        ],
    ),
    "what Traefik would refuse in a router": (
        one("""\
            router:
              rule: x
              service: shop
              entrypoint: [web]
              middlewares: {compress: {}}
              priority: 1.5
              tls:
              observability: {}
              ruleSyntax: v4
            """),
        [
            "6:7: services.shop.router.service: a router's service is made by the daemon from the name of the service: remove this key",
            "7:7: services.shop.router.entrypoint: unknown key (did you mean 'entryPoints'?)",
            "8:20: services.shop.router.middlewares: must be a list, not a mapping",
            "9:17: services.shop.router.priority: must be a whole number, not 1.5",
            "10:11: services.shop.router.tls: has no value: write one ({} for an empty mapping), or remove the key",
            "11:22: services.shop.router.observability: is empty, which Traefik refuses here: write a key into it or remove it",
            "12:19: services.shop.router.ruleSyntax: must be 'v2' or 'v3', not 'v4'",
        ],
    ),
    "what Traefik would refuse in a load balancer": (
        one("""\
            router: {rule: x}
            loadBalancer:
              servers: []
              healthCheck: {path: /}
              passHostHeader: 'yes'
              strategy: random
              responseForwarding: {flushInterval: 1.5}
              passiveHealthCheck: {}
            sticky: {cookie: {name: 5.0, httponlyy: true, maxAge: 1.5}}
            """),
        [
            "6:7: services.shop.loadBalancer.servers: servers come from Docker's labels or from 'servers' of the service: remove this key",
            "7:7: services.shop.loadBalancer.healthCheck: health is checked by the daemon, since Traefik forgets its own results at every change: use 'healthCheck' of the service",
            "8:23: services.shop.loadBalancer.passHostHeader: must be true or false, not 'yes'",
            "9:17: services.shop.loadBalancer.strategy: must be 'wrr', 'p2c', 'hrw' or 'leasttime', not 'random'",
            (
                "10:43: services.shop.loadBalancer.responseForwarding.flushInterval: must be a string, not 1.5: put it in"
                ' quotes ("1.5")'
            ),
            "11:27: services.shop.loadBalancer.passiveHealthCheck: is empty, which Traefik refuses here: write a key into it or remove it",
            '12:29: services.shop.sticky.cookie.name: must be a string, not 5.0: put it in quotes ("5.0")',
            "12:34: services.shop.sticky.cookie.httponlyy: unknown key (did you mean 'httpOnly'?)",
            "12:59: services.shop.sticky.cookie.maxAge: must be a whole number, not 1.5",
        ],
    ),
    "keys of a service": (
        one("""\
            router: {rule: x}
            active: bleu
            initial: red
            hold: yes
            group: a b
            minServers: 0
            healthChek: {}
            approval: auto
            """),
        [
            "5:13: services.shop.active: must be 'auto', 'blue' or 'green', not 'bleu' (did you mean 'blue'?)",
            "6:14: services.shop.initial: must be 'blue' or 'green', not 'red'",
            "7:11: services.shop.hold: must be true or false, not 'yes'",
            "8:12: services.shop.group: 'a b' is no name: it needs a character or more, none of them '@', '/' or white space, and must not begin with 'bluegreen-'",
            "9:17: services.shop.minServers: must be at least 1, not 0",
            "10:5: services.shop.healthChek: unknown key (did you mean 'healthCheck'?)",
            "11:15: services.shop.approval: must be 'automatic' or 'manual', not 'auto' (did you mean 'automatic'?)",
        ],
    ),
    "durations": (
        one("""\
            router: {rule: x}
            settle: 5
            watch: -5s
            healthCheck: {timout: 1s, interval: 0s, timeout: 5 s}
            deadlines: {waiting: true, testing: 0.5, approval: 9999999h, confirming: 10}
            """),
        [
            "5:13: services.shop.settle: 5 has no unit: write 5s for seconds",
            "6:12: services.shop.watch: '-5s' is negative: a duration here is not",
            "7:19: services.shop.healthCheck.timout: unknown key (did you mean 'timeout'?)",
            "7:41: services.shop.healthCheck.interval: must be longer than zero, not '0s'",
            "7:54: services.shop.healthCheck.timeout: '5 s' is no duration: write numbers with units, such as 300ms, 5s or 1m30s",
            "8:26: services.shop.deadlines.waiting: true is no duration: write one such as 5s or 1m30s",
            "8:41: services.shop.deadlines.testing: 0.5 has no unit: write 0.5s for seconds",
            "8:56: services.shop.deadlines.approval: '9999999h' is too long: Go's durations end at 2562047h, 292 years",
            "8:78: services.shop.deadlines.confirming: 10 has no unit: write 10s for seconds",
        ],
    ),
    "health checks": (
        one("""\
            router: {rule: x}
            healthCheck: {mode: tcp, path: x, port: 70000, status: 99, method: get, headers: {a b: c, d: 1}}
            """),
        [
            "5:30: services.shop.healthCheck.path: has no meaning with mode tcp: remove it, or write mode: http",
            "5:36: services.shop.healthCheck.path: 'x' is no path: write one that begins with '/', without white space, and beyond ASCII as %xx",
            "5:45: services.shop.healthCheck.port: must be at most 65535, not 70000",
            "5:52: services.shop.healthCheck.status: has no meaning with mode tcp: remove it, or write mode: http",
            "5:60: services.shop.healthCheck.status: must be at least 100, not 99",
            "5:64: services.shop.healthCheck.method: has no meaning with mode tcp: remove it, or write mode: http",
            "5:72: services.shop.healthCheck.method: 'get' is no HTTP method: write one such as GET",
            "5:77: services.shop.healthCheck.headers: has no meaning with mode tcp: remove it, or write mode: http or grpc",
            "5:87: services.shop.healthCheck.headers.a b: 'a b' is no name of an HTTP header",
            '5:98: services.shop.healthCheck.headers.d: must be a string, not 1: put it in quotes ("1")',
        ],
    ),
    "an http check under a default of tcp": (
        "environment: x\ndefaults: {healthCheck: {mode: tcp}}\nservices: {shop: {router: {rule: x}, healthCheck: {path: /}}}",
        ["3:52: services.shop.healthCheck.path: has no meaning with mode tcp: remove it, or write mode: http"],
    ),
    "smoke tests": (
        one("router: {rule: x}\nsmokeTests: [{name: a}, {name: a}, {status: 1000}]"),
        [
            "5:36: services.shop.smokeTests[1].name: 'a' is the name of an earlier test: give each its own",
            "5:40: services.shop.smokeTests[2].name: required key is missing: The name of the test in messages, such as home page",
            "5:49: services.shop.smokeTests[2].status: must be at most 599, not 1000",
        ],
    ),
    "servers": (
        one("""\
            router: {rule: x}
            servers:
              blue: {urls: [], version: [1]}
              green: {version: ''}
              red: {}
            """),
        [
            "6:20: services.shop.servers.blue.urls: needs at least one entry",
            "6:33: services.shop.servers.blue.version: must be a version such as 1.4.2",
            '7:7: services.shop.servers.green.urls: required key is missing: Addresses as Traefik sees them, such as ["http://10.0.8.11:8080"]',
            "7:24: services.shop.servers.green.version: must be a version such as 1.4.2",
            "8:7: services.shop.servers.red: unknown key (known here: blue, green)",
        ],
    ),
    "a server twice": (
        one("router: {rule: x}\nservers: {blue: {urls: ['http://a:1', 'http://a:1']}, green: {urls: ['http://a:1/']}}"),
        [
            "5:43: services.shop.servers.blue.urls[1]: 'http://a:1' is a server of this colour already, at services.shop.servers.blue.urls.0 (production.yaml:5:29): each server has one colour, and an address of its own",
            "5:74: services.shop.servers.green.urls[0]: 'http://a:1/' is a server of blue already, at services.shop.servers.blue.urls.0 (production.yaml:5:29): each server has one colour, and an address of its own",
        ],
    ),
    "a server in two spellings": (  # rule 39
        one("router: {rule: x}\nservers: {blue: {urls: ['http://A']}, green: {urls: ['h2c://a:80/']}}"),
        [
            "5:58: services.shop.servers.green.urls[0]: 'h2c://a:80/' is a server of blue already, at services.shop.servers.blue.urls.0 (production.yaml:5:29): each server has one colour, and an address of its own",
        ],
    ),
    "checks of both colours at one port": (  # rule 39
        one(
            "router: {rule: x}\nhealthCheck: {port: 9000}\n"
            "servers: {blue: {urls: ['http://a:1', 'http://b:1']}, green: {urls: ['http://localhost:2', 'http://A:2']}}"
        ),
        [
            "5:25: services.shop.healthCheck.port: sends the checks of both colours to port 9000 of a: what answers there proves neither; remove it, or give each colour a host of its own",
        ],
    ),
    "clashing names": (
        dedent("""\
            environment: x
            services:
              shop: {router: {rule: a}}
              shop-blue: {router: {rule: b}}
              shop-preview: {router: {rule: c}}
              other: {routers: {shop: {rule: d}}}
            http:
              services: {shop-green: {loadBalancer: {servers: []}}}
              routers: {other-preview: {rule: e}}
            """),
        [
            "4:3: services.shop-blue: clashes with services.shop (production.yaml:3:3): both are the service 'shop-blue' in Traefik; rename one",
            "5:3: services.shop-preview: clashes with services.shop (production.yaml:3:3): both are the router 'shop-preview' in Traefik; rename one",
            "6:21: services.other.routers.shop: clashes with services.shop (production.yaml:3:3): both are the router 'shop' in Traefik; rename one",
            "8:14: http.services.shop-green: clashes with services.shop (production.yaml:3:3): both are the service 'shop-green' in Traefik; rename one",
            "9:13: http.routers.other-preview: clashes with services.other (production.yaml:6:3): both are the router 'other-preview' in Traefik; rename one",
        ],
    ),
    "unknown sections": (
        "environment: x\nservices: {}\nhttp: {router: {}}\ntcp: {models: {}}\nudp: {middlewares: {}}\ntls: {store: {}}",
        [
            "3:8: http.router: unknown key (did you mean 'routers'?)",
            "4:7: tcp.models: unknown key (known here: routers, services, middlewares, serversTransports)",
            "5:7: udp.middlewares: unknown key (known here: routers, services)",
            "6:7: tls.store: unknown key (did you mean 'stores'?)",
        ],
    ),
    "names in what is passed through": (
        "environment: x\nservices: {}\nhttp: {middlewares: {bluegreen-0: {}, a@b: {}}, routers: {a: b}}",
        [
            "3:22: http.middlewares.bluegreen-0: 'bluegreen-0' is reserved: middlewares named bluegreen-... mark the daemon's documents",
            "3:39: http.middlewares.a@b: 'a@b' is no name in Traefik: it needs a character or more, none of them '@'",
            "3:62: http.routers.a: must be a mapping, not 'b'",
        ],
    ),
    "weights": (
        dedent("""\
            environment: x
            services: {}
            http: {services: {a: {weighted: {services: [{name: b@f, weight: 0}, {name: c@f, Weight: "0"}]}}}}
            tcp: {services: {a: {weighted: {services: [{name: b@f, weight: -1}]}}}}
            udp: {services: {a: {weighted: {services: [{name: b@f, weight: "-2"}]}}}}
            """),
        [
            f"{place}.services.a.weighted.services[{index}].weight: must be a whole number from 1 on, not {weight}:"
            " Traefik mistreats any other weight, so leave out a service that gets no traffic"
            for place, index, weight in (
                ("3:65: http", 0, "0"),
                ("3:89: http", 1, "0"),
                ("4:64: tcp", 0, "-1"),
                ("5:64: udp", 0, "-2"),
            )
        ],
    ),
    "a matcher that is negated without quotes": (
        dedent("""\
            environment: x
            services:
              a: {router: {rule: !PathPrefix(`/a`)}, wach: 1m}
              b:
                router:
                  rule: !ClientIP(10.0.0.1)
              c:
                router:
                  rule: ! Host(`c`)
              d: {router: {rule: '!Host(`d`)'}}
            """),
        [
            "3:22: not valid YAML: a value cannot begin with '!', which makes it a tag: put all of it in single quotes, as in rule: '!Path(`/x`)'",
            "3:42: services.a.wach: unknown key (did you mean 'watch'?)",
            "6:13: services.b.router.rule: a value cannot begin with '!', which makes it a tag: put all of it in single quotes, as in rule: '!Path(`/x`)'",
            "9:13: services.c.router.rule: a value cannot begin with '!', which makes it a tag: put all of it in single quotes, as in rule: '!Path(`/x`)'",
        ],
    ),
    "an escape that is none": (
        one('router: {rule: "HostRegexp(`a\\.b`)"}\nwatch: 5'),
        [
            "4:34: not valid YAML: found unknown escape character while parsing a quoted scalar, begun in line 4 (in double quotes a \\ begins an escape: put the text in single quotes, or write \\\\)",
            "5:12: services.shop.watch: 5 has no unit: write 5s for seconds",
        ],
    ),
    "text that YAML takes for something else": (
        one("router: {rule: @x}\ngroup: *.example.com\napproval: %x"),
        [
            "4:20: not valid YAML: a value cannot begin with '@': put it in quotes",
            "5:12: not valid YAML: a value cannot begin with '*': put it in quotes",
            "6:15: not valid YAML: a value cannot begin with '%': put it in quotes",
            "6:15: services.shop.approval: must be 'automatic' or 'manual', not 'xx'",
        ],
    ),
    "text behind a closing quote": (
        one("router: {rule: 'Host(`a`)' && Path(`/b`)}"),
        [
            "4:32: not valid YAML: a value goes on behind its closing quote: put all of it in one pair of quotes",
        ],
    ),
    "what stands below a misspelt key": (
        "enviroment: 5\nservics:\n  shop: {routr: {rule: [], tsl: {}}, healthChek: {paht: x, interval: 5}}",
        [
            "1:1: enviroment: unknown key (did you mean 'environment'?)",
            '1:13: enviroment: must be a string, not 5: put it in quotes ("5")',
            "2:1: servics: unknown key (did you mean 'services'?)",
            "3:10: servics.shop.routr: unknown key (did you mean 'router'?)",
            "3:24: servics.shop.routr.rule: must be a string, not a list",
            "3:28: servics.shop.routr.tsl: unknown key (did you mean 'tls'?)",
            "3:38: servics.shop.healthChek: unknown key (did you mean 'healthCheck'?)",
            "3:51: servics.shop.healthChek.paht: unknown key (did you mean 'path'?)",
            "3:57: servics.shop.healthChek.paht: 'x' is no path: write one that begins with '/', without white space, and beyond ASCII as %xx",
            "3:70: servics.shop.healthChek.interval: 5 has no unit: write 5s for seconds",
        ],
    ),
    "a misspelt key beside the one that was meant": (
        one("router: {rule: x}\nwacth: 5\nwatch: 6"),
        [
            "5:5: services.shop.wacth: unknown key (did you mean 'watch'?)",
            "5:12: services.shop.watch: 5 has no unit: write 5s for seconds",
            "6:12: services.shop.watch: 6 has no unit: write 6s for seconds",
        ],
    ),
    "what is written under a key a second time": (
        dedent("""\
            environment: x
            services:
              a: {router: {rule: a}, watch: 5}
            services:
              b: {router: {rul: x}, hold: 5, hold: 6, hold: true}
              a: {settle: 5, routr: {rule: []}}
            """),
        [
            "3:33: services.a.watch: 5 has no unit: write 5s for seconds",
            "4:1: services: duplicate key, first written at production.yaml:2:1",
            "5:16: services.b.router.rul: unknown key (did you mean 'rule'?)",
            "5:31: services.b.hold: must be true or false, not 5",
            "5:34: services.b.hold: duplicate key, first written at production.yaml:5:25",
            "5:40: services.b.hold: must be true or false, not 6",
            "5:43: services.b.hold: duplicate key, first written at production.yaml:5:25",
            "6:15: services.a.settle: 5 has no unit: write 5s for seconds",
            "6:18: services.a.routr: unknown key (did you mean 'router'?)",
            "6:32: services.a.router.rule: must be a string, not a list",
        ],
    ),
    "names that nobody defines": (
        dedent("""\
            environment: x
            defaults: {router: {middlewares: [secure-headres]}, loadBalancer: {serversTransport: internal}}
            services:
              shop:
                router: {rule: a, middlewares: [compress, auth@file, auth@http], tls: {options: modern}}
                preview: {rule: b, parentRefs: [gate, shop]}
            http:
              middlewares: {secure-headers: {}, all: {chain: {middlewares: [secure-headers, nope]}}}
              routers:
                more: {rule: c, service: shpo, middlewares: [nope@docker, nope]}
                dashboard: {rule: d, service: api@internal, tls: {options: default}}
              services: {a: {weighted: {services: [{name: b}]}}, m: {mirroring: {service: a, mirrors: [{name: c}]}}}
            tcp: {routers: {db: {rule: e, service: db, middlewares: [ips]}}}
            udp: {routers: {dns: {service: dns}}}
            """),
        [
            "2:35: defaults.router.middlewares[0]: 'secure-headres' is not in http.middlewares (did you mean 'secure-headers'?): define it there, or name its provider, as in secure-headres@file",
            "2:86: defaults.loadBalancer.serversTransport: 'internal' is not in http.serversTransports: define it there, or name its provider, as in internal@file",
            "5:37: services.shop.router.middlewares[0]: 'compress' is not in http.middlewares: define it there, or name its provider, as in compress@file",
            "5:58: services.shop.router.middlewares[2]: 'auth' is not in http.middlewares: define it there, or name its provider, as in auth@file",
            "5:85: services.shop.router.tls.options: 'modern' is not in tls.options: define it there, or name its provider, as in modern@file",
            "6:37: services.shop.preview.parentRefs[0]: 'gate' is not in http.routers: define it there, or name its provider, as in gate@file",
            "8:81: http.middlewares.all.chain.middlewares[1]: 'nope' is not in http.middlewares: define it there, or name its provider, as in nope@file",
            "10:30: http.routers.more.service: 'shpo' is not in http.services (did you mean 'shop'?): define it there, or name its provider, as in shpo@file",
            "10:63: http.routers.more.middlewares[1]: 'nope' is not in http.middlewares: define it there, or name its provider, as in nope@file",
            "12:47: http.services.a.weighted.services[0].name: 'b' is not in http.services: define it there, or name its provider, as in b@file",
            "12:99: http.services.m.mirroring.mirrors[0].name: 'c' is not in http.services: define it there, or name its provider, as in c@file",
            "13:40: tcp.routers.db.service: 'db' is not in tcp.services: define it there, or name its provider, as in db@file",
            "13:58: tcp.routers.db.middlewares[0]: 'ips' is not in tcp.middlewares: define it there, or name its provider, as in ips@file",
            "14:32: udp.routers.dns.service: 'dns' is not in udp.services: define it there, or name its provider, as in dns@file",
        ],
    ),
    "aliases that were forgotten": (
        "environment: x\nservices: {shop: &a {router: {rule: x, tsl: {}}}, two: *a}",
        [
            "2:40: services.shop.router.tsl: unknown key (did you mean 'tls'?)",
            "2:40: services.two.router.tsl: unknown key (did you mean 'tls'?)",
        ],
    ),
}


@pytest.mark.parametrize(("text", "messages"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_with_its_place_and_the_way_out(text: str, messages: list[str]) -> None:
    """P11: everything at once, in the order of the file."""
    assert refused(text) == [f"{FILE}:{message}" for message in messages]


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "http://",
        "ftp://a",
        "http://a:0",
        "http://a:65536",
        "http://a/path",
        "http://a?q",
        "http://a b",
        "http://user@a",
        "http://[::1",
        "//a",
        "http://a:b",
        "http://ü",
    ],
)
def test_a_server_that_is_no_url_is_refused(url: str) -> None:
    assert refused(one(f"router: {{rule: x}}\nservers: {{blue: {{urls: ['{url}']}}}}")) == [
        f"production.yaml:5:29: services.shop.servers.blue.urls[0]: '{url}' is no server URL: write http, https or h2c, a host, a port and no path, such as http://10.0.0.5:8080"
    ]


@pytest.mark.parametrize("name", ["shop", "shop-blue", "shop-green", "shop@http"])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("routers: {r: {service: NAME}}", "routers.r.service"),
        ("middlewares: {m: {errors: {service: NAME}}}", "middlewares.m.errors.service"),
        ("services: {s: {mirroring: {service: NAME}}}", "services.s.mirroring.service"),
        ("services: {s: {mirroring: {mirrors: [{name: NAME}]}}}", "services.s.mirroring.mirrors[0].name"),
        ("services: {s: {failover: {service: NAME}}}", "services.s.failover.service"),
        ("services: {s: {failover: {fallback: NAME}}}", "services.s.failover.fallback"),
        ("services: {s: {weighted: {services: [{name: NAME}]}}}", "services.s.weighted.services[0].name"),
        (
            "services: {s: {highestRandomWeight: {services: [{name: NAME}]}}}",
            "services.s.highestRandomWeight.services[0].name",
        ),
    ],
)
def test_a_reference_to_what_the_daemon_makes_is_refused(place: str, path: str, name: str) -> None:
    """Rule 15."""
    line = f"http: {{{place.replace('NAME', name)}}}"
    assert refused(f"environment: x\nservices: {{shop: {{router: {{rule: x}}}}}}\n{line}") == [
        f"production.yaml:3:{line.index(name) + 1}: http.{path}: refers to {name!r}, which the daemon makes for services.shop and changes with every switch: give that service a further router under 'routers' instead"
    ]
