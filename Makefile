# flanneld: build, check, measure, release, install. `make` alone lists targets.

SHELL       := /bin/bash -o pipefail
PREFIX      ?= /usr/local
DESTDIR     ?=
# A tag names the version, else the release that is being prepared does.
RELEASE     := 0.2.0
VERSION     ?= $(or $(patsubst v%,%,$(shell git describe --tags --dirty --match 'v[0-9]*' 2>/dev/null)),$(RELEASE))
FUZZTIME    ?= 1s
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
AWAY        ?= 300
KERNELS     ?=
STEPS       ?=
STATES      ?=
PICTURES    ?=
SHORTCUT    ?=
BENCH_JSON  ?= bin/bench.json
BINARY      := bin/flanneld
MANPAGES    := bin/man
BINDIR      ?= $(PREFIX)/bin
SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
MANDIR      ?= $(PREFIX)/share/man/man8
BASHDIR     ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR      ?= $(PREFIX)/share/zsh/site-functions
SHAREDIR    ?= $(PREFIX)/share/flanneld
# Where container runtimes look for CNI plugins.
CNI_BINDIR  ?= /opt/cni/bin
FISHDIR     ?= $(PREFIX)/share/fish/vendor_completions.d
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

ARCHITECTURES ?= amd64 arm64
RELEASE_DIR   ?= bin/release

# Programs of others, each in a fixed version, built once into a cache. go.mod
# does not name them: the program does not depend on them. nfpm 2.46 and newer
# need a module that the public module proxy does not serve.
TOOLBIN := $(or $(XDG_CACHE_HOME),$(or $(HOME),/root)/.cache)/flanneld-lab/tools
define TOOL
$(1) := $(TOOLBIN)/$(notdir $(2))@$(3)/$(notdir $(2))
$(TOOLBIN)/$(notdir $(2))@$(3)/$(notdir $(2)):
	GOBIN=$$(@D) go install -trimpath $(2)@$(3)
endef
$(eval $(call TOOL,NFPM,github.com/goreleaser/nfpm/v2/cmd/nfpm,v2.45.2))
$(eval $(call TOOL,CYCLONEDX,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod,v1.10.0))
$(eval $(call TOOL,GOLANGCI_LINT,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,v2.15.0))
$(eval $(call TOOL,ACTIONLINT,github.com/rhysd/actionlint/cmd/actionlint,v1.7.12))
$(eval $(call TOOL,GOVULNCHECK,golang.org/x/vuln/cmd/govulncheck,v1.9.0))

# No suite of Debian has Docker 29. Its modules are built for make docker29.
MOBY     := v2.0.0-beta.24
RUNC     := v1.3.5
DOCKER29 := $(TOOLBIN)/docker29@$(MOBY)

# What dates a release: the last commit, or without git the changelog.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export SOURCE_DATE_EPOCH

# What the tests call, and the Debian package that has it.
TOOLS := ip:iproute2 ethtool:ethtool iptables:iptables nft:nftables ping:iputils-ping tcpdump:tcpdump iperf3:iperf3 \
         busybox:busybox-static dockerd:docker.io containerd:containerd runc:runc \
         qemu-system-x86_64:qemu-system-x86 debootstrap:debootstrap mke2fs:e2fsprogs tc:iproute2 \
         gcc:gcc systemd-analyze:systemd pgrep:procps nsenter:util-linux setpriv:util-linux tar:tar \
         dpkg-deb:dpkg xz:xz-utils /usr/lib/cni/bridge:containernetworking-plugins

# Debian's prometheus is large and would run at once: it is unpacked into a folder.
PROMETHEUS := $(TOOLBIN)/prometheus

# A target's comment is: user or root, minutes | what. The groups are the lines with ##@.
# "root" targets install what they need with apt.
.DEFAULT_GOAL := help
.PHONY: help build tools deps demo check test vet format lint bpf vulnerabilities cross unit raceless race fuzz units e2e long deb-test kernel \
        containers docker29 observability page kernels kubernetes bench soak hash torture figures virtual scale sim sealed seal-model man release install uninstall clean

help: ## user, 0 | this list
	@echo "flanneld $(VERSION). Start with: make check, make demo, make test."
	@awk 'BEGIN { print "\n  target           as    min   what (min: on 2 processors)" } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		match($$0, /^[a-z0-9-]+:.*## /) { \
			name = $$0; sub(/:.*/, "", name); sub(/^.*## /, ""); split($$0, part, " [|] "); split(part[1], cost, ", "); \
			printf "  %-16s %-5s %-5s %s\n", name, cost[1], cost[2], part[2] }' $(firstword $(MAKEFILE_LIST))
	@echo; echo "Variables (make test FUZZTIME=1m):"
	@echo "PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) VERSION=$(VERSION) ARCHITECTURES=\"$(ARCHITECTURES)\" RELEASE_DIR=$(RELEASE_DIR) FUZZTIME=$(FUZZTIME)" \
		"MINUTES=$(MINUTES) BYTES=$(BYTES) KILLS=$(KILLS) PAUSES=$(PAUSES) BOOT_DELAY=$(BOOT_DELAY) HOURS=$(HOURS)" \
		"RUNS=$(RUNS) SEED=$(SEED) NODES=$(NODES) AWAY=$(AWAY) KERNELS=$(KERNELS) STEPS=$(STEPS) STATES=$(STATES) PICTURES=$(PICTURES) ROUNDS=$(ROUNDS) BENCH=$(BENCH) SHORTCUT=$(SHORTCUT)" \
		"BENCH_JSON=$(BENCH_JSON) RUN=$(RUN)" | fold -s -w 96 | sed 's/^/  /'
	@echo "docs/testing.md says what each test proves."

##@ Daily

build: ## user, <1 | bin/flanneld, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./cmd/flanneld

check: format vet unit ## user, 1 | format, vet, import laws, and all tests without root and network

lint: $(GOLANGCI_LINT) $(ACTIONLINT) ## user, 2 | golangci-lint and actionlint, in fixed versions
	@echo "== golangci-lint"
	$(GOLANGCI_LINT) run
	@echo "== workflow files"
	$(ACTIONLINT) .github/workflows/*.yml

demo: tools ## root, 1 | three hosts on this machine, with containers
	@go run ./test/demo

test: deps vet format cross raceless race fuzz units e2e kernel ## root, <35 | everything that has to pass before a change is merged
	@echo "== everything passed"

clean: ## user, 0 | remove what was built
	rm -rf bin

##@ Parts of test

tools: ## root, 1 | install the programs that tests need (apt)
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

deps: tools $(NFPM) $(CYCLONEDX) ## root, 2 | the same, and fetch Debian systems, once a month
	@dist/testdata/debian.sh >/dev/null & \
	go run ./test/kernels -fetch bookworm && wait $$!

format: ## user, <1 | check formatting
	@echo "== gofmt"
	@files=$$(gofmt -l cmd dist encap internal peers route test tun); \
	test -z "$$files" || { echo "not formatted:" $$files >&2; exit 1; }

# All tests that are not part of go test ./...
TAGS = e2e containers docker29 kubernetes observability page sealed
vet: ## user, 2 | go vet, with and without the end-to-end tests
	@echo "== go vet"
	go vet ./...
	go vet -tags '$(TAGS)' ./...
	go vet -tags man ./cmd/flanneld

cross: build ## user, 1 | build for other platforms
	@echo "== builds for other platforms"
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build ./...

unit: ## user, 1 | tests that need neither root nor network
	@echo "== tests without root"
	go test ./...

# The race detector of Go 1.26 ends programs that use testing/synctest. Packages
# with such tests run without it as well.
RACELESS = $(shell grep -rl --include='*_test.go' '^//go:build.*!race' . | xargs -n1 dirname | sort -u)
raceless: ## user, 1 | of these, packages with tests that need it off
	@echo "== tests in virtual time, without root"
	go test $(RACELESS)

# Package test reads the source and has no goroutines; the end-to-end tests run
# it as well.
race: ## user, 6 | the tests without root, under the race detector
	@echo "== tests with the race detector"
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -vx flanneld/test)

# When the time of -fuzztime is over, Go's coordinator now and then takes its own
# deadline for a failure (it looks at a context after the end of its parent).
# Then nothing else is said, and no failing input is named: that counts as found
# nothing.
#
# A package is built with the fuzzer's counters once for all its targets. Two
# packages are in the works at a time: a build keeps one processor busy.
FUZZED = $(shell grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u)
fuzz: ## user, 2 | every fuzz target for FUZZTIME
	@echo "== fuzzing, $(FUZZTIME) each"
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix fuzz/,$(FUZZED))

fuzz/%:
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && cache=$$(go env GOCACHE)/fuzz && \
	go test -c -fuzz . -o $$work/test $* || exit 1; \
	for target in $$($$work/test -test.list '^Fuzz'); do \
		echo "fuzz $* $$target"; \
		if (cd $* && $$work/test -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
			-test.fuzzminimizetime 100x -test.fuzzcachedir $$cache/flanneld/$*) >$$work/log 2>&1; then \
			grep -vE '^fuzz: elapsed: [1-9]' $$work/log; \
		elif grep -q '^    context deadline exceeded$$' $$work/log && ! grep -qiE 'failing input|seed corpus|panic' $$work/log; then \
			grep '^fuzz: elapsed' $$work/log | tail -n 1; \
			echo "ended by the clock, nothing found"; \
		else \
			cat $$work/log; \
			exit 1; \
		fi; \
	done

# A prefix that exists: verify looks for the programs that a unit starts.
units: build ## user, <1 | verify the systemd units; sandbox score at most 2.5
	@echo "== systemd units"
	@tree=$$(mktemp -d) && trap 'rm -rf "$$tree"' EXIT && \
	$(MAKE) --no-print-directory -s install DESTDIR= PREFIX=$$tree SYSCONFDIR=$$tree/etc && \
	systemd-analyze verify --man=no --recursive-errors=no $$tree/lib/systemd/system/flanneld.service && \
	systemd-analyze security --no-pager --offline=true --threshold=25 $$tree/lib/systemd/system/flanneld.service | tail -n 1

E2E_PACKAGES = $(shell grep -rl --include='*_test.go' '^//go:build .*e2e' . | xargs -n1 dirname | sort -u)
# Most of the time a test waits, so several packages run at a time. Scenarios
# that count each packet have the machine for themselves.
SCENARIOS = ./test/e2e ./test/faults
# The names of tests, and of subtests as TEST/SUBTEST, that make long runs.
LONG = $(shell sed -n '/^.. Long tests/,/^.. Search/p' docs/testing.md | grep -o '`Test[^`]*`' | tr -d '`')
LONG_PATTERN = $(subst $() ,|,$(foreach test,$(LONG),^$(subst /,$$/^,$(test))$$))
E2E = FLANNELD_TEST_BOOT_DELAY=$(BOOT_DELAY) FLANNELD_TEST_SHORTCUT=$(SHORTCUT) go test -tags e2e -count=1 -v -timeout 40m
QUIETER = grep --line-buffered -vE '^=== (RUN|PAUSE|CONT|NAME)'
RUN ?= .
SKIP = $(if $(filter .,$(RUN)),-skip '$(LONG_PATTERN)')
e2e: ## root, <20 | end-to-end tests; RUN=REGEXP, SHORTCUT=off|switch
	@echo "== end-to-end tests$(if $(SKIP),; make long has: $(LONG))"
	$(E2E) -p 3 -parallel 4 -run '$(RUN)' $(SKIP) $(filter-out $(SCENARIOS),$(E2E_PACKAGES)) | $(QUIETER)
	$(E2E) -p 1 -parallel 4 -run '$(RUN)' $(SKIP) $(SCENARIOS) | $(QUIETER)

long: ## root, 30 | the end-to-end tests that make test leaves out, as they take longest
	@echo "== long end-to-end tests: $(LONG)"
	$(E2E) -p 1 -parallel 4 -run '$(LONG_PATTERN)' $(E2E_PACKAGES) | $(QUIETER) | grep --line-buffered -v 'no tests to run'

# A system that is missing is made at the first run, and kept for a month.
kernel: ## root, 6 | what touches the kernel, on Debian 12's, under qemu
	@echo "== Debian 12's kernel"
	go run ./test/kernels -short -limit 15m bookworm

##@ Measure and search

bench: ## root, 11 | all paths side by side; BENCH=-help lists flags
	@mkdir -p $(dir $(BENCH_JSON)) bin
	@go build -o bin/bench ./test/bench
	@exec bin/bench -version $(VERSION) -rounds $(ROUNDS) -json $(BENCH_JSON) -chart $(basename $(BENCH_JSON)).svg $(BENCH)

figures: ## root, >5 | times of claims, changes, deaths, cuts; 10 and 30 nodes
	@go run ./test/figures

hash: ## root, any | BYTES over a bad underlay, offloads mixed, short-cut switched
	FLANNELD_HASH_BYTES=$(BYTES) go test -tags e2e -count=1 -v -timeout 0 -run '^TestHash' ./test/e2e

# Scenarios that need larger programs, or minutes.
containers: tools ## root, 4 | compose, podman and other runtimes, in full; RUN=REGEXP
	@command -v docker-compose >/dev/null || { \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker-compose; }
	go test -tags 'e2e containers' -count=1 -v -timeout 30m -run '$(RUN)' ./test/containers | $(QUIETER)

docker29: tools ## root, 15 | Docker 29 with its nftables backend; the first run builds it
	CGO_ENABLED=0 GOBIN=$(DOCKER29) go install -trimpath -tags exclude_graphdriver_btrfs \
		-ldflags '-X github.com/moby/moby/v2/dockerversion.Version=29-$(MOBY)' github.com/moby/moby/v2/cmd/dockerd@$(MOBY)
	GOBIN=$(DOCKER29) go install -trimpath github.com/opencontainers/runc@$(RUNC)
	FLANNELD_TEST_DOCKER29=$(DOCKER29) go test -p 1 -tags 'e2e docker29' -count=1 -v -run 'WithNFTables$$' ./test/e2e ./test/containers

observability: tools ## root, 1 | alert rules, dashboard and metrics in Debian's Prometheus
	@test -x $(PROMETHEUS)/usr/bin/prometheus || { \
		echo "deps: unpacking Debian's prometheus into $(PROMETHEUS)" && mkdir -p $(PROMETHEUS) && cd $(PROMETHEUS) && \
		apt-get update -q && apt-get -q -o APT::Sandbox::User=root download prometheus && \
		dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb; }
	FLANNELD_TEST_PROMETHEUS=$(PROMETHEUS)/usr/bin \
		go test -tags 'e2e observability' -count=1 -v -run '^Test(AlertRules|Prometheus)' ./test/e2e

# axe-core checks that a keyboard and a screen reader can use the page.
AXE := $(TOOLBIN)/axe-core@4.14.1
page: tools ## root, 22 | the page in Debian's Chromium; PICTURES=DIRECTORY keeps pictures
	@for pair in chromium:chromium npm:npm; do \
		command -v $${pair%%:*} >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $${pair##*:} fonts-dejavu-core; \
	done
	@test -e $(AXE)/package/axe.min.js || { mkdir -p $(AXE) && cd $(AXE) && npm pack --silent axe-core@4.14.1 && tar -xzf axe-core-4.14.1.tgz; }
	$(if $(PICTURES),@mkdir -p $(PICTURES))
	FLANNELD_TEST_CHROMIUM=$$(command -v chromium) FLANNELD_TEST_AXE=$(AXE)/package/axe.min.js FLANNELD_TEST_PICTURES=$(abspath $(PICTURES)) \
		go test -tags page -count=1 -v -timeout 40m -run '$(RUN)' ./test/page | $(QUIETER)

kernels: ## root, >30 | KERNELS (5.10 6.1 6.12; or newest), all or STEPS=a,b
	go run ./test/kernels -steps '$(STEPS)' $(KERNELS)

# Kubernetes is built once, into the cache. All logs are in bin/kubernetes.
kubernetes: tools ## root, 10 | a real cluster; AWAY=SECONDS without API server
	@rm -rf bin/kubernetes && mkdir -p bin/kubernetes
	FLANNELD_KUBERNETES_AWAY=$(AWAY) FLANNELD_KUBERNETES_LOGS=$(CURDIR)/bin/kubernetes \
	go test -tags kubernetes -count=1 -v -timeout 90m -run '$(RUN)' ./test/kubernetes | $(QUIETER)

soak: ## root, 30 | traffic and random restarts for MINUTES
	FLANNELD_SOAK_MINUTES=$(MINUTES) go test -tags e2e -count=1 -v -timeout 0 -run '^TestSoak$$' ./test/e2e

torture: ## root, any | long cuts, KILLS kills, PAUSES pauses; SEED=N, RUN=REGEXP
	FLANNELD_FAULTS_KILLS=$(KILLS) FLANNELD_FAULTS_PAUSES=$(PAUSES) FLANNELD_FAULTS_PAUSE=30 FLANNELD_FAULTS_CUT=60 FLANNELD_FAULTS_SEED=$(SEED) \
	go test -tags e2e -count=1 -v -parallel 4 -timeout 0 -run '$(RUN)' ./test/faults | grep --line-buffered -vE '^=== (RUN|PAUSE|CONT|NAME)'

virtual: ## user, 2 | memberlist in virtual time: a cut of HOURS, 100 starts
	FLANNELD_VIRTUAL_HOURS=$(HOURS) FLANNELD_VIRTUAL_NODES=100 go test -count=1 -v -timeout 0 \
		-run '^Test(TablesAreEqual|OnlyTheLarger|MassStart|RollingRestarts|NodesMove|NameAndAddress|AllStopped)' ./peers \
		| grep --line-buffered -vE '^=== (RUN|PAUSE|CONT|NAME)'

scale: ## user, >1 | networks of NODES="3 25 100" in one process
	FLANNELD_SCALE="$(or $(NODES),3 25 100)" go test -count=1 -v -timeout 0 -run '^Test(Figures|ClaimTimes)$$' ./peers | grep --line-buffered -E 'nodes:|claims|^(---|ok|FAIL)'

# make sim RUNS=1000000 searches a million schedules from SEED on; without RUNS
# the schedule SEED is played with everything that happens in it. NODES sets the
# size of the network; 1000 of them measure instead (make sim NODES=1000).
# LIARS=1 adds a stranger and a lying member to a search or a replay; YEAR=1 lets
# a year pass in which a hundred hosts a day are replaced.
SIM = go test -count=1 -timeout 0 ./peers/internal/core/sim
sim: ## user, any | simulated leases: RUNS=N search, SEED=N replay, NODES=N size
	@if test -n "$(YEAR)"; then $(SIM) -v -run '^TestYear$$' -args -year | grep -v '^=== '; \
	elif test -n "$(RUNS)"; then $(SIM) -v -run '^TestSearch$$' -args -seed $(or $(SEED),1) -runs $(RUNS) -nodes $(or $(NODES),0) $(if $(LIARS),-liars) | grep -v '^=== '; \
	elif test $(or $(NODES),0) -ge 100; then $(SIM) -v -run '^TestFigures$$' -args -nodes $(NODES) | grep -v '^=== '; \
	else $(SIM) -v -run '^TestReplay$$' -args -seed $(or $(SEED),1) -nodes $(or $(NODES),0) $(if $(LIARS),-liars) | grep -v '^=== '; fi

# The objects depend on the version of clang, which object.sum names.
bpf: ## user, <1 | compile the programs again, and compare (clang, libbpf-dev)
	@echo "== programs of the short-cut"
	internal/host/shortcut/generate.sh
	git diff --exit-code --stat -- internal/host/shortcut

SEALED = FirstPacket|RekeyUnder|MillionGarbage|SealedTrafficOver|CloneOfASealed|SealedHost(Moves|Comes)|FloodOfHandshakes
sealed: tools ## root, 5 | sealed networks: loss, floods, moves, clones, rekeys, first packet
	go test -p 1 -tags 'e2e sealed' -count=1 -v -timeout 20m -parallel 2 -run '^Test($(SEALED))' ./test/e2e | $(QUIETER)

seal-model: ## user, 1 | keys of sealed packets: search STATES=15000 states with an attacker
	FLANNELD_SEAL_STATES=$(or $(STATES),15000) go test -count=1 -v -timeout 0 -run '^TestModel' ./internal/seal | grep -v '^=== '

vulnerabilities: $(GOVULNCHECK) ## user, 1 | govulncheck: known vulnerabilities (asks vuln.go.dev)
	$(GOVULNCHECK) ./...

##@ Release and install

man: ## user, <1 | manual pages, in bin/man
	@rm -rf $(MANPAGES)
	go run -trimpath -ldflags "-X main.version=$(VERSION)" -tags man ./cmd/flanneld $(MANPAGES)

release: $(NFPM) $(CYCLONEDX) ## user, 1 | tarballs, .deb, SBOM, checksums in bin/release
	@VERSION="$(VERSION)" ARCHITECTURES="$(ARCHITECTURES)" NFPM="$(NFPM)" CYCLONEDX="$(CYCLONEDX)" dist/release.sh $(RELEASE_DIR)

deb-test: ## root, 1 | install, upgrade, remove, purge the .deb in a booted Debian
	go test -tags e2e -count=1 -v -run '^TestDeb' ./dist

install: build man ## root, <1 | put everything in place; honors DESTDIR and PREFIX
	install -D -m 0755 $(BINARY) $(DESTDIR)$(BINDIR)/flanneld
	install -d $(DESTDIR)$(UNITDIR)/docker.service.d
	sed -e 's|@BINDIR@|$(BINDIR)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' dist/flanneld.service.in >$(DESTDIR)$(UNITDIR)/flanneld.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/flanneld.service
	install -m 0644 dist/docker-flanneld.conf $(DESTDIR)$(UNITDIR)/docker.service.d/flanneld.conf
	install -d $(DESTDIR)$(MANDIR) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	install -m 0644 $(MANPAGES)/*.8 $(DESTDIR)$(MANDIR)
	$(BINARY) completion bash >$(DESTDIR)$(BASHDIR)/flanneld
	$(BINARY) completion zsh >$(DESTDIR)$(ZSHDIR)/_flanneld
	$(BINARY) completion fish >$(DESTDIR)$(FISHDIR)/flanneld.fish
	install -d $(DESTDIR)$(CNI_BINDIR)
	ln -sfn $(BINDIR)/flanneld $(DESTDIR)$(CNI_BINDIR)/flanneld-cni
	install -D -m 0644 -t $(DESTDIR)$(SHAREDIR) dist/10-flanneld.conflist
	install -D -m 0644 -t $(DESTDIR)$(SHAREDIR)/prometheus dist/prometheus/flanneld.rules.yml dist/prometheus/flanneld.dashboard.json
	install -D -m 0644 dist/rt_protos.d/flanneld.conf $(DESTDIR)$(SYSCONFDIR)/iproute2/rt_protos.d/flanneld.conf
	@if test -e $(DESTDIR)$(SYSCONFDIR)/default/flanneld; then \
		echo "$(DESTDIR)$(SYSCONFDIR)/default/flanneld is there and stays as it is"; \
	else \
		install -D -m 0644 dist/flanneld.default $(DESTDIR)$(SYSCONFDIR)/default/flanneld; \
	fi
	@if test -z "$(DESTDIR)" -a $(SYSCONFDIR) = /etc -a -d /run/systemd/system; then systemctl daemon-reload; fi

uninstall: ## root, <1 | remove what install put there; settings and leases stay
	@if test -z "$(DESTDIR)" -a -d /run/systemd/system && systemctl is-active -q flanneld; then \
		echo "flanneld runs: systemctl disable --now flanneld, then again" >&2; exit 1; \
	fi
	rm -f $(DESTDIR)$(BINDIR)/flanneld $(DESTDIR)$(UNITDIR)/flanneld.service $(DESTDIR)$(UNITDIR)/docker.service.d/flanneld.conf
	rm -f $(DESTDIR)$(SYSCONFDIR)/iproute2/rt_protos.d/flanneld.conf
	rm -f $(DESTDIR)$(CNI_BINDIR)/flanneld-cni $(DESTDIR)$(SHAREDIR)/10-flanneld.conflist
	rm -f $(DESTDIR)$(SHAREDIR)/prometheus/flanneld.rules.yml $(DESTDIR)$(SHAREDIR)/prometheus/flanneld.dashboard.json
	rm -f $(DESTDIR)$(MANDIR)/flanneld.8 $(DESTDIR)$(MANDIR)/flanneld-*.8
	rm -f $(DESTDIR)$(BASHDIR)/flanneld $(DESTDIR)$(ZSHDIR)/_flanneld $(DESTDIR)$(FISHDIR)/flanneld.fish
	-rmdir $(DESTDIR)$(UNITDIR)/docker.service.d $(DESTDIR)$(SHAREDIR)/prometheus $(DESTDIR)$(SHAREDIR) 2>/dev/null
	@if test -z "$(DESTDIR)" -a -d /run/systemd/system; then systemctl daemon-reload; fi
	@echo "kept: $(DESTDIR)$(SYSCONFDIR)/default/flanneld and /var/lib/flanneld (this host's identity and lease)"
