"""A desired state from compose files or from what runs (rule 37): what a person would write, and what was left.

`files` and `running` read, through Docker Compose or from an engine. `compose` and `merging` find services in compose
files, with `variables` replaced, and `taking` takes the routing of each from its labels. `desired` puts all of them
into one file, and `text` writes it; what does not validate is left as well.

This room starts nothing and changes nothing. Labels are untrusted text.
"""
