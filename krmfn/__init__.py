"""Flux's image automation as a pure function over Kubernetes manifests."""

__version__ = "0.1.0"
