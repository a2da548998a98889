"""What stands in a tree of manifests, for the verbs that look around: check, get, lint, annotate, doctor."""
