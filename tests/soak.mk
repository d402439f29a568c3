# Included by the Makefile, and explained in docs/performance/soak.md. The short form is part of the tests. With two cores and
# taskset, the server has one core and everybody else the others.

CARGO ?= cargo
SOAK_REPORT := $(abspath $(or $(CARGO_TARGET_DIR),target))/soak.md
SOAK_BINARY := $(abspath $(or $(CARGO_TARGET_DIR),target))/release/auth-ticket
SOAK_LAST_CORE := $(shell expr $$(nproc) - 1)
SOAK_IS_PINNED := $(and $(filter-out 0,$(SOAK_LAST_CORE)),$(wildcard /usr/bin/taskset))

.PHONY: soak soak-log soak-memory soak-docs

soak: ## Abuse a server for ten minutes, with tables (SOAK_SEED=1 repeats a run's choices)
	$(CARGO) build --release --locked
	$(CARGO) test --test site --locked --no-run
	SOAK=full SOAK_BINARY=$(SOAK_BINARY) SOAK_REPORT=$(SOAK_REPORT) $(if $(SOAK_IS_PINNED),SOAK_SERVER_CORE=0 taskset -c 1-$(SOAK_LAST_CORE)) \
	    $(CARGO) test --quiet --test site --locked soak:: -- --nocapture
	@$(MAKE) --no-print-directory soak-log soak-memory

soak-log: ## Stop the reader of a server's log for a minute: p99 of checks, lines lost
	$(CARGO) build --release --locked
	SOAK=full SOAK_BINARY=$(SOAK_BINARY) \
	    $(CARGO) test --quiet --test site --locked a_reader_that_is_stopped -- --nocapture

soak-memory: ## Abuse a server within the limits of deploy/kubernetes: its memory
	$(CARGO) build --release --locked
	SOAK=full SOAK_BINARY=$(SOAK_BINARY) \
	    $(CARGO) test --quiet --test site --locked process::manifest -- --nocapture --test-threads 1

soak-docs: ## Put the tables of the last soak into docs/performance/soak.md
	@awk -v report=$(SOAK_REPORT) '\
	    /^<!-- end of make soak -->/ { while ((getline line < report) > 0) print line; print ""; inside = 0 } \
	    !inside { print } \
	    /^<!-- from make soak -->/ { print ""; inside = 1 }' docs/performance/soak.md >$(SOAK_REPORT).new
	@mv $(SOAK_REPORT).new docs/performance/soak.md
