"""YAML as text: cut into blocks, composed, searched and edited by spans, never printed again."""
