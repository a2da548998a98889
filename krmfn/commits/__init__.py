"""Updates as commits: ImageUpdateAutomation, its message templates, and the git program."""
