"""The registry client. Only these modules know HTTP, TLS, requests and oras; `krmfn.tagsources.oci` is their door."""
