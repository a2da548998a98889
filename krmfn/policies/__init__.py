"""From the tags of a repository to one of them: versions, constraints, patterns, policies, and a reason for every other tag."""
