# Measuring; included by the Makefile, and explained in docs/PERFORMANCE.md. `make test` counts instructions, but measures no
# time, which is no promise on a machine that others use. Everything is written below the target directory, but for what
# bench-instructions, accept-instructions and bench-docs keep in the repository.

BENCH_TARGET := $(or $(CARGO_TARGET_DIR),target)
BENCH_TOOLS := $(BENCH_TARGET)/bench/tools
BENCH_HTTP := --manifest-path benches/http/Cargo.toml --target-dir $(BENCH_TARGET)/bench/build
# Debian's packages, unpacked: that needs no root and starts no service.
BENCH_PACKAGES := redis-server redis-tools libjemalloc2 liblzf1 libatomic1 libhiredis0.14 \
    liblua5.1-0 lua-bitop lua-cjson valgrind
BENCH_LIBRARIES := usr/lib/$(shell uname -m)-linux-gnu
BENCH_ENV = PATH="$(abspath $(BENCH_TOOLS))/usr/bin:$$PATH" VALGRIND_LIB=$(abspath $(BENCH_TOOLS))/usr/libexec/valgrind \
    LD_LIBRARY_PATH=$(abspath $(BENCH_TOOLS))/$(BENCH_LIBRARIES)
# The gateways are those of the tests.
BENCH_GATEWAYS_ENV = PATH="$$PATH:$(abspath $(DEPLOY_TOOLS))/venv/bin" \
    LD_LIBRARY_PATH=$(abspath $(DEPLOY_TOOLS))/$(BENCH_LIBRARIES)

BENCH_LOADS := bench-memory bench-start bench-logins bench-flood bench-outage bench-requests bench-open-loop

.PHONY: bench bench-gateways bench-express bench-criterion bench-instructions check-instructions accept-instructions bench-profile bench-docs bench-lint bench-tools bench-programs $(BENCH_LOADS)

bench: bench-programs bench-tools bench-express ## Measure /v1/verify beside other servers, then behind gateways (BENCH_SECONDS=3 BENCH_ROUNDS=5)
	@$(BENCH_ENV) $(BENCH_TARGET)/bench/build/release/http-comparison run
	@$(MAKE) --no-print-directory bench-gateways

bench-gateways: bench-programs deploy-tools nginx-module ## Measure what a check costs behind gateways, and inside nginx
	@$(BENCH_GATEWAYS_ENV) $(BENCH_TARGET)/bench/build/release/http-comparison gateways

bench-open-loop: ## Measure how long checks take at 1,000 a second
bench-memory: ## Measure what an idle connection costs
bench-start: ## Measure how soon a server is ready, with a hundred keys
bench-logins: ## Measure logins by how many come at once, while the platform takes 50 ms for each
bench-flood: ## Measure whether memory comes back after thousands of logins
bench-outage: ## Measure checks and logins while the platform hangs
bench-requests: bench-tools ## Count the instructions of a whole request beside other servers
$(BENCH_LOADS): bench-programs
	@$(BENCH_ENV) $(BENCH_TARGET)/bench/build/release/http-comparison $(@:bench-%=%)

bench-criterion: ## Time opening, sealing and loading beside the bare primitives
	$(CARGO) bench --locked --bench ticket --bench turns --bench keyring

bench-instructions: bench-tools ## Count the hot path's instructions; shows what changed in benches/instructions.txt
	@$(CARGO) build --release --locked --example instructions
	@$(BENCH_ENV) $(CARGO) run --quiet --release --locked --example instructions >$(BENCH_TARGET)/bench/instructions.txt
	@diff -u benches/instructions.txt $(BENCH_TARGET)/bench/instructions.txt && echo "benches/instructions.txt: no change"; \
	    cp $(BENCH_TARGET)/bench/instructions.txt benches/instructions.txt; \
	    { echo '```text'; cat benches/instructions.txt; echo '```'; } >$(BENCH_TARGET)/bench/instructions.md

# In the build of `make test`, which builds all examples, so that this costs some seconds where a build for users takes minutes.
# Its counts are several times higher; but what is not inlined is not inlined otherwise either when something else changes, so
# they change with the code that runs and with nothing else.
check-instructions: deploy-tools ## Compare the hot path's instructions with benches/guard.txt (part of `make test`)
	@$(CARGO) run --quiet --locked --example instructions guard benches/guard.txt

accept-instructions: deploy-tools ## Write benches/guard.txt, after a change that costs more or less
	@$(CARGO) run --quiet --locked --example instructions accept benches/guard.txt
	@git diff -- benches/guard.txt

# The program as it is built for users, but with line numbers: code that was inlined is told by the file that it is from.
bench-profile: bench-tools ## Show where the instructions of a check on a socket go
	@$(BENCH_ENV) CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \
	    $(CARGO) run --quiet --release --locked --target-dir $(BENCH_TARGET)/bench/profile --example instructions
	@$(BENCH_ENV) callgrind_annotate --auto=no --threshold=95 \
	    "$(BENCH_TARGET)/bench/profile/release/examples/callgrind/callgrind.request-on-a-socket"

bench-docs: ## Put the last tables in target/bench into docs/
	@for page in docs/PERFORMANCE.md docs/performance/*.md; do \
	    awk -v figures=$(BENCH_TARGET)/bench -f benches/figures.awk $$page >$(BENCH_TARGET)/bench/page && \
	    cp $(BENCH_TARGET)/bench/page $$page || exit 1; \
	done

bench-lint: ## Check format and lints of benches/http, which `make lint` leaves out: it would build its contenders
	$(CARGO) fmt --check --manifest-path benches/http/Cargo.toml
	$(CARGO) clippy --locked $(BENCH_HTTP) -- -D warnings

bench-programs:
	$(CARGO) build --release --locked
	$(CARGO) build --release --locked $(BENCH_HTTP)

# With the versions of its package-lock.json.
bench-express:
	@mkdir -p $(BENCH_TARGET)/bench/express
	@cd benches/http/express && cp package.json package-lock.json server.js $(abspath $(BENCH_TARGET))/bench/express
	@cd $(BENCH_TARGET)/bench/express && npm ci --loglevel=error --no-audit --no-fund >/dev/null

bench-tools:
	@mkdir -p $(BENCH_TOOLS)/download
	@for package in $(BENCH_PACKAGES); do \
	    [ -e $(BENCH_TOOLS)/$$package ] && continue; \
	    cd $(abspath $(BENCH_TOOLS))/download || exit 1; \
	    apt-get download -qq -o APT::Sandbox::User=root $$package || \
	        { apt-get update -qq && apt-get download -qq -o APT::Sandbox::User=root $$package; } || exit 1; \
	    dpkg -x $${package}_*.deb .. && rm $${package}_*.deb && touch ../$$package || exit 1; \
	    cd $(CURDIR) || exit 1; \
	done
