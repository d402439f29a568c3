#!/usr/bin/env node
// Runs the program of this platform's package: same arguments, streams, signals and exit code.
'use strict'
const { spawn } = require('node:child_process')
const { constants } = require('node:os')
const { programPath } = require('../lib/program.js')

/** What a terminal, a shell or a service manager sends. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']

const fail = (/** @type {unknown} */ reason) => {
  process.stderr.write(`${reason instanceof Error ? reason.message : reason}\n`)
  process.exit(1)
}

/** npx and npm start a shell that passes no signal on: when it is gone, so are they. */
const isBelowNpm = process.env.npm_lifecycle_event !== undefined
const LOOK_MS = 250

const run = (/** @type {string} */ program, /** @type {string[]} */ args) => {
  // Newer versions of Node.js can become the program; then nothing is left in between.
  const { execve } = /** @type {{ execve?: (path: string, args: string[], env: NodeJS.ProcessEnv) => never }} */ (process)
  if (execve && !isBelowNpm && process.platform !== 'win32') execve.call(process, program, [program, ...args], process.env)
  const child = spawn(program, args, { stdio: 'inherit' })
  child.on('error', (error) => fail(`error: cannot run ${program}: ${error.message}`))
  if (process.platform !== 'win32')
    for (const signal of SIGNALS) process.on(signal, () => child.kill(/** @type {NodeJS.Signals} */ (signal)))
  // A console of Windows sends Ctrl-C to both.
  else process.on('SIGINT', () => {})
  const parent = process.ppid
  if (isBelowNpm) setInterval(() => process.ppid !== parent && child.kill(), LOOK_MS).unref()
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)))
}

try {
  run(programPath(), process.argv.slice(2))
} catch (error) {
  fail(error)
}
