"""A fleet: what many trees run, one scan of the registries for all of them, and a report. No server, queue or database."""
