# php_pool: make run shows it, make test tests it; the rest is for working on it.

GO       ?= go
TOOL      = $(GO) tool -modfile=.ci/tools/go.mod
FUZZTIME ?= 20s
TIMEOUT  ?= 15m
PARALLEL ?= 4
SOAK     ?= 30m
FAULTS   ?= 10m
PLOT     ?= $(CURDIR)/bin/scale.svg

PHP_RELEASE ?= trixie

export GO

.PHONY: help run build php deps test bench bench-short bench-scale bench-tune soak faults check vet lint prose fmt fuzz vuln clean go test-php

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile

run: php build ## serve Caddyfile.example on http://localhost:8080
	./bin/caddy run --config Caddyfile.example --adapter caddyfile

build: go ## build ./bin/caddy, a Caddy with php_pool in it
	$(GO) build -o bin/ ./caddymodule/cmd/caddy

go: # fails early if Go is missing or too old
	@bash .ci/deps go

php: # php-cgi, if it is missing
	@bash .ci/deps run

deps: ## install what the tests need
	@bash .ci/deps test

test: deps check vet ## run all tests
	$(GO) test -race -shuffle=on -count=1 -timeout $(TIMEOUT) -parallel $(PARALLEL) ./...
	$(GO) test -count=1 -v -run 'Allocat|Instructions' ./fastcgi ./pool ./caddymodule # counts that the race detector changes
	cd e2e/consumers && $(GO) test -count=1 ./...

test-php: ## run the PHP-dependent tests on the PHP of another Debian release, PHP_RELEASE
	@bash .ci/php-chroot $(PHP_RELEASE)

bench: ## compare the speed with php-fpm, nginx and lighttpd, in about 20 minutes
	@bash .ci/deps bench
	$(GO) test -tags bench ./e2e -count=1 -timeout 1h -v -run '^TestSpeed'

bench-short: ## the same in less than 90 seconds, with php-fpm alone
	@bash .ci/deps bench
	$(GO) test -tags bench ./e2e -count=1 -v -run '^TestSpeed$$' -speed.short -speed.rounds 3

bench-scale: ## measure more workers, client connections and pools, in about 10 minutes; a picture of it is put in PLOT
	@bash .ci/deps bench
	@mkdir -p $(dir $(PLOT))
	$(GO) test -tags bench ./e2e -count=1 -timeout 1h -v -run '^TestScale$$' -scale.plot $(PLOT)

bench-tune: ## measure what PHP settings are worth to applications, in about half an hour
	@bash .ci/deps tune
	$(GO) test -tags bench ./e2e -count=1 -timeout 2h -v -run '^TestTuning$$'

soak: deps ## run the tests under load for about SOAK
	$(GO) test ./e2e -count=1 -timeout 3h -parallel $(PARALLEL) -soak $(SOAK) -chaos 100000 -v \
		-run 'NoRequestIsLost|LeavesEverythingAsItWas|LeaveNothingBehind|Chaos'

faults: ## spoil what workers answer in every way for about FAULTS
	$(GO) test ./caddymodule -count=1 -timeout 0 -run NoFaultOfAWorker -v -faults $(FAULTS)

check: # the form of the sources
	@out=$$($(TOOL) gofumpt -l .) || exit 1; if [ -n "$$out" ]; then echo "run make fmt, these are not formatted:"; echo "$$out"; exit 1; fi

vet: # on every system, whichever this is
	CGO_ENABLED=0 GOOS=linux $(GO) vet -tags bench ./...
	CGO_ENABLED=0 GOOS=windows $(GO) vet ./...
	CGO_ENABLED=0 GOOS=darwin $(GO) vet ./...

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
