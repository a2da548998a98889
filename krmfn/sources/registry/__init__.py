"""The registry client. Only these modules know HTTP, TLS, requests and oras; `krmfn.sources.oci` is their door."""
