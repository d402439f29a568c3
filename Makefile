# `make` alone says what there is.

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
ADVISORIES := https://github.com/RustSec/advisory-db

.DEFAULT_GOAL := help
include deploy/checks.mk tests/drill.mk tests/consumers.mk tests/soak.mk benches/bench.mk clients/js/client.mk
.PHONY: help run build test lint deny

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Try it out on http://127.0.0.1:8080, with a simulated platform (ARGS="--listen 127.0.0.1:0")
	@$(CARGO) build --locked
	@$(CARGO) run --quiet --locked -- demo $(ARGS)

build: ## Build target/release/auth-ticket
	$(CARGO) build --release --locked

test: deploy-tools drill-tools consumers-tools ## Run all tests, and check what deploy/ holds
	$(CARGO) test --locked
	@$(MAKE) --no-print-directory client-test check-deploy

lint: ## Check format, lints and documentation, then the dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) clippy --lib --no-default-features --locked -- -D warnings
	$(CARGO) clippy --lib --no-default-features --features tower --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked
	@$(MAKE) --no-print-directory deny

deny: ## Check licences, bans, sources and advisories of the dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny --version $(CARGO_DENY_VERSION)
	$(CARGO) deny --locked check licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code $(ADVISORIES) HEAD >/dev/null 2>&1; then \
		$(CARGO) deny --locked check advisories; \
	else \
		echo "advisories: not checked, $(ADVISORIES) cannot be reached"; \
	fi
