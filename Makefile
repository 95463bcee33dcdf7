# flanneld: build, show, test, measure, install. `make` alone says what there is.

SHELL       := /bin/bash -o pipefail
PREFIX      ?= /usr/local
DESTDIR     ?=
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME    ?= 5s
MINUTES     ?= 30
BYTES       ?= 1e9
KILLS       ?= 2000
PAUSES      ?= 200
BOOT_DELAY  ?= 15
ROUNDS      ?= 3
BENCH       ?=
HOURS       ?= 24
RUNS        ?=
SEED        ?=
NODES       ?=
KERNELS     ?=
STEPS       ?=
BENCH_JSON  ?= bin/bench.json
BINARY      := bin/flanneld
BINDIR      ?= $(PREFIX)/bin
SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

# What the tests call, and the Debian package that has it.
TOOLS := ip:iproute2 ethtool:ethtool iptables:iptables nft:nftables ping:iputils-ping tcpdump:tcpdump iperf3:iperf3 \
         busybox:busybox-static dockerd:docker.io containerd:containerd runc:runc \
         qemu-system-x86_64:qemu-system-x86 debootstrap:debootstrap mke2fs:e2fsprogs tc:iproute2 \
         gcc:gcc systemd-analyze:systemd pgrep:procps nsenter:util-linux setpriv:util-linux tar:tar

.DEFAULT_GOAL := help
.PHONY: help build tools deps demo test vet format cross unit race fuzz units e2e kernel kernels bench soak hash torture figures virtual scale sim install uninstall clean

help: ## this list
	@echo "flanneld $(VERSION). Targets:"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) VERSION=$(VERSION) FUZZTIME=$(FUZZTIME) MINUTES=$(MINUTES) BYTES=$(BYTES) KILLS=$(KILLS) PAUSES=$(PAUSES) BOOT_DELAY=$(BOOT_DELAY) HOURS=$(HOURS) RUNS=$(RUNS) SEED=$(SEED) NODES=$(NODES) KERNELS=$(KERNELS) STEPS=$(STEPS) ROUNDS=$(ROUNDS) BENCH=$(BENCH) BENCH_JSON=$(BENCH_JSON)"

build: ## bin/flanneld, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./cmd/flanneld

tools: ## install the programs that tests need and that are missing (apt, as root)
	@missing=""; \
	for pair in $(TOOLS); do \
		command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	test -e /usr/include/stdio.h || missing="$$missing libc6-dev"; \
	missing=$$(echo $$missing | tr ' ' '\n' | sort -u | tr '\n' ' '); \
	if test -z "$${missing// }"; then echo "deps: everything is there"; exit 0; fi; \
	echo "deps: missing:" $$missing; \
	if ! command -v apt-get >/dev/null; then echo "deps: this is no Debian; install them by hand" >&2; exit 1; fi; \
	if test $$(id -u) != 0; then echo "deps: run as root: apt-get install --no-install-recommends" $$missing >&2; exit 1; fi; \
	echo "deps: installing them; docker.io starts a dockerd, as Debian has it"; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing
	@command -v docker >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker-cli
	@test -e /dev/net/tun || modprobe tun || { echo "deps: no /dev/net/tun" >&2; exit 1; }

deps: tools ## the same, and a system of Debian 12 for `make kernel` (a minute, once a month)
	@go run ./test/kernels -fetch bookworm

demo: tools ## three hosts on this machine, with containers (as root, about a minute)
	@go run ./test/demo

test: deps vet format cross unit race fuzz units e2e kernel ## everything below, in this order (as root)
	@echo "== everything passed"

vet: ## go vet, with and without the end-to-end tests
	@echo "== go vet"
	go vet ./...
	go vet -tags e2e ./...

format: ## gofmt has nothing to say
	@echo "== gofmt"
	@files=$$(gofmt -l cmd encap internal peers route test tun); test -z "$$files" || { echo "not formatted:" $$files >&2; exit 1; }

cross: build ## the module builds for other platforms
	@echo "== builds for other platforms"
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build ./...

unit: ## tests that need neither root nor network
	@echo "== tests without root"
	go test ./...

race: ## the same under the race detector
	@echo "== tests with the race detector"
	CGO_ENABLED=1 go test -race ./...

# When the time of -fuzztime is over, Go's coordinator now and then takes its own
# deadline for a failure (it looks at a context whose parent has just ended).
# Then nothing else is said, and no failing input is named: that counts as found
# nothing.
fuzz: ## every fuzz target for FUZZTIME
	@echo "== fuzzing, $(FUZZTIME) each"
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && \
	grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file _ name; do \
		target=$${name#func }; dir=$$(dirname $$file); \
		echo "fuzz $$dir $$target"; \
		if go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$dir >$$log 2>&1; then \
			grep -vE '^fuzz: elapsed: [1-9]' $$log; \
		elif grep -q '^    context deadline exceeded$$' $$log && ! grep -qiE 'failing input|seed corpus|panic' $$log; then \
			grep '^fuzz: elapsed' $$log | tail -n 1; \
			echo "ended by the clock, nothing found"; \
		else \
			cat $$log; \
			exit 1; \
		fi; \
	done

# make sim RUNS=1000000 searches a million schedules from SEED on; without RUNS
# the schedule SEED is played with everything that happens in it. NODES sets the
# size of the network; 1000 of them measure instead (make sim NODES=1000).
# LIARS=1 adds a stranger and a lying member to a search or a replay; YEAR=1 lets
# a year pass in which a hundred hosts a day are replaced.
SIM = go test -count=1 -timeout 0 ./peers/internal/core
sim: ## leases in simulated networks: RUNS=n searches, SEED=n replays, NODES=1000 measures
	@if test -n "$(YEAR)"; then $(SIM) -v -run '^TestYear$$' -args -year | grep -v '^=== '; \
	elif test -n "$(RUNS)"; then $(SIM) -v -run '^TestSearch$$' -args -seed $(or $(SEED),1) -runs $(RUNS) -nodes $(or $(NODES),0) $(if $(LIARS),-liars) | grep -v '^=== '; \
	elif test $(or $(NODES),0) -ge 100; then $(SIM) -v -run '^TestFigures$$' -args -nodes $(NODES) | grep -v '^=== '; \
	else $(SIM) -v -run '^TestReplay$$' -args -seed $(or $(SEED),1) -nodes $(or $(NODES),0) $(if $(LIARS),-liars) | grep -v '^=== '; fi

# A prefix that exists: verify looks for the programs that a unit starts.
units: build ## the systemd units are right, and sandboxed (a score of at most 2.5)
	@echo "== systemd units"
	@tree=$$(mktemp -d) && trap 'rm -rf "$$tree"' EXIT && \
	$(MAKE) --no-print-directory -s install DESTDIR= PREFIX=$$tree SYSCONFDIR=$$tree/etc && \
	systemd-analyze verify --man=no --recursive-errors=no $$tree/lib/systemd/system/flanneld.service && \
	systemd-analyze security --no-pager --offline=true --threshold=25 $$tree/lib/systemd/system/flanneld.service | tail -n 1

E2E_PACKAGES = $(shell grep -rl --include='*_test.go' '^//go:build .*e2e' . | xargs -n1 dirname | sort -u)
RUN ?= .
e2e: ## end-to-end tests, as root; RUN=Regexp picks some; BOOT_DELAY=60 is a slower cold boot
	@echo "== end-to-end tests"
	FLANNELD_TEST_BOOT_DELAY=$(BOOT_DELAY) go test -tags e2e -count=1 -v -p 1 -parallel 4 -timeout 20m -run '$(RUN)' $(E2E_PACKAGES) | grep --line-buffered -vE '^=== (RUN|PAUSE|CONT|NAME)'

# A system that is missing is made at the first run, and kept for a month.
kernel: ## what touches the kernel, on the one of Debian 12 under qemu (as root)
	@echo "== Debian 12's kernel"
	go run ./test/kernels -short -limit 10m bookworm

kernels: ## the same and more on each of KERNELS (all: 5.10 6.1 6.12); STEPS=a,b picks some
	go run ./test/kernels -steps '$(STEPS)' $(KERNELS)

soak: ## traffic and random restarts for MINUTES
	FLANNELD_SOAK_MINUTES=$(MINUTES) go test -tags e2e -count=1 -v -timeout 0 -run '^TestSoak$$' ./test/e2e

torture: ## cuts of a minute, KILLS kills, PAUSES pauses; SEED=N for the same again, RUN=Regexp picks some
	FLANNELD_FAULTS_KILLS=$(KILLS) FLANNELD_FAULTS_PAUSES=$(PAUSES) FLANNELD_FAULTS_PAUSE=30 FLANNELD_FAULTS_CUT=60 FLANNELD_FAULTS_SEED=$(SEED) \
	go test -tags e2e -count=1 -v -parallel 4 -timeout 0 -run '$(RUN)' ./test/faults | grep --line-buffered -vE '^=== (RUN|PAUSE|CONT|NAME)'

figures: ## how long claims, changes, deaths and cuts take, at 10 and 60 nodes (as root)
	@go run ./test/figures

hash: ## BYTES over a bad underlay, with every mix of offloads (as root)
	FLANNELD_HASH_BYTES=$(BYTES) go test -tags e2e -count=1 -v -timeout 0 -run '^TestHash' ./test/e2e

virtual: ## real memberlist in virtual time: a cut of HOURS, a mass start of 100
	FLANNELD_VIRTUAL_HOURS=$(HOURS) FLANNELD_VIRTUAL_NODES=100 go test -count=1 -v -timeout 0 \
		-run '^Test(TablesAreEqual|OnlyTheLarger|MassStart|RollingRestarts|NodesMove|NameAndAddress|AllStopped)' ./peers \
		| grep --line-buffered -vE '^=== (RUN|PAUSE|CONT|NAME)'

scale: ## networks of NODES nodes each ("3 25 100") in one process, in virtual time; claims in real time
	FLANNELD_SCALE="$(or $(NODES),3 25 100)" go test -count=1 -v -timeout 0 -run '^Test(Figures|ClaimTimes)$$' ./peers | grep --line-buffered -E 'nodes:|claims|^(---|ok|FAIL)'

# Its own process, so that an interrupted make interrupts it and nobody between.
bench: ## all paths side by side (as root, up to 11 minutes); BENCH=-help lists flags
	@mkdir -p $(dir $(BENCH_JSON)) bin
	@go build -o bin/bench ./test/bench
	@exec bin/bench -version $(VERSION) -rounds $(ROUNDS) -json $(BENCH_JSON) -chart $(basename $(BENCH_JSON)).svg $(BENCH)

install: build ## program, units, settings; honours DESTDIR and PREFIX
	install -D -m 0755 $(BINARY) $(DESTDIR)$(BINDIR)/flanneld
	install -d $(DESTDIR)$(UNITDIR)/docker.service.d
	sed -e 's|@BINDIR@|$(BINDIR)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' dist/flanneld.service.in >$(DESTDIR)$(UNITDIR)/flanneld.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/flanneld.service
	install -m 0644 dist/docker-flanneld.conf $(DESTDIR)$(UNITDIR)/docker.service.d/flanneld.conf
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(BINARY) completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/flanneld
	@if test -e $(DESTDIR)$(SYSCONFDIR)/default/flanneld; then \
		echo "$(DESTDIR)$(SYSCONFDIR)/default/flanneld is there and stays as it is"; \
	else \
		install -D -m 0644 dist/flanneld.default $(DESTDIR)$(SYSCONFDIR)/default/flanneld; \
	fi
	@if test -z "$(DESTDIR)" -a $(SYSCONFDIR) = /etc -a -d /run/systemd/system; then systemctl daemon-reload; fi

uninstall: ## what install put there; settings and leases stay
	@if test -z "$(DESTDIR)" -a -d /run/systemd/system && systemctl is-active -q flanneld; then \
		echo "flanneld runs: systemctl disable --now flanneld, then again" >&2; exit 1; \
	fi
	rm -f $(DESTDIR)$(BINDIR)/flanneld $(DESTDIR)$(UNITDIR)/flanneld.service
	rm -f $(DESTDIR)$(UNITDIR)/docker.service.d/flanneld.conf $(DESTDIR)$(PREFIX)/share/bash-completion/completions/flanneld
	-rmdir $(DESTDIR)$(UNITDIR)/docker.service.d 2>/dev/null
	@if test -z "$(DESTDIR)" -a -d /run/systemd/system; then systemctl daemon-reload; fi
	@echo "kept: $(DESTDIR)$(SYSCONFDIR)/default/flanneld and /var/lib/flanneld (this host's identity and lease)"

clean: ## remove what was built
	rm -rf bin
