# make demo   the main job on a simulated fleet, no server needed
# make test   everything that CI checks
# HACKING.md tells about the others.

export CGO_ENABLED ?= 0
GO     ?= go
BIN    := bin
LINT   := $(BIN)/golangci-lint
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: all build man docs dist dist-test vulncheck demo test setup vet check-rename lint unit fmt bench bench-compare bench-clients bench-peers fuzz fuzz-long soak chaos crashtest clean

all: build

build:
	$(GO) build -trimpath -ldflags '-X shoal/internal/cli/console.Version=$(VERSION)' -o $(BIN)/ ./cmd/shoal ./cmd/shoal-bench ./cmd/shoal-hub

# The manual, as packages install it.
man: build
	$(BIN)/shoal docs man $(BIN)/man
	$(BIN)/shoal-bench docs man $(BIN)/man
	$(BIN)/shoal-hub docs man $(BIN)/man

# The manual, the table of reasons, and the examples of the pages, run.
docs: man
	$(GO) test ./docs
	$(GO) test -run 'TestPages|OfDocuments' ./internal/cli

# What a release has: packaging/dist says more.
dist:
	packaging/dist dist

dist-test:
	$(GO) test -count=1 -v ./packaging -services
	cd tools && $(GO) test ./components

vulncheck:
	cd tools && $(GO) run golang.org/x/vuln/cmd/govulncheck -C .. ./...

demo: build
	$(BIN)/shoal demo

test: setup vet check-rename lint unit

setup:
	scripts/setup

# The second line keeps everything compiling for other systems; the real servers
# of the tests are for Linux.
vet:
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

# scripts/rename-module, tried on a copy of the tree.
check-rename:
	scripts/check-rename

# scripts/faults compares docs/faults.md with the tests that name its rows.
lint: $(LINT)
	scripts/faults
	$(LINT) run ./...

$(LINT): tools/go.mod tools/go.sum
	$(GO) build -modfile=tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# The race detector needs cgo; the program does not. It makes SQLite take minutes
# to compile, once: Go keeps it. The sequences are too many for it, and so are the 10,000
# hosts of a page, and the processes of the chaos runs; browsers are the same with it and without. Without GORACE each program that
# the tests run would wait for a second when it ends.
unit:
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=50 scripts/slowest $(GO) test -race -timeout 20m ./...
	$(GO) test -run '^TestSequences$$' ./internal/engine -sequences 100000
	$(GO) test -count=1 -parallel 8 ./internal/cluster/chaostest
	$(GO) test -run 'Browser|SizeOfThePage' ./internal/report ./internal/web ./internal/bench/chart
	cd tools && $(GO) test ./components

fmt: $(LINT)
	$(LINT) fmt ./...

# BENCH chooses benchmarks by their names, PKG the packages.
BENCH ?= .
PKG   ?= ./...
bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

# The working tree beside BASE, COUNT rounds in turn.
BASE  ?= HEAD
COUNT ?= 10
bench-compare:
	scripts/bench-compare '$(BASE)' '$(BENCH)' '$(COUNT)' $(PKG)

# CLIENTS are flags of internal/bench/sshclients: CLIENTS='--only cpu --quick'.
CLIENTS ?=
bench-clients: build
	$(GO) build -trimpath -o $(BIN)/clients ./internal/bench/sshclients
	$(BIN)/clients $(CLIENTS)

# PEERS are flags of internal/bench/tools: PEERS=--quick, PEERS='--sizes 50,500'.
PEERS ?=
bench-peers: build
	internal/bench/tools/install
	$(GO) build -trimpath -o $(BIN)/peers ./internal/bench/tools
	internal/bench/tools/run $(BIN)/peers $(PEERS)

# FUZZTIME is spent on each target.
FUZZTIME ?= 20s
fuzz:
	scripts/fuzz $(FUZZTIME)

# Ten minutes for each target: some hours.
fuzz-long:
	scripts/fuzz 10m

# Runs over a fleet of 10,000, good and bad, for MINUTES, and a watch as long; then the crash tests.
MINUTES ?= 10
soak: build
	scripts/soak $(MINUTES)
	scripts/soak-watch $(MINUTES)
	scripts/soak-held $(MINUTES)
	scripts/crashtest
	scripts/chaos

# Runs on workers with random faults: RUNS runs of HOSTS hosts, FAULTS faults in each.
chaos:
	scripts/chaos

# kill -9 and signals at random times and at each write of the journal: KILLS,
# WRITES (0 for each) and SIGNALS say how often, SSHD over real servers, and COPIES of files.
crashtest:
	scripts/crashtest

clean:
	rm -rf $(BIN)
