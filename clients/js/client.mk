# The npm package in clients/js; included by the Makefile. Packages go to clients/js/node_modules, pinned by the lock file; only apt-get
# installs for the whole machine.

CLIENT := clients/js
CLIENT_OUT := $(or $(CARGO_TARGET_DIR),target)/client
CLIENT_PROGRAM = $(abspath $(or $(CARGO_TARGET_DIR),target))/debug/auth-ticket

.PHONY: client client-program client-tools client-build client-page client-test

client-tools: consumers-tools
	@if ! cmp -s $(CLIENT)/package-lock.json $(CLIENT)/node_modules/.installed; then \
	    npm ci --silent --ignore-scripts --no-audit --no-fund --legacy-peer-deps --prefix $(CLIENT) && \
	    cp $(CLIENT)/package-lock.json $(CLIENT)/node_modules/.installed; \
	fi
	@if ! command -v chromium >/dev/null; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "error: chromium is missing, and only root on Debian can install it here" >&2; exit 1; \
	    fi; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
	fi

client-build: client-tools
	@cd $(CLIENT) && npm run --silent types && npm run --silent build && npm run --silent size

client-page: client-tools ## Bundle the scripts of the demo's page, which the program contains
	@cd $(CLIENT) && npm run --silent page

# The program as `cargo test` has built it: `cargo build` would build the dependencies again, with fewer features.
client-program:
	@$(CARGO) test -q --locked --no-run --test it

client-test: client-build client-program ## Build and test the npm package
	@cd $(CLIENT) && AUTH_TICKET=$(CLIENT_PROGRAM) npm test --silent

client: client-test ## Build, test, check and pack the npm package into target/client
	@mkdir -p $(CLIENT_OUT)
	@cd $(CLIENT) && npx --no-install publint --strict . && npx --no-install attw --pack . --format table-flipped
	@cd $(CLIENT) && npm pack --silent --ignore-scripts --pack-destination $(abspath $(CLIENT_OUT))
