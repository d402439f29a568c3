#!/bin/sh
# A command as a user would type it: among the files of the fixture, 100 columns wide, nothing else in its environment.
cd "$FIXTURE" && exec /usr/bin/env -i COLUMNS=100 "$BINARY" "$@"
