"""Who signed a digest, and what it was built from: cosign's forms by key, judged from documents that others fetch."""
