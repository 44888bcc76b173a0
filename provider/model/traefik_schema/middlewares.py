"""Middlewares, from Traefik's pkg/config/dynamic/middlewares.go and tcp_middlewares.go, v3.0.0 to v3.7.9."""

from provider.model.traefik_schema.kinds import Anything, Scalar, many, named, or_empty, struct

TEXT = Scalar.TEXT
HOST = Scalar.HOST
USER = Scalar.USER
FREE = Scalar.FREE
BOOL = Scalar.BOOL
INT = Scalar.INT
DURATION = Scalar.DURATION
ANYTHING = Anything.ANYTHING

ADD_PREFIX = struct(
    "AddPrefix",
    (TEXT, "prefix"),
)
STRIP_PREFIX = struct(
    "StripPrefix",
    (many(TEXT), "prefixes"),
    (BOOL, "forceSlash"),
)
STRIP_PREFIX_REGEX = struct(
    "StripPrefixRegex",
    (many(FREE), "regex"),
)
REPLACE_PATH = struct(
    "ReplacePath",
    (TEXT, "path"),
)
REPLACE_PATH_REGEX = struct(
    "ReplacePathRegex",
    (FREE, "regex replacement"),
)
CHAIN = struct(
    "Chain",
    (many(TEXT), "middlewares"),
)
IP_STRATEGY = struct(
    "IPStrategy",
    (INT, "depth"),
    (many(HOST), "excludedIPs"),
    (INT, "ipv6Subnet", "3.2"),
)
IP_WHITE_LIST = struct(
    "IPWhiteList",
    (many(HOST), "sourceRange"),
    (or_empty(IP_STRATEGY), "ipStrategy"),
)
IP_ALLOW_LIST = struct(
    "IPAllowList",
    (many(HOST), "sourceRange"),
    (or_empty(IP_STRATEGY), "ipStrategy"),
    (INT, "rejectStatusCode"),
)
HEADERS = struct(
    "Headers",
    (named(FREE), "customRequestHeaders customResponseHeaders sslProxyHeaders"),
    (BOOL, "accessControlAllowCredentials addVaryHeader stsIncludeSubdomains stsPreload forceSTSHeader"),
    (BOOL, "frameDeny contentTypeNosniff browserXssFilter isDevelopment sslRedirect"),
    (BOOL, "sslTemporaryRedirect sslForceHost"),
    (many(TEXT), "accessControlAllowHeaders accessControlAllowMethods accessControlAllowOriginList"),
    (many(TEXT), "accessControlExposeHeaders hostsProxyHeaders"),
    (many(FREE), "accessControlAllowOriginListRegex"),
    (INT, "accessControlMaxAge stsSeconds"),
    (many(HOST), "allowedHosts"),
    (FREE, "customFrameOptionsValue customBrowserXSSValue contentSecurityPolicy publicKey"),
    (FREE, "referrerPolicy permissionsPolicy featurePolicy"),
    (FREE, "contentSecurityPolicyReportOnly", "3.1"),
    (HOST, "sslHost"),
)
ENCODED_CHARACTERS = struct(
    "EncodedCharacters",
    (BOOL, "allowEncodedSlash allowEncodedBackSlash allowEncodedNullCharacter allowEncodedSemicolon"),
    (BOOL, "allowEncodedPercent allowEncodedQuestionMark allowEncodedHash"),
)
ERROR_PAGE = struct(
    "ErrorPage",
    (many(TEXT), "status"),
    (named(INT), "statusRewrites", "3.4"),
    (TEXT, "service"),
    (FREE, "query"),
    (many(TEXT), "errorRequestHeaders", "3.6.15"),
)
SOURCE_CRITERION = struct(
    "SourceCriterion",
    (IP_STRATEGY, "ipStrategy"),
    (TEXT, "requestHeaderName"),
    (BOOL, "requestHost"),
)
REDIS_TLS = struct(
    "RedisTLS",
    (TEXT, "ca cert key"),
    (BOOL, "insecureSkipVerify"),
)
REDIS = struct(
    "Redis",
    (many(HOST), "endpoints"),
    (REDIS_TLS, "tls"),
    (FREE, "username password"),
    (INT, "db poolSize minIdleConns maxActiveConns"),
    (DURATION, "readTimeout writeTimeout dialTimeout"),
)
RATE_LIMIT = struct(
    "RateLimit",
    (INT, "average burst"),
    (DURATION, "period"),
    (SOURCE_CRITERION, "sourceCriterion"),
    (REDIS, "redis", "3.4"),
)
REDIRECT_REGEX = struct(
    "RedirectRegex",
    (FREE, "regex replacement"),
    (BOOL, "permanent"),
)
REDIRECT_SCHEME = struct(
    "RedirectScheme",
    (TEXT, "scheme port"),
    (BOOL, "permanent"),
)
BASIC_AUTH = struct(
    "BasicAuth",
    (many(USER), "users"),
    (TEXT, "usersFile headerField"),
    (FREE, "realm"),
    (BOOL, "removeHeader"),
)
DIGEST_AUTH = struct(
    "DigestAuth",
    (many(USER), "users"),
    (TEXT, "usersFile headerField"),
    (BOOL, "removeHeader"),
    (FREE, "realm"),
)
CLIENT_TLS = struct(
    "ClientTLS",
    (TEXT, "ca cert key"),
    (BOOL, "insecureSkipVerify caOptional"),
)
FORWARD_AUTH = struct(
    "ForwardAuth",
    (HOST, "address"),
    (CLIENT_TLS, "tls"),
    (BOOL, "trustForwardHeader"),
    (many(TEXT), "authResponseHeaders authRequestHeaders addAuthCookiesToResponse"),
    (FREE, "authResponseHeadersRegex"),
    (INT, "maxResponseBodySize", "3.6.9"),
    (TEXT, "headerField", "3.2"),
    (BOOL, "forwardBody preserveLocationHeader", "3.3"),
    (INT, "maxBodySize", "3.3"),
    (BOOL, "preserveRequestMethod", "3.4"),
    (HOST, "authSigninURL", "3.7"),
)
IN_FLIGHT_REQ = struct(
    "InFlightReq",
    (INT, "amount"),
    (SOURCE_CRITERION, "sourceCriterion"),
)
BUFFERING = struct(
    "Buffering",
    (INT, "maxRequestBodyBytes memRequestBodyBytes maxResponseBodyBytes memResponseBodyBytes"),
    (FREE, "retryExpression"),
)
CIRCUIT_BREAKER = struct(
    "CircuitBreaker",
    (FREE, "expression"),
    (DURATION, "checkPeriod fallbackDuration recoveryDuration"),
    (INT, "responseCode"),
)
COMPRESS = struct(
    "Compress",
    (many(TEXT), "excludedContentTypes includedContentTypes"),
    (INT, "minResponseBodyBytes"),
    (many(TEXT), "encodings", "3.2"),
    (TEXT, "defaultEncoding", "3.0.2"),
)
CLIENT_CERTIFICATE_SUBJECT_DN_INFO = struct(
    "ClientCertificateSubjectDNInfo",
    (BOOL, "country province locality organization organizationalUnit commonName serialNumber domainComponent"),
)
CLIENT_CERTIFICATE_ISSUER_DN_INFO = struct(
    "ClientCertificateIssuerDNInfo",
    (BOOL, "country province locality organization commonName serialNumber domainComponent"),
)
CLIENT_CERTIFICATE_INFO = struct(
    "ClientCertificateInfo",
    (BOOL, "notAfter notBefore sans serialNumber"),
    (CLIENT_CERTIFICATE_SUBJECT_DN_INFO, "subject"),
    (CLIENT_CERTIFICATE_ISSUER_DN_INFO, "issuer"),
)
PASS_TLS_CLIENT_CERT = struct(
    "PassTLSClientCert",
    (BOOL, "pem"),
    (CLIENT_CERTIFICATE_INFO, "info"),
)
RETRY = struct(
    "Retry",
    (INT, "attempts"),
    (DURATION, "timeout", "3.7"),
    (DURATION, "initialInterval"),
    (INT, "maxRequestBodyBytes", "3.7"),
    (many(TEXT), "status", "3.7"),
    (BOOL, "disableRetryOnNetworkError retryNonIdempotentMethod", "3.7"),
)
CONTENT_TYPE = struct(
    "ContentType",
    (BOOL, "autoDetect"),
)
GRPC_WEB = struct(
    "GrpcWeb",
    (many(TEXT), "allowOrigins"),
)
MIDDLEWARE = struct(
    "Middleware",
    (ADD_PREFIX, "addPrefix"),
    (STRIP_PREFIX, "stripPrefix"),
    (STRIP_PREFIX_REGEX, "stripPrefixRegex"),
    (REPLACE_PATH, "replacePath"),
    (REPLACE_PATH_REGEX, "replacePathRegex"),
    (CHAIN, "chain"),
    (IP_WHITE_LIST, "ipWhiteList"),
    (IP_ALLOW_LIST, "ipAllowList"),
    (HEADERS, "headers"),
    (ENCODED_CHARACTERS, "encodedCharacters", "3.7"),
    (ERROR_PAGE, "errors"),
    (RATE_LIMIT, "rateLimit"),
    (REDIRECT_REGEX, "redirectRegex"),
    (REDIRECT_SCHEME, "redirectScheme"),
    (BASIC_AUTH, "basicAuth"),
    (DIGEST_AUTH, "digestAuth"),
    (FORWARD_AUTH, "forwardAuth"),
    (IN_FLIGHT_REQ, "inFlightReq"),
    (BUFFERING, "buffering"),
    (CIRCUIT_BREAKER, "circuitBreaker"),
    (or_empty(COMPRESS), "compress"),
    (PASS_TLS_CLIENT_CERT, "passTLSClientCert"),
    (RETRY, "retry"),
    (or_empty(CONTENT_TYPE), "contentType"),
    (GRPC_WEB, "grpcWeb"),
    (ANYTHING, "plugin"),
)
TCP_IN_FLIGHT_CONN = struct(
    "TCPInFlightConn",
    (INT, "amount"),
)
TCP_IP_WHITE_LIST = struct(
    "TCPIPWhiteList",
    (many(HOST), "sourceRange"),
)
TCP_IP_ALLOW_LIST = struct(
    "TCPIPAllowList",
    (many(HOST), "sourceRange"),
)
TCP_MIDDLEWARE = struct(
    "TCPMiddleware",
    (TCP_IN_FLIGHT_CONN, "inFlightConn"),
    (TCP_IP_WHITE_LIST, "ipWhiteList"),
    (TCP_IP_ALLOW_LIST, "ipAllowList"),
)
