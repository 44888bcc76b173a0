"""Routers, services, transports and certificates, from Traefik's pkg/config/dynamic and pkg/tls, v3.0.0 to v3.7.9."""

from provider.model.traefik_schema.kinds import Scalar, many, named, or_empty, struct
from provider.model.traefik_schema.middlewares import MIDDLEWARE, TCP_MIDDLEWARE

TEXT = Scalar.TEXT
HOST = Scalar.HOST
RULE = Scalar.RULE
FREE = Scalar.FREE
BOOL = Scalar.BOOL
INT = Scalar.INT
DURATION = Scalar.DURATION

DOMAIN = struct(
    "Domain",
    (HOST, "main"),
    (many(HOST), "sans"),
)
ROUTER_TLS = struct(
    "RouterTLS",
    (TEXT, "options certResolver"),
    (many(DOMAIN), "domains"),
)
OBSERVABILITY = struct(
    "Observability",
    (BOOL, "accessLogs metrics tracing"),
    (TEXT, "traceVerbosity", "3.5"),
)
ROUTER = struct(
    "Router",
    (many(TEXT), "entryPoints middlewares"),
    (TEXT, "service ruleSyntax"),
    (RULE, "rule"),
    (many(TEXT), "parentRefs", "3.6"),
    (INT, "priority"),
    (or_empty(ROUTER_TLS), "tls"),
    (OBSERVABILITY, "observability", "3.3"),
)
COOKIE = struct(
    "Cookie",
    (TEXT, "name sameSite"),
    (BOOL, "secure httpOnly"),
    (INT, "maxAge"),
    (TEXT, "path", "3.3"),
    (HOST, "domain", "3.4"),
)
STICKY = struct(
    "Sticky",
    (or_empty(COOKIE), "cookie"),
)
SERVER = struct(
    "Server",
    (HOST, "url"),
    (INT, "weight"),
    (BOOL, "preservePath", "3.2"),
)
SERVER_HEALTH_CHECK = struct(
    "ServerHealthCheck",
    (TEXT, "scheme mode path method"),
    (INT, "status port"),
    (DURATION, "interval timeout"),
    (DURATION, "unhealthyInterval", "3.5"),
    (HOST, "hostname"),
    (BOOL, "followRedirects"),
    (named(FREE), "headers"),
)
PASSIVE_SERVER_HEALTH_CHECK = struct(
    "PassiveServerHealthCheck",
    (DURATION, "failureWindow"),
    (INT, "maxFailedAttempts"),
)
RESPONSE_FORWARDING = struct(
    "ResponseForwarding",
    (DURATION, "flushInterval"),
)
LOAD_BALANCER = struct(
    "LoadBalancer",
    (or_empty(STICKY), "sticky"),
    (many(SERVER), "servers"),
    (TEXT, "strategy", "3.4"),
    (SERVER_HEALTH_CHECK, "healthCheck"),
    (PASSIVE_SERVER_HEALTH_CHECK, "passiveHealthCheck", "3.6"),
    (BOOL, "passHostHeader"),
    (RESPONSE_FORWARDING, "responseForwarding"),
    (TEXT, "serversTransport"),
)
NOTHING = struct("Nothing")
"""A struct without a key, such as the health check of a weighted service: only `{}`."""
HRW_SERVICE = struct(
    "HRWService",
    (TEXT, "name"),
    (INT, "weight"),
)
HIGHEST_RANDOM_WEIGHT = struct(
    "HighestRandomWeight",
    (many(HRW_SERVICE), "services"),
    (or_empty(NOTHING), "healthCheck"),
)
WRR_SERVICE = struct(
    "WRRService",
    (TEXT, "name"),
    (INT, "weight"),
)
WEIGHTED = struct(
    "Weighted",
    (many(WRR_SERVICE), "services"),
    (STICKY, "sticky"),
    (or_empty(NOTHING), "healthCheck"),
)
MIRROR_SERVICE = struct(
    "MirrorService",
    (TEXT, "name"),
    (INT, "percent"),
)
MIRRORING = struct(
    "Mirroring",
    (TEXT, "service"),
    (BOOL, "mirrorBody", "3.2"),
    (INT, "maxBodySize"),
    (many(MIRROR_SERVICE), "mirrors"),
    (or_empty(NOTHING), "healthCheck"),
)
FAILOVER_ERROR = struct(
    "FailoverError",
    (INT, "maxRequestBodyBytes"),
    (many(TEXT), "status"),
)
FAILOVER = struct(
    "Failover",
    (TEXT, "service fallback"),
    (or_empty(NOTHING), "healthCheck"),
    (FAILOVER_ERROR, "errors", "3.7"),
)
SERVICE = struct(
    "Service",
    (many(TEXT), "middlewares", "3.7"),
    (LOAD_BALANCER, "loadBalancer"),
    (HIGHEST_RANDOM_WEIGHT, "highestRandomWeight", "3.6"),
    (WEIGHTED, "weighted"),
    (MIRRORING, "mirroring"),
    (FAILOVER, "failover"),
)
MODEL = struct(
    "Model",
    (many(TEXT), "middlewares"),
    (or_empty(ROUTER_TLS), "tls"),
    (OBSERVABILITY, "observability", "3.3"),
)
CERTIFICATE = struct(
    "Certificate",
    (TEXT, "certFile keyFile"),
)
FORWARDING_TIMEOUTS = struct(
    "ForwardingTimeouts",
    (DURATION, "dialTimeout responseHeaderTimeout idleConnTimeout readIdleTimeout pingTimeout"),
)
SPIFFE = struct(
    "Spiffe",
    (many(TEXT), "ids"),
    (TEXT, "trustDomain"),
)
SERVERS_TRANSPORT = struct(
    "ServersTransport",
    (HOST, "serverName"),
    (BOOL, "insecureSkipVerify disableHTTP2"),
    (many(TEXT), "rootCAs"),
    (many(CERTIFICATE), "certificates"),
    (many(TEXT), "cipherSuites", "3.7"),
    (TEXT, "minVersion maxVersion", "3.7"),
    (INT, "maxIdleConnsPerHost"),
    (FORWARDING_TIMEOUTS, "forwardingTimeouts"),
    (TEXT, "peerCertURI"),
    (or_empty(SPIFFE), "spiffe"),
)
HTTP = struct(
    "HTTP",
    (named(ROUTER), "routers"),
    (named(SERVICE), "services"),
    (named(MIDDLEWARE), "middlewares"),
    (named(MODEL), "models"),
    (named(SERVERS_TRANSPORT), "serversTransports"),
)
TCP_ROUTER_TLS = struct(
    "TCPRouterTLS",
    (BOOL, "passthrough"),
    (TEXT, "options certResolver"),
    (many(DOMAIN), "domains"),
)
TCP_ROUTER = struct(
    "TCPRouter",
    (many(TEXT), "entryPoints middlewares"),
    (TEXT, "service ruleSyntax"),
    (RULE, "rule"),
    (INT, "priority"),
    (or_empty(TCP_ROUTER_TLS), "tls"),
)
TCP_SERVER = struct(
    "TCPServer",
    (HOST, "address"),
    (BOOL, "tls"),
)
PROXY_PROTOCOL = struct(
    "ProxyProtocol",
    (INT, "version"),
)
TCP_SERVER_HEALTH_CHECK = struct(
    "TCPServerHealthCheck",
    (INT, "port"),
    (FREE, "send expect"),
    (DURATION, "interval unhealthyInterval timeout"),
)
TCP_LOAD_BALANCER = struct(
    "TCPLoadBalancer",
    (many(TCP_SERVER), "servers"),
    (TEXT, "serversTransport"),
    (or_empty(PROXY_PROTOCOL), "proxyProtocol"),
    (INT, "terminationDelay"),
    (or_empty(TCP_SERVER_HEALTH_CHECK), "healthCheck", "3.6"),
)
TCP_WRR_SERVICE = struct(
    "TCPWRRService",
    (TEXT, "name"),
    (INT, "weight"),
)
TCP_WEIGHTED = struct(
    "TCPWeighted",
    (many(TCP_WRR_SERVICE), "services"),
    (or_empty(NOTHING), "healthCheck", "3.6"),
)
TCP_SERVICE = struct(
    "TCPService",
    (TCP_LOAD_BALANCER, "loadBalancer"),
    (TCP_WEIGHTED, "weighted"),
)
TLS_CLIENT_CONFIG = struct(
    "TLSClientConfig",
    (HOST, "serverName"),
    (BOOL, "insecureSkipVerify"),
    (many(TEXT), "rootCAs"),
    (many(CERTIFICATE), "certificates"),
    (TEXT, "peerCertURI"),
    (or_empty(SPIFFE), "spiffe"),
)
TCP_SERVERS_TRANSPORT = struct(
    "TCPServersTransport",
    (DURATION, "dialKeepAlive dialTimeout terminationDelay"),
    (or_empty(PROXY_PROTOCOL), "proxyProtocol", "3.5.2"),
    (or_empty(TLS_CLIENT_CONFIG), "tls"),
)
TCP = struct(
    "TCP",
    (named(TCP_ROUTER), "routers"),
    (named(TCP_SERVICE), "services"),
    (named(TCP_MIDDLEWARE), "middlewares"),
    (named(TCP_SERVERS_TRANSPORT), "serversTransports"),
)
UDP_ROUTER = struct(
    "UDPRouter",
    (many(TEXT), "entryPoints"),
    (TEXT, "service"),
)
UDP_SERVER = struct(
    "UDPServer",
    (HOST, "address"),
)
UDP_LOAD_BALANCER = struct(
    "UDPLoadBalancer",
    (many(UDP_SERVER), "servers"),
)
UDP_WRR_SERVICE = struct(
    "UDPWRRService",
    (TEXT, "name"),
    (INT, "weight"),
)
UDP_WEIGHTED = struct(
    "UDPWeighted",
    (many(UDP_WRR_SERVICE), "services"),
)
UDP_SERVICE = struct(
    "UDPService",
    (UDP_LOAD_BALANCER, "loadBalancer"),
    (UDP_WEIGHTED, "weighted"),
)
UDP = struct(
    "UDP",
    (named(UDP_ROUTER), "routers"),
    (named(UDP_SERVICE), "services"),
)
CERT_AND_STORES = struct(
    "CertAndStores",
    (TEXT, "certFile keyFile"),
    (many(TEXT), "stores"),
)
CLIENT_AUTH = struct(
    "ClientAuth",
    (many(TEXT), "caFiles"),
    (TEXT, "clientAuthType"),
)
TLS_OPTIONS = struct(
    "TLSOptions",
    (TEXT, "minVersion maxVersion"),
    (many(TEXT), "cipherSuites curvePreferences alpnProtocols"),
    (CLIENT_AUTH, "clientAuth"),
    (BOOL, "sniStrict preferServerCipherSuites"),
    (BOOL, "disableSessionTickets", "3.4"),
)
GENERATED_CERT = struct(
    "GeneratedCert",
    (TEXT, "resolver"),
    (DOMAIN, "domain"),
)
TLS_STORE = struct(
    "TLSStore",
    (CERTIFICATE, "defaultCertificate"),
    (GENERATED_CERT, "defaultGeneratedCert"),
)
TLS = struct(
    "TLS",
    (many(CERT_AND_STORES), "certificates"),
    (named(TLS_OPTIONS), "options"),
    (named(TLS_STORE), "stores"),
)
DOCUMENT = struct(
    "Document",
    (HTTP, "http"),
    (TCP, "tcp"),
    (UDP, "udp"),
    (TLS, "tls"),
)
