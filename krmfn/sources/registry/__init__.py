"""The registry client. Only these modules know HTTP, TLS, requests and oras; `source` is their door."""
