"""The registry client. Only these modules know HTTP, TLS, requests and oras; `krmfn.sources.registry_source` is their door."""
