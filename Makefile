# SPDX-License-Identifier: Apache-2.0
# The front door: the few commands that people type. Everything else is Meson and Ninja.
#
#   make          builds a release in build/: build/src/cli/coracle
#   make deps     installs the Debian packages that are missing (root)
#   make demo     builds, starts a cluster, deploys examples/visits and shows it (root)
#   make check    every test (root); FUZZ_SECONDS=10 is the time of each fuzz target
#   make bench    every budget of the design, measured; BENCHFLAGS=--docs also writes docs/benchmarks.md (root)
#   make fmt      our C as .clang-format says
#   make lint     the house rules
#   make fuzz     every fuzz target for a minute (root)
#   make analysis what analysers say, the slow ones too (root)
#   make coverage lines and branches that tests run, by folder (root)
#   make clean    removes the build directories
BUILD := build
FUZZ_SECONDS := 10
BENCH := $(addprefix tests/bench/, bench_codec bench_store bench_http bench_load bench_floor libbench_allocs.so)

# What is built under sudo belongs to whoever owns the checkout, so that a plain make goes on with it.
OWNER = $(shell stat -c %U $(firstword $(wildcard $(BUILD)) .))
AS_OWNER = $(and $(filter root,$(shell id -un)),$(filter-out root UNKNOWN,$(OWNER)),runuser -u $(OWNER) --)
MAKE_ALL = $(AS_OWNER) $(MAKE) --no-print-directory all

.PHONY: all deps build-deps demo check bench fmt lint fuzz analysis coverage install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) programs

$(BUILD)/build.ninja:
	@echo "Configuring $(BUILD)"
	@said=$$(meson setup $(BUILD) --buildtype=release -Ddebug=true -Db_sanitize=none 2>&1) || \
		{ printf '%s\n' "$$said"; exit 1; }

deps:
	@tools/deps.sh build run test

build-deps:
	@tools/deps.sh build run

demo: build-deps
	@$(MAKE_ALL)
	@examples/demo.sh

check: deps
	tests/run --seconds $(FUZZ_SECONDS)

bench: build-deps
	@tools/deps.sh bench
	$(MAKE_ALL)
	ninja -C $(BUILD) --quiet $(BENCH)
	tests/bench/run --build $(BUILD) $(BENCHFLAGS)

fmt:
	git ls-files '*.c' '*.h' | xargs clang-format -i

lint:
	python3 tests/lint/house_rules.py

fuzz: deps
	tests/run --seconds 60 --seed 0 fuzz

analysis: deps
	tests/run build analysis
	tests/lint/analysis.py deep

coverage: deps
	tests/lint/coverage.py

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-check build-asan build-tsan build-deep build-coverage
