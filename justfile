# Routine commands, for those who have `just`; each is one line of `cargo xtask` or `cargo`.

# list the commands
default:
    @just --list

# deploy a token on a database file, use it, read it back
demo *ARGS:
    cargo xtask demo {{ARGS}}

# every test, and the official fixtures if present; --rocksdb adds state on RocksDB
test *ARGS:
    cargo xtask test {{ARGS}}

# format, lints, tests and docs: what a change must pass
check:
    cargo xtask check

# format the code
fmt:
    cargo fmt --all

# official state tests
conformance *PATHS:
    cargo xtask conformance {{PATHS}}

# compare with other engines
bench *ARGS:
    cargo xtask bench {{ARGS}}

# compare stores of a large state; --rocksdb puts RocksDB among them
state-bench *ARGS:
    cargo xtask state-bench {{ARGS}}

# requests and time of forks beside anvil
fork-bench:
    cargo xtask fork-bench

# fetch the node that tests of forks talk to
peers:
    cargo xtask peers

# compare random programs with revm
fuzz-diff *ARGS:
    cargo xtask fuzz diff {{ARGS}}

# fuzz one decoder with cargo-fuzz
fuzz TARGET *ARGS:
    cargo xtask fuzz {{TARGET}} {{ARGS}}

# one random workload on all state backends, compared after every block
compliance *ARGS:
    cargo xtask compliance {{ARGS}}

# kill processes that commit to a store, and check what is left
crash *ARGS:
    cargo xtask crash {{ARGS}}

# many small commits with a history bounded in bytes
retention *ARGS:
    cargo xtask retention {{ARGS}}

# compare t8n with the executable specification (needs Python)
t8n-diff *ARGS:
    cargo xtask t8n-diff {{ARGS}}

# compile the contracts again (needs Node.js)
contracts *ARGS:
    cargo xtask contracts {{ARGS}}

# read the book (needs mdbook)
book:
    mdbook serve docs --open
