// Starts the simulator and the demo for tests. All is described in index.d.ts.
'use strict'
const { spawn } = require('node:child_process')
const { createInterface } = require('node:readline')
const { programPath } = require('./program.js')

/** How long a program has to finish what runs; its own limit is two seconds. */
const GRACE_MS = 5000
/** `Symbol.asyncDispose`, where Node.js has none. */
const dispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')

/**
 * Starts `auth-ticket COMMAND` and resolves to its URLs, by the words before them, once it has told all of them.
 *
 * @param {string} command
 * @param {string[]} words
 * @param {import('./index.js').StartOptions} options
 * @returns {Promise<{ urls: string[], pid: number, stop: () => Promise<void> }>}
 */
const start = async (command, words, { port = 0, timeout = 10_000, program = programPath(), log, signal } = {}) => {
  signal?.throwIfAborted()
  const args = [command, '--listen', `127.0.0.1:${port}`, '--until-stdin-closes']
  // Its standard input is the leash: the operating system closes it when this process ends, in whatever way.
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true })
  /** @type {string[]} */
  const said = []
  /** @type {Promise<string>} */
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(`cannot run ${program}: ${error.message}`))
    child.on('close', (code, by) => resolve(said.join('\n') || `it ended with ${by ?? `exit code ${code}`}`))
  })
  // It may be gone already.
  child.stdin.on('error', () => {})

  /** @type {Promise<void> | undefined} */
  let stopping
  const stop = () =>
    (stopping ??= (async () => {
      signal?.removeEventListener('abort', stop)
      const late = setTimeout(() => child.kill('SIGKILL'), GRACE_MS)
      child.ref()
      child.stdin.end()
      child.kill()
      await ended
      clearTimeout(late)
    })())

  const urls = words.map(() => '')
  /** @type {(value?: undefined) => void} */
  let ready
  const told = new Promise((resolve) => (ready = resolve))
  const read = (/** @type {string} */ line, isOutput = false) => {
    if (log) log(line)
    if (said.length < 100) said.push(line)
    if (!isOutput) return
    words.forEach((word, at) => {
      const found = line.split(`${word} on `)[1]
      if (found) urls[at] ||= /^http:\/\/[^\s,]+/.exec(found)?.[0] ?? ''
    })
    if (urls.every(Boolean)) ready()
  }
  createInterface(child.stdout).on('line', (line) => read(line, true))
  createInterface(child.stderr).on('line', (line) => read(line))

  /** @type {(reason?: unknown) => void} */
  let abort = () => {}
  const aborted = new Promise((resolve) => (abort = resolve))
  signal?.addEventListener('abort', abort)
  const late = new Promise((resolve) => setTimeout(resolve, timeout, `it said no address within ${timeout} ms`).unref())
  const failure = await Promise.race([told, ended, late, aborted])
  signal?.removeEventListener('abort', abort)
  if (failure) {
    await stop()
    signal?.throwIfAborted()
    throw new Error(`auth-ticket ${command}: ${failure}`)
  }
  signal?.addEventListener('abort', stop, { once: true })
  // A test that forgets to stop it ends all the same, and it with the test.
  child.unref()
  for (const stream of child.stdio) /** @type {any} */ (stream)?.unref()
  return { urls, pid: /** @type {number} */ (child.pid), stop }
}

/**
 * @param {string} simulator
 * @returns {(name: string, of: { appid: string, platform?: string }) => Promise<string>}
 */
const codes = (simulator) => async (name, of) => {
  const answer = await fetch(`${simulator}/_sim/code`, { method: 'POST', body: JSON.stringify({ name, ...of }) })
  const { code, error_description: refused } = /** @type {any} */ (await answer.json())
  if (!code) throw new Error(`auth-ticket simulator: ${refused}`)
  return code
}

/** @type {typeof import('./index.js').startSimulator} */
const startSimulator = async (options) => {
  const { urls, pid, stop } = await start('simulator', ['simulator'], options ?? {})
  const url = /** @type {string} */ (urls[0])
  return /** @type {any} */ ({ url, pid, code: codes(url), stop, [dispose]: stop })
}

/** @type {typeof import('./index.js').startDemo} */
const startDemo = async (options) => {
  const { urls, pid, stop } = await start('demo', ['demo', 'platform', 'operators'], options ?? {})
  const [url, simulator, operators] = /** @type {[string, string, string]} */ (urls)
  return /** @type {any} */ ({ url, simulator, operators, pid, code: codes(simulator), stop, [dispose]: stop })
}

module.exports = { programPath, startDemo, startSimulator }
