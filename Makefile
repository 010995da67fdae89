# make run starts a demo, make test tests it; make help lists all targets.

GO       ?= go
TOOL      = $(GO) tool -modfile=.ci/tools/go.mod
FUZZTIME ?= 20s
TIMEOUT  ?= 60m
PARALLEL ?= 4
SOAK     ?= 30m
FAULTS   ?= 10m
RUN_AS   ?= capabilities
PLOT     ?= $(CURDIR)/bin/scale.svg

PHP_RELEASE   ?= trixie
CADDY_VERSION ?= latest
DIST          ?= dist
IMAGE         ?= caddy-php-pool

export GO

# The race detector needs Caddy to be compiled once more, so make test uses it
# only where Caddy is not imported.
RACED      = ./fastcgi/... ./phpbin/... ./pool/... $(addprefix ./caddymodule/,doctor fpmstatus opcache spool)
WITH_CADDY = . ./internal/... $(filter-out $(RACED),$(patsubst $(shell $(GO) list -m)/%,./%,$(shell $(GO) list ./caddymodule/...)))

# The packages of e2e that make test runs. Each builds a Caddy unless it gets one.
E2E        = ./e2e ./e2e/fpm ./e2e/parity ./e2e/webservers ./e2e/security
E2E_TEST   = $(GO) test -count=1 -timeout $(TIMEOUT) -p 1 -parallel $(PARALLEL)
CADDY      = -caddy $(CURDIR)/bin/caddy
AS_ROOT    = $(if $(filter-out 0,$(shell id -u)),-exec "sudo -E")
# The tests of make test-caddy: they do not compare with php_fastcgi, which differs between versions.
SMOKE      = ^Test(Config|Routing_SymlinkedRoot|Response|Reload_KeepsWorkers|Reload_RunningRequestsFinish|ReverseProxyOptions|Command|Metrics|Stop_LeavesNoProcesses|Tracing|AccessLog)
ON_WINDOWS = ./fastcgi/... ./internal/... ./pool ./caddymodule/clients ./caddymodule/live ./caddymodule/spool
UNDER_LOAD = UnderLoad|FailureChangesNothing

.PHONY: help run build php deps deps-apps test test-short test-apps test-as test-race test-long bench bench-short bench-scale soak faults check vet vet-all lint prose fmt fuzz vuln clean go test-php test-caddy test-packages test-images test-wine deb image release

help: ## show this help
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile

run: php build ## serve Caddyfile.example on http://localhost:8080
	@bash .ci/example

build: go ## build ./bin/caddy, a Caddy with php_pool in it
	$(GO) build -o bin/ ./caddymodule/cmd/caddy

go: # fails early if Go is missing or too old
	@bash .ci/deps go

php: # php-cgi, if it is missing
	@bash .ci/deps run

deps: ## install what make test needs
	@bash .ci/deps test

deps-apps: ## install what make test-apps needs: applications, a database, a browser
	@bash .ci/deps apps

# Times are those of two fast cores with warm caches. Slow machines take four
# times as long, and building Caddy for the first time some minutes more.
test: deps check vet ## run the tests of each change, in about 7 minutes
	@echo "1/4 the packages without Caddy, with the race detector: about 1 minute"
	$(GO) test -race -shuffle=on -count=1 -timeout $(TIMEOUT) $(RACED)
	@echo "2/4 the packages with Caddy: about 1 minute"
	$(GO) test -shuffle=on -count=1 -timeout $(TIMEOUT) $(WITH_CADDY)
	@echo "3/4 allocations, which the race detector changes: seconds"
	$(GO) test -count=1 -v -run Allocat ./fastcgi ./pool
	@echo "4/4 Caddy with php-cgi, end to end: about 4 minutes"
	$(GO) build -o bin/ ./caddymodule/cmd/caddy
	$(E2E_TEST) -shuffle=on $(E2E) $(CADDY)
	$(E2E_TEST) $(AS_ROOT) ./e2e/cluster $(CADDY)
	cd e2e/examples && $(GO) test -count=1 ./...

test-short: ## run the unit tests, in less than a minute and without installing anything
	$(GO) test -short $(RACED) $(WITH_CADDY)

test-apps: deps-apps build ## run applications such as WordPress, a browser and monitoring agents, in about 5 minutes
	$(E2E_TEST) ./e2e/apps $(CADDY)
	cd e2e/apps/consumers && $(GO) test -count=1 -timeout $(TIMEOUT) ./... $(CADDY)
	cd e2e/apps/browser && $(GO) test -count=1 -timeout $(TIMEOUT) ./... $(CADDY)

test-as: deps build ## run the end-to-end tests with a Caddy that is not root: RUN_AS=capabilities or RUN_AS=confined
	$(E2E_TEST) $(AS_ROOT) $(E2E) $(if $(RUN),-run '$(RUN)') $(CADDY) -run-as $(RUN_AS)

test-race: php ## run the packages with Caddy with the race detector, in about 3 minutes
	$(GO) test -race -shuffle=on -count=1 -timeout $(TIMEOUT) $(WITH_CADDY)

test-long: test-race test-apps ## run what make test leaves out, in about 20 minutes
	@echo "end to end with a Caddy that has the race detector: about 5 minutes"
	$(GO) build -race -o bin/caddy-race ./caddymodule/cmd/caddy
	$(E2E_TEST) $(E2E) $(CADDY)-race
	@echo "load, leaks and crowds: about 5 minutes"
	$(E2E_TEST) ./e2e/soak $(CADDY) -soak 1m
	$(E2E_TEST) $(AS_ROOT) ./e2e/cluster $(CADDY) -soak 5m
	$(E2E_TEST) -run '$(UNDER_LOAD)' ./e2e $(CADDY) -soak 1m

test-php: ## run the PHP-dependent tests on the PHP of another Debian release, PHP_RELEASE
	@bash .ci/php-chroot $(PHP_RELEASE)

test-caddy: deps ## build another version of Caddy, CADDY_VERSION, with php_pool, and run some end-to-end tests with it
	@bash .ci/caddy-build $(CADDY_VERSION) bin/caddy-$(CADDY_VERSION)
	$(E2E_TEST) ./e2e -run '$(SMOKE)' $(CADDY)-$(CADDY_VERSION)

test-packages: ## make a release in a scratch directory, and use its packages in a fresh Debian, in about 20 minutes; TARGETS=linux/amd64 takes 5
	@TARGETS='$(TARGETS)' bash .ci/package-test

test-images: ## build the images of examples/container and use them, without downloading any, in about 5 minutes
	@RUN='$(RUN)' bash .ci/image-test

deb: go ## build bin/deb/caddy-php-pool_*.deb, a package of this checkout for this machine
	@rm -rf bin/deb && mkdir -p bin
	@.ci/release unreleased bin/deb linux/$$($(GO) env GOARCH)

image: go ## build the container image IMAGE, by buildah
	@.ci/image $(IMAGE)

release: go ## build what the release TAG has, in DIST
	@.ci/release $(TAG) $(DIST)

test-wine: ## run tests for Windows under Wine: packages that need no more, and a Caddy for Windows without PHP
	@bash .ci/deps wine
	@TIMEOUT=$(TIMEOUT) bash .ci/wine $(ON_WINDOWS)

bench: ## compare the speed with php-fpm, nginx and lighttpd, in about 20 minutes
	@bash .ci/deps bench
	$(GO) test -tags bench ./e2e/bench -count=1 -timeout 1h -v -run '^TestSpeed'

bench-short: ## the same in less than 90 seconds, with php-fpm alone
	@bash .ci/deps bench
	$(GO) test -tags bench ./e2e/bench -count=1 -v -run '^TestSpeed$$' -speed.short -speed.rounds 3

bench-scale: ## measure more workers, client connections and pools, in about 10 minutes; a picture of it is put in PLOT
	@bash .ci/deps bench
	@mkdir -p $(dir $(PLOT))
	$(GO) test -tags bench ./e2e/bench -count=1 -timeout 1h -v -run '^TestScale$$' -scale.plot $(PLOT)

soak: deps build ## run the tests under load for about SOAK
	$(E2E_TEST) -timeout 0 -v -run '$(UNDER_LOAD)|LeaksNothing|Chaos' ./e2e ./e2e/soak $(CADDY) -soak $(SOAK)

faults: ## corrupt responses of workers in every way for about FAULTS
	$(GO) test ./caddymodule -count=1 -timeout 0 -run TestFaults -v -faults $(FAULTS)

check: # the form of the sources
	@out=$$($(TOOL) gofumpt -l .) || exit 1; if [ -n "$$out" ]; then echo "run make fmt, these are not formatted:"; echo "$$out"; exit 1; fi

vet: # on this system
	$(GO) vet -tags bench ./...

# Vet compiles all of Caddy for each system, except for FreeBSD; CI vets the rest there.
vet-all: vet # on every system
	CGO_ENABLED=0 GOOS=windows $(GO) vet ./...
	CGO_ENABLED=0 GOOS=darwin $(GO) vet ./...
	CGO_ENABLED=0 GOOS=freebsd $(GO) vet ./fastcgi/... ./pool/... ./phpbin/...

lint: prose ## run all linters
	$(TOOL) golangci-lint run ./...
	$(GO) tool -modfile=.ci/tools/actionlint/go.mod actionlint

prose: ## check comments, messages and docs for unclear wording
	@.ci/prose --self-test
	@.ci/prose

fmt: ## format the sources
	$(TOOL) golangci-lint fmt ./...

fuzz: ## run each fuzz target for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

vuln: ## look for known vulnerabilities in the dependencies
	@.ci/vuln

clean: ## remove what was built
	rm -rf bin
