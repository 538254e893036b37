# Names for what is in scripts/; `just` lists them. Nothing needs just: each recipe is one command.

_default:
    @just --list --unsorted

# Everything with nothing configured: a simulated Voicenter, a private PostgreSQL, the daemon and its page
demo *arguments:
    scripts/demo {{ arguments }}

# The tests; arguments go to the runner, such as -E 'test(name)'
[positional-arguments]
test *arguments:
    scripts/test "$@"

# Everything that must pass before a change is taken
ci:
    .ci/run

# The cases of tests/field-cases: all that CI runs, `all`, or some by number
field-cases *cases:
    scripts/field-cases {{ cases }}

# Faults against the real program: `short`, or all of them, which writes docs/reliability.md
torture form="short":
    scripts/torture {{ form }}

# The README's figures: requests, memory, idle, budget or kills; all of them by default. And `readers`, by itself
measure *figure:
    scripts/measure {{ figure }}

# docs/data-dictionary.md, from the comments of a migrated database
dictionary:
    scripts/data-dictionary

# The Debian package of a program that is built, such as target/release/cdr-sync
package program:
    scripts/package-deb {{ program }}

# Format the code
fmt:
    cargo fmt

# Format and lints as CI checks them, migrations and workflows
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets --all-features -- -D warnings
    scripts/check-migrations
    scripts/check-workflows
