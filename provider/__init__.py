"""Blue-green releases for Docker and Traefik."""

__version__ = "0.1.0"
