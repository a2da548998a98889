"""Where tags come from: snapshots, layouts on disk, registries, and the credentials for them."""
