# The module for nginx; included by the Makefile. Everything is made in target/nginx: `tree` is nginx's source, `build` is cargo's.
#
# Against another nginx than Debian's: NGINX_SOURCE_DIR is its source, in which `./configure` has run with the options that
# `nginx -V` shows, and NGINX_BUILD_DIR its `objs`, if it is elsewhere.

NGINX_TARGET := $(or $(CARGO_TARGET_DIR),target)/nginx
NGINX_MODULE := $(NGINX_TARGET)/ngx_http_auth_ticket_module.so
NGINX_SOURCE_DIR ?= $(abspath $(NGINX_TARGET))/tree
NGINX_BUILD_DIR ?= $(NGINX_SOURCE_DIR)/objs
NGINX_MODULE_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p;T;q' modules/nginx/Cargo.toml)
# bindgen needs libclang and the compiler's own headers, not clang.
NGINX_CARGO := NGINX_SOURCE_DIR=$(NGINX_SOURCE_DIR) NGINX_BUILD_DIR=$(NGINX_BUILD_DIR) CARGO_TARGET_DIR=$(abspath $(NGINX_TARGET))/build \
    BINDGEN_EXTRA_CLANG_ARGS="-isystem $$(cc -print-file-name=include)" $(CARGO)
NGINX_MANIFEST := --locked --manifest-path modules/nginx/Cargo.toml

.PHONY: nginx-module nginx-module-tools nginx-module-deb nginx-module-test nginx-module-lint nginx-module-soak nginx-module-try

nginx-module: nginx-module-tools ## Build the module for nginx, target/nginx/ngx_http_auth_ticket_module.so
	@mkdir -p $(NGINX_TARGET)
	@$(NGINX_CARGO) build -q --release $(NGINX_MANIFEST)
	@cp $(NGINX_TARGET)/build/release/libngx_http_auth_ticket_module.so $(NGINX_MODULE).new && mv $(NGINX_MODULE).new $(NGINX_MODULE)

# nginx's headers depend on how it was configured, so Debian's are configured as Debian's nginx is.
nginx-module-tools:
	@missing=; \
	if [ ! -e /usr/share/nginx/src/conf_flags ] && [ $(NGINX_SOURCE_DIR) = $(abspath $(NGINX_TARGET))/tree ]; then missing=nginx-dev; fi; \
	ls /usr/lib/*-linux-gnu /usr/lib/llvm-*/lib 2>/dev/null | grep -qE '^libclang(-[0-9.]+)?\.so' || \
	    missing="$$missing $$(apt-cache policy libclang1-14 2>/dev/null | grep -q 'Candidate: 1' && echo libclang1-14 || echo libclang-dev)"; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "error: these are missing, and only root on Debian can install them here:$$missing" >&2; exit 1; \
	    fi; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
	@if [ $(NGINX_SOURCE_DIR) = $(abspath $(NGINX_TARGET))/tree ]; then \
	    version=$$(dpkg-query -W -f '$${Version}' nginx-dev) && \
	    if [ ! -e $(NGINX_SOURCE_DIR)/made-of-$$version ]; then \
	        rm -rf $(NGINX_SOURCE_DIR) && mkdir -p $(NGINX_SOURCE_DIR) && cp -rs /usr/share/nginx/src/* $(NGINX_SOURCE_DIR) && \
	        cd $(NGINX_SOURCE_DIR) && \
	        { bash -c '. ./conf_flags && ./configure "$${NGX_CONF_FLAGS[@]}"' >configure.log 2>&1 || { tail configure.log >&2; exit 1; }; } && \
	        touch made-of-$$version; \
	    fi; \
	fi

# For the nginx that it was built against, and no other: Debian's nginx-abi says which.
nginx-module-deb: nginx-module ## Pack the module for Debian, target/nginx/deb/
	@rm -rf $(NGINX_TARGET)/deb && mkdir -p $(NGINX_TARGET)/deb/root/DEBIAN
	@cd $(NGINX_TARGET)/deb/root && \
	    install -D -m 644 $(abspath $(NGINX_MODULE)) usr/lib/nginx/modules/ngx_http_auth_ticket_module.so && \
	    mkdir -p usr/share/nginx/modules-available usr/share/doc/libnginx-mod-http-auth-ticket && \
	    echo 'load_module modules/ngx_http_auth_ticket_module.so;' >usr/share/nginx/modules-available/mod-http-auth-ticket.conf
	@cp modules/nginx/README.md LICENSE-MIT LICENSE-APACHE $(NGINX_TARGET)/deb/root/usr/share/doc/libnginx-mod-http-auth-ticket
	@cp modules/nginx/debian/postinst modules/nginx/debian/prerm $(NGINX_TARGET)/deb/root/DEBIAN
	@chmod 755 $(NGINX_TARGET)/deb/root/DEBIAN/postinst $(NGINX_TARGET)/deb/root/DEBIAN/prerm
	@abi=$$(sed -n 's/^nginx:abi=//p' $(NGINX_SOURCE_DIR)/debian/libnginx-mod.abisubstvars) && [ -n "$$abi" ] && \
	    sed -e "s/@VERSION@/$(subst -,~,$(NGINX_MODULE_VERSION))+$${abi#nginx-abi-}/" -e "s/@ARCH@/$$(dpkg --print-architecture)/" -e "s/@ABI@/$$abi/" \
	    modules/nginx/debian/control >$(NGINX_TARGET)/deb/root/DEBIAN/control
	@dpkg-deb --root-owner-group -Zxz --build $(NGINX_TARGET)/deb/root $(NGINX_TARGET)/deb >/dev/null && rm -r $(NGINX_TARGET)/deb/root
	@ls $(NGINX_TARGET)/deb

nginx-module-test:
	$(NGINX_CARGO) test -q --release --no-default-features $(NGINX_MANIFEST)

nginx-module-lint: nginx-module-tools
	$(CARGO) fmt --check --manifest-path modules/nginx/Cargo.toml
	$(NGINX_CARGO) clippy -q --release --all-targets $(NGINX_MANIFEST) -- -D warnings

nginx-module-soak: nginx-module ## Abuse nginx with the module: a hundred thousand tickets, ten minutes of odd headers, valgrind
	@command -v valgrind >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends valgrind >/dev/null; }
	NGINX_MODULE_SOAK=full $(CARGO) test --test site --locked gateways::module -- --include-ignored --nocapture --test-threads 1

NGINX_TRY = $(abspath $(NGINX_TARGET))/try-$(DEBIAN)
nginx-module-try: nginx-module-tools ## Build the module for the nginx of another release of Debian, and run its tests there (DEBIAN=trixie)
	@[ -n "$(DEBIAN)" ] || { echo "error: make nginx-module-try DEBIAN=trixie" >&2; exit 1; }
	@[ -x $(NGINX_TRY)/nginx/objs/nginx ] || sh modules/nginx/try.sh $(DEBIAN) $(NGINX_TRY)
	@$(MAKE) --no-print-directory nginx-module NGINX_SOURCE_DIR=$(NGINX_TRY)/nginx NGINX_TARGET=$(NGINX_TRY)
	NGINX_MODULE_TRY=$(NGINX_TRY) $(CARGO) test --test site --locked gateways::module
