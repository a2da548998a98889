"""The registry client. Only these modules know HTTP, TLS, requests and oras; `krmfn.oci` is their door."""
