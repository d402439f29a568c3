# The npm packages of the program, in clients/npm-bin; included by the Makefile after clients/js/client.mk, whose tools check them.

NPM_BIN := clients/npm-bin
# Of the program that was built for tests.
NPM_BIN_TESTED := $(or $(CARGO_TARGET_DIR),target)/npm-bin

.PHONY: npm-bin-pack npm-bin-test

npm-bin-pack: ## Pack the program for npm: NPM_PROGRAMS="linux-x64=PROGRAM linux-arm64=PROGRAM" into NPM_OUT
	@node $(NPM_BIN)/pack.mjs $(NPM_OUT) $(NPM_PROGRAMS)

npm-bin-test: client-tools client-program ## Pack the program for npm, check and test the packages
	@rm -rf $(NPM_BIN_TESTED)
	@node $(NPM_BIN)/pack.mjs $(NPM_BIN_TESTED) "$$(node -p 'process.platform + "-" + process.arch')=$(CLIENT_PROGRAM)" win32-x64=LICENSE-MIT
	@cd $(CLIENT) && npx --no-install prettier --check --log-level warn --config .prettierrc.json '$(abspath $(NPM_BIN))/**/*.{js,mjs,ts,mts,json}' && \
	    npx --no-install tsc -p $(abspath $(NPM_BIN))
	@PACKAGES=$(abspath $(NPM_BIN_TESTED)) node --test --test-reporter=spec $(NPM_BIN)/test/*.test.mjs
