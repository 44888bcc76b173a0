"""The flags of `bluegreen serve`, and those that cannot be right."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from provider.api.about import About
from provider.api.access import Unprotected
from provider.api.listen import UNIX, is_local
from provider.controller import fallback_file
from provider.model import DockerMode
from provider.model.addresses import split_address
from provider.model.errors import AddressError
from provider.store.etcd.address import EtcdAddress
from provider.store.kinds import StoreAddress

_REPLICA = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@:-]{0,127}")
WILDCARDS = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104  named, not bound


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of `bluegreen serve`. `docker` None asks the environment, as Docker's own client does.

    `store` None is SQLite in `state_dir`; the rest of it is for one of several `replica`s, for which `desired_state`
    may be None (rule 62). A daemon alone without a file serves what the containers of an `environment` say (rule 35).
    """

    desired_state: Path | None
    state_dir: Path
    store: StoreAddress | None = None
    store_credentials: Path | None = None
    replica: str = ""
    advertise: str | None = None
    new_store: bool = False
    listen: str = "127.0.0.1:8900"
    admin_listen: str = "127.0.0.1:8901"
    docker_enabled: bool = True
    docker: str | None = None
    docker_host_address: str | None = None
    docker_mode: DockerMode = DockerMode.AUTO
    tokens_file: Path | None = None
    provider_token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    notify_urls: tuple[str, ...] = ()
    poll_hold_s: float = 4.0
    write_file: Path | None = None
    public_url: str | None = None
    environment: str | None = None
    provider_hosts: tuple[str, ...] = ()

    @property
    def is_guarded(self) -> bool:
        """Whether the document is shown only with a token or a certificate."""
        return self.provider_token_file is not None or (self.tls_cert is not None and self.tls_client_ca is not None)

    @property
    def is_private(self) -> bool:
        """Whether nobody else than meant reads the document: it may have private keys."""
        return self.is_guarded or is_local(self.listen)

    @property
    def advertised(self) -> str:
        """The URL at which other replicas reach the admin API."""
        if self.advertise is not None:
            return self.advertise
        host, port = split_address(self.admin_listen)
        if host in WILDCARDS:
            host = socket.gethostname()
        scheme = "https" if self.tls_cert is not None else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def check(self) -> None:
        """Refuse flags that cannot be right, before anything is touched.

        Raises AddressError, Unprotected and WriteFileRefused.
        """
        split_address(self.listen)
        if not self.admin_listen.startswith(UNIX) or self.admin_listen == UNIX:
            split_address(self.admin_listen)
        if self.tokens_file is None and not is_local(self.admin_listen):
            raise Unprotected(
                f"--admin-listen {self.admin_listen} lets everybody who reaches it switch services: name a "
                f"--tokens-file (bluegreen token makes its lines), or listen on 127.0.0.1 or {UNIX}PATH"
            )
        if self.tls_cert is None and (self.tls_key or self.tls_client_ca):
            flag = "--tls-client-ca" if self.tls_client_ca else "--tls-key"
            raise Unprotected(f"{flag} alone leaves the listeners without TLS: name the --tls-cert that belongs to it")
        if self.write_file is not None:
            fallback_file.check(self.write_file)
        if isinstance(self.store, EtcdAddress):
            self._check_replica()

    def _check_replica(self) -> None:
        """Refuse what is right for a daemon alone only. Raises AddressError and Unprotected."""
        if not self.is_private:  # what the leader accepts goes out at each replica, whatever that one lets in
            raise Unprotected(
                f"--listen {self.listen} shows everybody the document, which may have private keys by what the leader "
                "allows: name a --provider-token-file, which each of several replicas needs off loopback"
            )
        if self.advertise is None and self.admin_listen.startswith(UNIX):
            raise AddressError(
                f"--admin-listen {self.admin_listen} is reached by no other replica: listen on HOST:PORT, or name the "
                "URL with --advertise"
            )
        if not _REPLICA.fullmatch(self.replica):  # it is a part of keys, of paths and of a header
            raise AddressError(
                f"--replica {self.replica[:200]!r} is no name of a replica: write letters, digits and . _ @ : - , such "
                "as node-1, 128 characters at most"
            )

    @property
    def about(self) -> About:
        """What the admin API shows of them."""
        files = {
            "desired-state": None if isinstance(self.store, EtcdAddress) else self.desired_state,  # it only seeds then
            "state-dir": self.state_dir,
            "tokens-file": self.tokens_file,
            "provider-token-file": self.provider_token_file,
            "tls-cert": self.tls_cert,
            "tls-key": self.tls_key,
            "tls-client-ca": self.tls_client_ca,
            "write-file": self.write_file,
        }
        return About(
            listen=self.listen,
            admin_listen=self.admin_listen,
            is_guarded=self.is_guarded,
            has_tls=self.tls_cert is not None,
            poll_hold_s=self.poll_hold_s,
            docker_enabled=self.docker_enabled,
            docker=self.docker,
            docker_host_address=self.docker_host_address,
            docker_mode=self.docker_mode,
            files={role: path.absolute() for role, path in files.items() if path is not None},
        )
