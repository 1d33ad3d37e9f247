# The verbs of this repository. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell scripts/version)
DEMO_FLAGS ?=
TEST_FLAGS ?=
RUN ?= .
COUNT ?= 1

export DEMO_FLAGS

# Everything is pure Go; a C compiler is never needed.
export CGO_ENABLED := 0

.PHONY: help build demo demo-down test test-fast e2e lint bench cross release-dry check clean

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

build: ## build the four programs into bin/
	@. scripts/env
	mkdir -p bin
	go build -trimpath -ldflags '-s -w -X practicectl/internal/buildinfo.version=$(VERSION)' -o bin/ ./cmd/...

demo: ## the whole story on this machine: install, back up, restore, update, roll back (DEMO_FLAGS="--store DIR")
	@scripts/prerequisites demo
	$(MAKE) build
	bin/practicectl demo up $(DEMO_FLAGS)

demo-down: build ## stop the demo and remove everything it made
	@. scripts/env
	bin/practicectl demo down

test: ## every test; as root it installs what is missing first
	@scripts/prerequisites test
	. scripts/env
	go vet ./...
	go test -timeout 25m -p 2 $(TEST_FLAGS) ./...

test-fast: ## the tests that start no server, for the inner loop
	@. scripts/env
	go test -short -timeout 2m $(TEST_FLAGS) $$(scripts/quick-packages)

e2e: ## the scripts in e2e/ against the built programs (RUN=regexp)
	@scripts/prerequisites test
	. scripts/env
	go test -timeout 12m -run '$(RUN)' $(TEST_FLAGS) ./e2e/...

lint: ## the pinned golangci-lint
	@. scripts/env
	linter=$$(scripts/tool golangci-lint)
	"$$linter" run ./...

bench: ## the benchmarks (RUN=regexp COUNT=n)
	@scripts/prerequisites bench
	. scripts/env
	go test -run '^$$' -bench '$(RUN)' -benchmem -count $(COUNT) -timeout 60m \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r -n 1 dirname | sort -u)

cross: ## compile all programs for linux, windows, darwin on amd64, arm64
	@scripts/cross

release-dry: ## build the release of HEAD as it would be published, into dist/
	@scripts/release-dry

check: ## lint, cross and test: what has to pass before a commit is shared
	@$(MAKE) lint
	@$(MAKE) cross
	@$(MAKE) test

clean: ## remove what the verbs above built in this folder
	rm -rf bin dist
