# memtrace: what one needs to type.
#   make build   the command and its two libraries, in target/release
#   make demo    a vision-language job on a virtual GPU, and the report about it
#   make test    everything CI checks
#   make bench   what tracing costs
#   make dist    an archive for every x86-64 Linux with glibc 2.17 or newer, in target/dist
#   make test-drivers  how real drivers and NVIDIA's libraries find each other through the hooks: fetches 25 MB
#   make test-pythons  PyTorch under each CPython at hand, whose packages take 12 GB more in the user's cache folder
#   make corpus  how often the detectors are right, into docs/corpus.md and docs/findings.md
# and with the SGLang server, whose Python packages take 10 GB in the user's cache folder:
#   make demo-sglang, make test-sglang, make bench-sglang

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# Where cargo builds; target/release below it is where the command and its libraries belong.
target := $(or $(CARGO_TARGET_DIR),target)
release := $(target)/release

.PHONY: build dist demo test test-drivers test-pythons bench corpus lint unit preload-check virtual-gpu environment \
    gpu-tests e2e real-gpu sglang-environment sglang-ready demo-sglang test-sglang bench-sglang

build:
	cargo build --quiet --release --package memtrace-cli
	cargo build --quiet --profile preload --package memtrace-shim --package memtrace-core
	install -m 755 $(target)/preload/libmemtrace.so $(target)/preload/libmemtrace_core.so $(release)/

dist: build
	packaging/build $(target)

virtual-gpu:
	tests/virtual-gpu/build

environment: virtual-gpu
	tests/env/setup
	tests/env/setup clients

demo: build environment
	trap 'rm -f "/dev/shm/memtrace-demo-$$$$"*' EXIT; \
	VGPU_NAME=memtrace-demo-$$$$ LD_LIBRARY_PATH=target/vgpu \
	    $(release)/memtrace demo --python tests/env/vpython

test: lint unit build preload-check environment gpu-tests e2e real-gpu

lint:
	cargo fmt --all --check
	cargo clippy --quiet --workspace --exclude memtrace-shim --exclude memtrace-core --all-targets -- -D warnings
	cargo clippy --quiet --profile preload --package memtrace-shim --package memtrace-core -- -D warnings

unit:
	cargo test --quiet
	cargo test --quiet --package virtual-gpu-machine --package virtual-gpu-driver --package virtual-gpu-nvml

preload-check: build
	interposer/check $(release)

gpu-tests: environment
	tests/virtual-gpu/test

e2e: build environment
	MEMTRACE=$(abspath $(release))/memtrace target/vgpu/torch/venv/bin/python -m pytest -q -rs -p no:cacheprovider tests/e2e

test-drivers: build environment
	tests/drivers/setup
	MEMTRACE=$(abspath $(release))/memtrace target/vgpu/torch/venv/bin/python -m pytest -q -rs -p no:cacheprovider tests/drivers

# The tests of clients that bring an interpreter's own frames along.
pythons_tests = $(addprefix tests/e2e/test_,$(addsuffix .py,exact pool memory_pools memory_saver compiled triton shares))

test-pythons: build virtual-gpu
	tests/env/setup pythons
	for python in target/vgpu/pythons/py*; do \
	    echo "== $$(basename $$python)"; \
	    MEMTRACE=$(abspath $(release))/memtrace VPYTHON_ENV=pythons/$$(basename $$python) \
	        $$python/venv/bin/python -m pytest -q -rs -p no:cacheprovider $(pythons_tests); \
	done

bench: build environment
	MEMTRACE=$(abspath $(release))/memtrace tests/bench/run

corpus:
	cargo run --quiet --release --package memtrace-tests --bin corpus -- --write docs

# Skipped, with the reason, where there is no GPU.
real-gpu: build
	MEMTRACE=$(abspath $(release))/memtrace tests/gpu/run

# First, because it says how much it takes, and whether there is room for it.
sglang-environment:
	tests/sglang/setup

sglang_python = MEMTRACE=$(abspath $(release))/memtrace target/vgpu/sglang/venv/bin/python

sglang-ready: sglang-environment build virtual-gpu
	$(sglang_python) tests/sglang/warm.py

demo-sglang: sglang-ready
	$(sglang_python) tests/sglang/demo.py

test-sglang: sglang-ready
	$(sglang_python) -m pytest -q -rs -p no:cacheprovider tests/sglang

bench-sglang: sglang-ready
	$(sglang_python) tests/sglang/bench.py
