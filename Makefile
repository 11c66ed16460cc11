# Everything a person does here starts with one of these targets; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory
# The steps share the cores among themselves.
.NOTPARALLEL:

# What the program runs on: embedded or redis. (Before `export`, which would define it as empty.)
ENGINE ?= embedded

export ONCE DOCS ENGINE REDIS_PORT

PREFIX ?= /usr/local
SECONDS_OF_TORTURE ?= 600
SECONDS_OF_FUZZING ?= 600
RANDOM_RUNS ?= 10000
SECONDS_OF_COHERENCE ?= 60
SECONDS_OF_LOCKS ?= 60
SECONDS_OF_EVENTS ?= 60

.PHONY: help build run dev redis-cli test test-valkey bench bench-cache demo-cache coherence torture torture-locks
.PHONY: torture-events fuzz differential lint
.PHONY: tidy-check format format-check install clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## The program, at build/millrace
	@tools/setup --for run
	@tools/build release millrace

run: ## The document pipeline (ONCE=1 ends by itself, DOCS=path reads your own, ENGINE=redis)
	@tools/setup --for run --engine $(ENGINE)
	@tools/build release millrace document_pipeline document_processor
	@examples/document_pipeline/run

dev: ## A Redis of your own and the server on it, until Ctrl-C (REDIS_PORT=N)
	@tools/setup --for run --engine redis
	@tools/build release millrace
	@tools/dev

redis-cli: ## A redis-cli on the Redis of `make dev` or `make run ENGINE=redis` (ARGS="info memory")
	@tools/dev cli $(ARGS)

test: ## Every check and test, as CI runs them; ends with one line "N passed, N failed"
	@tools/setup --for test
	@tools/test

test-valkey: ## The tests of the Redis engine on Valkey 8, which is fetched and not installed
	@tools/setup --for test
	@tools/valkey >/dev/null
	@tools/build asan engine_redis_tests redis_tests
	@MILLRACE_REDIS_SERVER=$(CURDIR)/build/valkey/valkey-server \
	  ctest --test-dir build/asan -R '^(engine_redis|redis)_' --output-on-failure --no-tests=error

bench: ## Every benchmark beside its peers
	@$(MAKE) bench-queue ENGINE=embedded
	@$(MAKE) bench-queue ENGINE=redis
	@$(MAKE) bench-sse
	@$(MAKE) bench-locks ENGINE=redis
	@$(MAKE) bench-limits ENGINE=redis
	@$(MAKE) bench-cache ENGINE=redis

bench-locks: ENGINE = redis
bench-limits: ENGINE = redis

bench-cache: ## The cache, our client of Redis and entries over HTTP beside their peers
	@tools/setup --for bench --engine redis
	@tools/build release
	@bench/cache_bench

bench-%: ## One benchmark beside its peers: bench-queue (ENGINE=redis)
	@tools/setup --for bench --engine $(ENGINE)
	@tools/build release
	@bench/$*_bench --engine $(ENGINE)

demo-cache: ## A workload on PostgreSQL without a cache and with one (ARGS="60000 32 1")
	@tools/setup --for bench
	@tools/build release cached_queries
	@examples/cached_queries/run $(ARGS)

coherence: ## Processes with a cache each, read, written, killed and cut off at random (SECONDS_OF_COHERENCE=60 a kind)
	@tools/setup --for test
	@tools/build dev cache_redis_tests
	@MILLRACE_COHERENCE_SECONDS=$(SECONDS_OF_COHERENCE) \
	  build/dev/src/cache/cache_redis_tests --gtest_filter='Coherence.*'

torture: ## Kills everything at random for ten minutes (ENGINE=redis kills Redis too)
	@tools/setup --for run --engine $(ENGINE)
	@tools/build release millrace
	@tools/torture --engine $(ENGINE) --seconds $(SECONDS_OF_TORTURE)

torture-locks: ## Pauses and kills holders of locks for a minute, and checks every grant (ENGINE=redis kills Redis too)
	@tools/setup --for run --engine $(ENGINE)
	@tools/build release millrace
	@tools/torture_locks --engine $(ENGINE) --seconds $(SECONDS_OF_LOCKS)

torture-events: ## Kills servers for a minute while 200 clients each follow events (ENGINE=redis: two servers, and kills Redis too)
	@tools/setup --for run --engine $(ENGINE)
	@tools/build release millrace
	@tools/torture_events --engine $(ENGINE) --seconds $(SECONDS_OF_EVENTS)

fuzz: ## Every fuzzer for ten minutes
	@tools/setup --for test
	@tools/build fuzz
	@tools/fuzz --build build/fuzz --seconds $(SECONDS_OF_FUZZING)

differential: ## Ten thousand random runs on every engine, compared with the model
	@tools/setup --for test
	@tools/build dev engine_embedded_tests
	@MILLRACE_DIFFERENTIAL_RUNS=$(RANDOM_RUNS) \
	  build/dev/src/engine_embedded/engine_embedded_tests --gtest_filter='*Differential*'

lint: ## clang-tidy over every source
	@tools/setup --for test
	@tools/build dev
	@tools/lint --all

tidy-check: ## Our own style and layer rules
	@tools/tidy

format: ## Rewrites the C++ sources with clang-format
	@tools/format

format-check: ## Says which C++ sources clang-format would change
	@tools/format --check

install: build ## Installs the program, the library and its headers under PREFIX
	@tools/build release
	@cmake --install build/release --prefix $(PREFIX)

clean: ## Removes everything that was built
	@rm -rf build
