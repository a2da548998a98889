"""Kustomizations as a graph: which field counts when overlays are built. Nothing is built, nothing is run."""
