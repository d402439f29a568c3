# Included by the Makefile. The drill needs nginx and libfaketime; so does its short form, which is part of the tests.

CARGO ?= cargo
.PHONY: drill drill-tools

drill: drill-tools ## Take five replicas through rotations, a leak and crashes, with tables
	DRILL=full $(CARGO) test --test site drill:: -- --nocapture --test-threads=1

drill-tools: ## Install nginx and libfaketime where they are missing (Debian, as root)
	@if [ -n "$$(PATH="$$PATH:/usr/sbin"; command -v nginx)" ] && ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then \
		echo "nginx and libfaketime are there"; \
	elif [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx-light faketime; \
	else \
		echo "run as root: apt-get install nginx-light faketime" >&2; exit 1; \
	fi
