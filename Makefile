# `make` prints what there is. `make check` is exactly what the project's CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# The linters are Go tools of a module of their own, so that their 200 dependencies stay out of Stile's go.mod.
# The first use builds them (about two minutes on two cores); after that they come from Go's build cache.
TOOL := $(GO) tool -modfile=tools/go.mod
# The race detector needs cgo. The program itself is built without.
export CGO_ENABLED ?= 1

FUZZTIME ?= 60s
BENCH ?= .
BENCHTIME ?= 1s
SEEDS ?= 100000
ROUNDS ?= 200

.PHONY: help run build extension test check deps tools fmt vet lint vuln rooms types bench sim soak fuzz clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run the demo: everything on loopback, in a temporary directory
	$(GO) run ./cmd/stile demo

build: ## build bin/stile, without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/stile ./cmd/stile

extension: ## build extension/dist from extension/src
	$(GO) run ./extension/build

test: deps ## install what the tests need (or say what is missing), and run all of them
	$(GO) test -race -timeout 40m ./...

check: fmt vet lint vuln rooms types test ## what CI runs: format, vet, linters, known vulnerabilities, the rooms, TypeScript's types, all tests

deps: ## install the Debian packages that the tests need; without root, name the missing ones and fail
	@tools/deps

tools: ## build the linters now
	@$(TOOL) golangci-lint version
	@$(TOOL) govulncheck -version

fmt: # fails with the names of the files that gofmt would change; `gofmt -w .` changes them
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then printf 'gofmt would change:\n%s\n' "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

lint: ## the linters of .golangci.yml
	$(TOOL) golangci-lint run ./...

vuln: ## known vulnerabilities in what the program calls
	@tools/vuln $(TOOL) govulncheck ./...

rooms: ## the rules of doc/architecture.md: who imports whom, what is documented, what is depended on
	$(GO) test ./internal

types: deps ## the types of the TypeScript in extension and web
	@for dir in extension web; do tools/npm/node_modules/@typescript/typescript-*/lib/tsc --project $$dir; done

bench: ## all benchmarks, without tests; BENCH=regexp and BENCHTIME=3s choose
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./...

sim: ## the simulator of key distribution, 100,000 seeds; SEEDS=n chooses
	$(GO) test -run '^TestSimulator$$' -v -timeout 120m ./feed -sim.seeds $(SEEDS)

soak: ## kill -9 of either side, 200 rounds on each engine, and an outage of ten minutes; ROUNDS=n chooses
	STILE_TEST_CRASH_ROUNDS=$(ROUNDS) STILE_TEST_OUTAGE=10m $(GO) test -run '^(TestKillLosesNothing|TestUsageIsBookedOnceThroughKills|TestANodeOutlivesAnOutage)$$' -v -timeout 240m ./cli

fuzz: ## every fuzz target for FUZZTIME (60s)
	@tools/fuzz $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin
