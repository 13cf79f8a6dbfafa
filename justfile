# Corolla's recipes; `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

python := ".venv/bin/python"

# list the recipes
default:
    @{{ quote(just_executable()) }} --list --unsorted

# install everything, as locked, into .venv
setup:
    python3 -m venv .venv
    .venv/bin/pip install --quiet --requirement requirements.lock
    .venv/bin/pre-commit install

# train on a table, log the run, compile it, prove parity and publish; OPTIONS are those of `python -m training train`
[positional-arguments]
train-export csv="data/Iris.csv" target="Species" *options:
    #!/usr/bin/env bash
    set -euo pipefail
    run_id=$({{ python }} -m training train "$@" {{ if file_name(csv) == "Iris.csv" { "--drop Id" } else { "" } }})
    {{ python }} -m convert "$run_id"

# serve the newest sound version of every model; OPTIONS are those of `python -m server`
[positional-arguments]
serve *options:
    exec {{ python }} -m server "$@"

# train on data/Iris.csv, publish, and serve on port 8000
quickstart: train-export serve

# run the tests, with coverage; OPTIONS are those of pytest
[positional-arguments]
test *options:
    {{ python }} -m coverage erase
    {{ python }} -m coverage run -m pytest "$@"
    {{ python }} -m coverage combine --quiet
    {{ python }} -m coverage report

# lint: ruff's rules and format
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .

# check the types: mypy, strict
types:
    .venv/bin/mypy

# lint + types + tests, as CI runs them
check: lint types test

# measure latency with locust: 1 user, 10 users, saturation; reports in tests/load/reports
[positional-arguments]
load-test *options:
    {{ python }} tests/load/run.py "$@"

# measure throughput, start, memory and overload beside peers; tables and plots in tests/bench/reports
[positional-arguments]
bench *options:
    {{ python }} tests/bench/run.py "$@"

# start the server in an environment that has its base dependencies alone
smoke:
    {{ python }} tests/e2e/smoke.py

# resolve the dependencies of pyproject.toml again and write both lock files
lock:
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml --output-file requirements.lock
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --constraints requirements.lock --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml --output-file server/requirements.lock

# write data/Iris.csv again from scikit-learn's copy
iris:
    {{ python }} data/make_iris.py > data/Iris.csv
