"""Updates as commits and branches: ImageUpdateAutomation, commit messages, proposals, and the git program."""
