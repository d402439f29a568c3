# Downloads: what `make dist` makes is what a release consists of. Included by the Makefile; docs/RELEASING.md says how it
# is used, and tests/site/dist.rs what it promises.

DIST_TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
DIST := $(DIST_TARGET)/dist
DIST_WORK := $(DIST_TARGET)/dist-work
DIST_IMAGE := $(DIST_TARGET)/image
DIST_TOOLS ?= $(DIST_TARGET)/dist-tools
DIST_TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
DIST_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
ZIGBUILD := ziglang==0.17.1 cargo-zigbuild==0.24.1
CARGO_AUDITABLE_VERSION := 0.7.7
# What the tests of downloads need besides: a program, and its Debian package.
DIST_PACKAGES := qemu-aarch64:qemu-user debootstrap:debootstrap minisign:minisign skopeo:skopeo buildah:buildah lintian:lintian
DIST_SCHEMA := cyclonedx-python-lib[json-validation]==11.12.0
DIST_DEBIAN := $(DIST_TOOLS)/debian
# The same sources with a higher number, for the drill of an upgrade.
DIST_NEXT := $(DIST_TARGET)/dist-next
# Of everything in the archives: when the commit was made. Packagers may say another time, and the commit (AUTH_TICKET_COMMIT)
# where no repository is.
DIST_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
dist dist-verify image dist-test: export SOURCE_DATE_EPOCH := $(DIST_EPOCH)

.PHONY: dist dist-binaries dist-tools dist-verify dist-sign image dist-next dist-test dist-test-tools check-dist

dist: dist-binaries ## Fill target/dist/ with what a release consists of: archives, packages, bill of materials, sums
	@sh deploy/dist/pack.sh $(DIST_VERSION) $(DIST_WORK) $(DIST) $(DIST_TARGETS)

dist-binaries: dist-tools consumers-node
	@sh deploy/dist/build.sh $(DIST_TOOLS) $(DIST_WORK)/bin $(DIST_TARGETS)

dist-tools:
	@sh deploy/dist/maintainer.sh >/dev/null
	@rustup -q target add $(DIST_TARGETS)
	@missing=; \
	command -v dpkg-deb >/dev/null || missing="$$missing dpkg"; \
	command -v readelf >/dev/null || missing="$$missing binutils"; \
	/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$$missing ca-certificates"; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "error: these are missing, and only root on Debian can install them here:$$missing" >&2; exit 1; \
	    fi; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
	@mkdir -p $(DIST_TOOLS)
	@if [ "$$(cat $(DIST_TOOLS)/venv/installed 2>/dev/null)" != "$(ZIGBUILD)" ]; then \
	    /usr/bin/python3 -m venv --clear $(DIST_TOOLS)/venv && \
	    $(DIST_TOOLS)/venv/bin/pip install -q --disable-pip-version-check $(ZIGBUILD) && \
	    echo "$(ZIGBUILD)" >$(DIST_TOOLS)/venv/installed; \
	fi
	@[ -x $(DIST_TOOLS)/bin/cargo-auditable ] || CARGO_TARGET_DIR=$(DIST_TOOLS)/build \
	    $(CARGO) install -q --locked --root $(DIST_TOOLS) cargo-auditable --version $(CARGO_AUDITABLE_VERSION)

dist-verify: ## Build twice, in two directories with two caches, and compare what `make dist` makes
	@git diff --quiet HEAD -- || { echo "error: commit first: the second build is made from the commit" >&2; exit 1; }
	@$(MAKE) --no-print-directory dist
	@sh deploy/dist/verify.sh $(DIST) $(DIST_TOOLS)

dist-sign: ## Sign target/dist/SHA256SUMS (KEY=minisign.key, which is never in the repository)
	@command -v minisign >/dev/null || { echo "error: minisign is not installed, and nothing is signed without it" >&2; exit 1; }
	@[ -n "$(KEY)" ] || { echo "error: no key: make dist-sign KEY=path/of/minisign.key" >&2; exit 1; }
	@[ -f "$(KEY)" ] || { echo "error: there is no key $(KEY)" >&2; exit 1; }
	@[ -f $(DIST)/SHA256SUMS ] || { echo "error: there is nothing to sign: run make dist" >&2; exit 1; }
	@cd $(DIST) && sha256sum --check --quiet --strict SHA256SUMS
	@minisign -S -s "$(KEY)" -m $(DIST)/SHA256SUMS -t "auth-ticket $(DIST_VERSION)"

# Those that are there are taken as they are.
DIST_BINARIES := $(DIST_TARGETS:%=$(DIST_WORK)/bin/auth-ticket-%)
image: $(if $(filter-out $(wildcard $(DIST_BINARIES)),$(DIST_BINARIES)),dist-binaries) ## Make OCI archives in target/image/ from the binaries of `make dist`; no engine is needed
	@mkdir -p $(DIST_IMAGE)
	@for target in $(DIST_TARGETS); do \
	    /usr/bin/python3 deploy/dist/image.py $(DIST_WORK)/bin/auth-ticket-$$target $${target%%-*} $(DIST_VERSION) $(DIST_IMAGE) || exit 1; \
	done

dist-test-tools:
	@missing=; \
	for tool in $(DIST_PACKAGES); do \
	    command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "error: these are missing, and only root on Debian can install them here:$$missing" >&2; exit 1; \
	    fi; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
	@if [ "$$(cat $(DIST_TOOLS)/venv-schema/installed 2>/dev/null)" != "$(DIST_SCHEMA)" ]; then \
	    /usr/bin/python3 -m venv --clear $(DIST_TOOLS)/venv-schema && \
	    $(DIST_TOOLS)/venv-schema/bin/pip install -q --disable-pip-version-check '$(DIST_SCHEMA)' && \
	    echo "$(DIST_SCHEMA)" >$(DIST_TOOLS)/venv-schema/installed; \
	fi
	@[ -e $(DIST_DEBIAN)/complete ] || { \
	    rm -rf $(DIST_DEBIAN) && \
	    debootstrap --variant=minbase --include=systemd,ca-certificates $$(. /etc/os-release && echo $$VERSION_CODENAME) \
	        $(DIST_DEBIAN) $$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' \
	            /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1) >/dev/null && \
	    touch $(DIST_DEBIAN)/complete; }

# Not built where the other is: cargo would put the one program in the place of the other.
dist-next:
	@mkdir -p $(DIST_NEXT)/source && rm -rf $(DIST_NEXT)/source/src && cp -r Cargo.toml Cargo.lock build.rs .cargo src $(DIST_NEXT)/source
	@cd $(DIST_NEXT)/source && for part in benches examples tests; do rm -f $$part; ln -s $(CURDIR)/$$part $$part; done
	@sed -i 's/^version = "$(DIST_VERSION)"/version = "$(basename $(DIST_VERSION)).99"/' $(DIST_NEXT)/source/Cargo.toml
	@sed -i '/^name = "auth-ticket"/{n;s/"$(DIST_VERSION)"/"$(basename $(DIST_VERSION)).99"/}' $(DIST_NEXT)/source/Cargo.lock
	@cd $(DIST_NEXT)/source && AUTH_TICKET_COMMIT=next CARGO_TARGET_DIR=$(DIST_NEXT) $(CARGO) build -q --locked --bin auth-ticket

dist-test: dist-test-tools $(if $(DIST_OTHER),,dist-next) $(if $(wildcard $(DIST)/SHA256SUMS),,dist) image nginx-module-deb ## Try out what `make dist` and `make image` made: in empty roots, under qemu, on Debian (as root)
	DIST=$(DIST) DIST_TOOLS=$(DIST_TOOLS) DIST_IMAGE=$(DIST_IMAGE) DIST_NEXT=$(or $(DIST_OTHER),$(DIST_NEXT)/debug/auth-ticket) \
	    $(CARGO) test --test site --locked dist:: -- --ignored --nocapture --test-threads=2

# Part of `make check-deploy`: what can be said without building a release.
check-dist: deploy-tools
	@$(DEPLOY_TOOLS)/venv/bin/python3 deploy/dist/check.py $(MAKEFILE_LIST)
	@for script in deploy/dist/*.sh deploy/dist/debian/p*; do sh -n $$script || exit 1; done
	@$(DEPLOY_TOOLS)/venv/bin/python3 -c 'import ast, sys; [ast.parse(open(file).read(), file) for file in sys.argv[1:]]' deploy/dist/*.py
	@SOURCE_DATE_EPOCH=0 /usr/bin/python3 deploy/dist/dependencies.py sbom $(DIST_TARGETS) </dev/null | /usr/bin/python3 -m json.tool >/dev/null
