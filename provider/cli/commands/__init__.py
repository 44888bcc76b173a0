"""The verbs, a file each: it reads its parameters, asks a client, prints the answer, and ends with an exit code.

A verb imports what it needs when it runs, since `--help` and shell completion must be fast: at the top of these
modules are click and the standard library, and nothing of the package but `cli` itself.

`options` has the options that verbs share, `params` the kinds of values, `exit_codes` what each code means, `help`
the Examples section; `sending` has what the commands of operators share. Tables and live views are drawn in
`terminal`.
"""
