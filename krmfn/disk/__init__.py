"""Files and stdin: read within bounds, written whole or not at all. Nothing here knows YAML."""
