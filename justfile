# Corolla's recipes; `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

python := ".venv/bin/python"

# how a container is sealed: nothing to write to, no rights, little room
sealed := "--read-only --read-only-tmpfs=false --tmpfs=/tmp:rw,noexec,nosuid,size=16m --user=10001:10001 --cap-drop=all --security-opt=no-new-privileges --memory=256m --memory-swap=256m --cpus=1 --pids-limit=64"

# list the recipes
default:
    @{{ quote(just_executable()) }} --list --unsorted

# install everything, as locked, into .venv
setup:
    python3 -m venv .venv
    .venv/bin/pip install --quiet --no-compile --requirement tests/requirements.lock
    .venv/bin/pre-commit install

# train on a table, log the run, compile it, prove parity and publish; OPTIONS are those of training and of convert
[positional-arguments]
train-export csv="data/Iris.csv" target=(if csv == "data/Iris.csv" { "Species" } else { "" }) *options:
    @{{ python }} -m convert.train_export "$@" {{ if file_name(csv) == "Iris.csv" { "--drop Id" } else { "" } }}

# write the report of a run, RUN_ID or the newest published, as one HTML page; OPTIONS are those of `python -m convert.report`
[positional-arguments]
report *options:
    {{ python }} -m convert.report "$@"

# serve the newest sound version of every model; OPTIONS are those of `python -m server`
[positional-arguments]
serve *options:
    exec {{ python }} -m server "$@"

# train on data/Iris.csv, publish, and serve on port 8000
quickstart: train-export serve

# run the tests, with coverage; OPTIONS are those of pytest
[positional-arguments]
test *options:
    #!/usr/bin/env bash
    set -euo pipefail
    {{ python }} -m coverage erase
    if [ $# -gt 0 ]; then
        {{ python }} -m coverage run -m pytest "$@"
    else
        # one thread each: where two processes share few cores, those of OpenMP spin while they wait for each other
        export OMP_NUM_THREADS=1
        # two at a time, about as long as each other: both wait for real servers and compute
        {{ python }} -m coverage run -m pytest tests/convert tests/e2e & one=$!
        failed=0
        {{ python }} -m coverage run -m pytest --ignore tests/convert --ignore tests/e2e || failed=$?
        wait $one || failed=$?
        [ $failed -eq 0 ]
    fi
    {{ python }} -m coverage combine --quiet
    {{ python }} -m coverage report

# run the quick tests of training, server and convert, without coverage; OPTIONS are those of pytest
[positional-arguments]
test-quick *options:
    #!/usr/bin/env bash
    set -euo pipefail
    export OMP_NUM_THREADS=1
    {{ python }} -m pytest -m "not slow" tests/convert "$@" & one=$!
    failed=0
    {{ python }} -m pytest -m "not slow" tests/training tests/server "$@" || failed=$?
    wait $one || failed=$?
    exit $failed

# lint: ruff's rules and format, hadolint's for the Containerfile
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/hadolint Containerfile

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

# train, compile and compare every named estimator on six tables; the README's table of certificates
[positional-arguments]
certify-all *options:
    {{ python }} tests/bench/certify.py "$@"

# compare the C that `log_reg` chooses with fixed ones, by repeated cross-validation; the table of data/README.md
[positional-arguments]
regularisation *options:
    {{ python }} tests/bench/regularisation.py "$@"

# take the pictures of the README's pages with Chromium: docs/docs-page.png and docs/report.png
[positional-arguments]
pictures *options:
    {{ python }} tests/bench/pictures.py "$@"

# build the image corolla, with the published models inside; OPTIONS are those of `podman build`
[positional-arguments]
image *options:
    podman build --format docker --tag corolla \
        --label org.opencontainers.image.version="$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)" \
        --label org.opencontainers.image.revision="$(git rev-parse HEAD)" \
        --label io.corolla.models="$(cd models && echo */[0-9]*)" "$@" .
    @podman history --format '{{{{.Size}}\t{{{{.CreatedBy}}' corolla

# run the image, sealed; OPTIONS are those of `podman run`, such as --volume ./models:/models:ro for the models of today
[positional-arguments]
run *options:
    exec podman run --rm --name corolla {{ sealed }} --publish 127.0.0.1:8000:8000 "$@" corolla

# write corolla.container, a quadlet: a sealed service that systemd starts at boot, restarts and updates
quadlet image="localhost/corolla:latest" publish="127.0.0.1:8000" models_dir="":
    #!/usr/bin/env bash
    set -euo pipefail
    cat > corolla.container <<UNIT
    [Unit]
    Description=Corolla, predictions over HTTP
    Wants=network-online.target
    After=network-online.target

    [Container]
    Image={{ image }}
    ContainerName=corolla
    PublishPort={{ publish }}:8000
    {{ if models_dir == "" { "# models: those inside the image" } else { "Volume=" + models_dir + ":/models:ro" } }}
    PodmanArgs={{ sealed }}
    AutoUpdate={{ if image =~ "^localhost/" { "local" } else { "registry" } }}
    LogDriver=journald
    HealthOnFailure=kill

    [Service]
    Restart=always
    RestartSec=2
    TimeoutStartSec=300

    [Install]
    WantedBy=multi-user.target default.target
    UNIT
    echo "wrote corolla.container; docs/edge.md says where it goes"

# print the bill of materials (CycloneDX) of an image
sbom image="corolla":
    @{{ python }} -m convert.bundle sbom {{ quote(image) }}

# make a pair of keys: KEY, to sign with, and KEY.pub, for every host
keygen key="corolla.key":
    {{ python }} -m convert.bundle keygen {{ quote(key) }}

# write one signed file: the image corolla with its bill of materials, or as `just bundle models` the newest models alone
bundle what="image" file="corolla-bundle.tar" key="corolla.key":
    {{ python }} -m convert.bundle write {{ quote(file) }} --key {{ quote(key) }} {{ if what == "image" { "--image corolla" } else if what == "models" { "" } else { error("expected image or models, got " + what) } }}

# verify a bundle, and then load its image or publish its models; OPTIONS are those of `python -m convert.bundle load`
[positional-arguments]
load-bundle file *options:
    {{ python }} -m convert.bundle load "$@"

# build an image and test it: the contract, the wire, its limits and what is in it
image-test *options:
    #!/usr/bin/env bash
    set -euo pipefail
    # without systemd podman needs other settings than its own
    [ -d /run/systemd/system ] || export CONTAINERS_CONF="${CONTAINERS_CONF:-$PWD/tests/container/containers.conf}"
    base=$(tests/container/build corolla-test)
    {{ python }} -m pytest --image corolla-test --base "$base" {{ options }} tests/container tests/e2e/test_contract.py tests/e2e/test_pages.py tests/e2e/test_wire.py

# measure a sealed container: start, idle, load, large bodies, little memory, threads, size, health check
[positional-arguments]
image-bench *options:
    #!/usr/bin/env bash
    set -euo pipefail
    [ -d /run/systemd/system ] || export CONTAINERS_CONF="${CONTAINERS_CONF:-$PWD/tests/container/containers.conf}"
    base=$(tests/container/build corolla-test)
    {{ python }} tests/bench/container/run.py --image corolla-test --base "$base" "$@"

# start the server in an environment that has its base dependencies alone
smoke:
    {{ python }} tests/e2e/smoke.py

# flags of every lock: extras are kept, for an older pip takes `name[extra]` anew where the lock has `name` alone
lock_flags := "--quiet --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --no-annotate --no-emit-index-url"

# resolve the dependencies again and write the lock files: all, the main job's, the server's, and that of the benchmarks' peer
lock:
    .venv/bin/uv pip compile {{ lock_flags }} --extra training --extra convert --extra bundle --extra recipes --extra dev pyproject.toml --output-file tests/requirements.lock
    .venv/bin/uv pip compile {{ lock_flags }} --extra training --extra convert --extra bundle --extra recipes --constraints tests/requirements.lock pyproject.toml --output-file requirements.lock
    .venv/bin/uv pip compile {{ lock_flags }} --constraints tests/requirements.lock pyproject.toml --output-file server/requirements.lock
    .venv/bin/uv pip compile {{ lock_flags }} tests/bench/peer/requirements.in --output-file tests/bench/peer/requirements.lock

# ask whether a locked package has a known vulnerability
audit:
    {{ python }} tests/audit.py tests/requirements.lock

# write data/Iris.csv again from scikit-learn's copy
iris:
    {{ python }} data/make_iris.py > data/Iris.csv
