"""Composed YAML seen as Kubernetes resources: identity, origin, containers, images, places by JSONPath."""
