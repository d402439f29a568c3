# `make` alone says what there is.

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
ADVISORIES := https://github.com/RustSec/advisory-db

.DEFAULT_GOAL := help
include modules/nginx/module.mk deploy/checks.mk deploy/dist/dist.mk tests/drill.mk tests/consumers.mk tests/soak.mk benches/bench.mk clients/js/client.mk clients/npm-bin/npm-bin.mk
# The features of the library, each alone: they only add to one another.
FEATURES_ALONE := "" keystore tower axum,test-util
CARGO_PUBLIC_API_VERSION := 0.52.0
# Of rustdoc's JSON, which that version of cargo-public-api reads. Only rustdoc gets RUSTC_BOOTSTRAP: with it in the
# environment, build scripts and everything that depends on them would be built again.
RUSTDOC_FORMAT := 57
API := docs/public-api.txt
API_TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))/api
# Where developers run the demo, the simulator and the key tools. Checking compiles no C, so no compiler for them is needed.
OTHER_TARGETS := aarch64-apple-darwin x86_64-pc-windows-gnu
MSRV_TARGET := $(or $(CARGO_TARGET_DIR),target)/msrv

.PHONY: help run build test lint lint-features lint-api lint-msrv lint-targets accept-api deny

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Try it out on http://127.0.0.1:8080, with a simulated platform (ARGS="--listen 127.0.0.1:0")
	@$(CARGO) build --locked
	@$(CARGO) run --quiet --locked -- demo $(ARGS)

build: ## Build target/release/auth-ticket
	$(CARGO) build --release --locked

test: deploy-tools drill-tools consumers-tools nginx-module ## Run all tests, and check what deploy/ holds
	$(CARGO) test --locked
	@$(MAKE) --no-print-directory check-instructions client-test npm-bin-test check-deploy nginx-module-test

lint: ## Check format, lints and documentation, then the dependencies
	@{ $(CARGO) clippy --version && $(CARGO) fmt --version; } >/dev/null 2>&1 || rustup component add clippy rustfmt
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked
	@$(MAKE) --no-print-directory lint-features
	@$(MAKE) --no-print-directory lint-api
	@$(MAKE) --no-print-directory lint-msrv
	@$(MAKE) --no-print-directory nginx-module-lint
	@$(MAKE) --no-print-directory deny

lint-features: ## Check and document the library with each of its features alone, and test it with none
	@for features in $(FEATURES_ALONE); do \
	    echo "features: $${features:-none}" && \
	    $(CARGO) clippy -q --lib --no-default-features --features "$$features" --locked -- -D warnings && \
	    RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --lib --no-deps --no-default-features --features "$$features" --locked || exit 1; \
	done
	@$(CARGO) test -q --lib --no-default-features --locked
	@$(CARGO) test -q --doc --no-default-features --locked

lint-api: ## Compare the library's public API with docs/public-api.txt; `make accept-api` writes that file
	@command -v cargo-public-api >/dev/null || $(CARGO) install --locked --debug cargo-public-api --version $(CARGO_PUBLIC_API_VERSION)
	@mkdir -p $(API_TARGET) && printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$$@"\n' >$(API_TARGET)/rustdoc && chmod +x $(API_TARGET)/rustdoc
	@RUSTDOC=$(API_TARGET)/rustdoc $(CARGO) rustdoc -q --lib --no-default-features --features axum,test-util --locked -- \
	    -Z unstable-options --output-format json --cap-lints allow
	@mv $(API_TARGET)/../doc/auth_ticket.json $(API_TARGET)/
	@if grep -qE '"format_version":$(RUSTDOC_FORMAT)[,}]' $(API_TARGET)/auth_ticket.json; then \
	    cargo-public-api public-api -ss --rustdoc-json $(API_TARGET)/auth_ticket.json >$(API_TARGET)/public-api.txt && \
	    diff -u $(API) $(API_TARGET)/public-api.txt || \
	        { echo "error: the public API is not that of $(API); if it should be, make accept-api" >&2; exit 1; }; \
	else \
	    echo "public API: not compared, cargo-public-api $(CARGO_PUBLIC_API_VERSION) does not read this rustdoc's JSON"; \
	fi

lint-msrv: ## Check with the oldest Rust that Cargo.toml promises, where it is installed
	@version=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	for name in $$version $$version.0; do rustup run $$name cargo --version >/dev/null 2>&1 && version=$$name; done; \
	if rustup run $$version cargo --version >/dev/null 2>&1; then \
	    CARGO_TARGET_DIR=$(MSRV_TARGET) rustup run $$version cargo check -q --lib --bins --locked; \
	else \
	    echo "Rust $$version: not checked, it is not installed here; a test compares what the dependencies need"; \
	fi

lint-targets: ## Check that it builds for macOS and Windows, where rustup has their standard libraries or can add them
	@failed=; for target in $(OTHER_TARGETS); do \
	    if rustup target list --installed 2>/dev/null | grep -qx $$target || rustup target add $$target >/dev/null 2>&1; then \
	        name=$$(echo $$target | tr - _); echo "target: $$target"; \
	        env CC_$$name=true AR_$$name=true $(CARGO) clippy -q --target $$target --locked -- -D warnings || failed=1; \
	    else \
	        echo "error: $$target is NOT CHECKED: rustup cannot add it here" >&2; failed=1; \
	    fi; \
	done; test -z "$$failed"

accept-api:
	@$(MAKE) --no-print-directory lint-api >/dev/null || cp $(API_TARGET)/public-api.txt $(API)

deny: ## Check licences, bans, sources and advisories of the dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked --debug cargo-deny --version $(CARGO_DENY_VERSION)
	$(CARGO) deny --locked check licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --exit-code $(ADVISORIES) HEAD >/dev/null 2>&1; then \
		$(CARGO) deny --locked check advisories; \
	else \
		echo "advisories: not checked, $(ADVISORIES) cannot be reached"; \
	fi
