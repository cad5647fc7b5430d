# SPDX-License-Identifier: Apache-2.0
# The few commands that people type; everything else is Meson.
BUILD ?= build

.PHONY: all build deps check bench lint clean

all: build

$(BUILD)/build.ninja:
	meson setup $(BUILD) --buildtype=debugoptimized

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# As root: what is missing, from Debian's packages.
deps:
	tools/deps.sh check

# As root: all tests, on a machine that has nothing but git and make.
check: deps build
	tests/run $(BUILD)

bench: build
	$(BUILD)/tests/bench/bench_codec
	$(BUILD)/tests/bench/bench_store

lint:
	python3 tests/lint/house_rules.py

clean:
	rm -rf $(BUILD)
