# The drill: five replicas behind nginx through rotations, a leak and crashes. Needs nginx and libfaketime.
.PHONY: drill drill-tools

drill:
	DRILL=full cargo test --test it drill:: -- --nocapture --test-threads=1

# Installs what the drill needs and the build does not, where it is missing; Debian, as root.
drill-tools:
	@if [ -n "$$(PATH=$$PATH:/usr/sbin command -v nginx)" ] && ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then \
		echo "nginx and libfaketime are there"; \
	elif [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx-light faketime; \
	else \
		echo "run as root: apt-get install nginx-light faketime" >&2; exit 1; \
	fi
