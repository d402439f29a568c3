// The packages as others install them: from their files, into an empty directory, without a network.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const packages = process.env.PACKAGES
if (!packages) throw new Error('PACKAGES is to be the directory of the packed packages; `make npm-bin-test` sets it')
const packed = (name) => join(packages, readdirSync(packages).find((file) => file.startsWith(name) && file.endsWith('.tgz')) ?? name)
const here = `${process.platform}-${process.arch}`
const APPID = 'wx0123456789abcdef'

const site = mkdtempSync(join(tmpdir(), 'auth-ticket-npx-'))
const launcher = join(site, 'node_modules/.bin/auth-ticket')
let helper

before(async () => {
  writeFileSync(join(site, 'package.json'), '{ "private": true }')
  const files = [packed('auth-ticket-0'), packed(`auth-ticket-${here}`)]
  execFileSync('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', ...files], { cwd: site })
  helper = await import(pathToFileURL(join(site, 'node_modules/auth-ticket/lib/index.mjs')).href)
})
after(() => rmSync(site, { recursive: true, force: true }))

const until = async (what, done) => {
  for (let left = 500; !(await done()); left--) {
    assert.ok(left, `never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
/** A process that has ended and that nobody has waited for yet is gone, too. */
const isGone = (pid) => {
  try {
    return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}
/** The program that runs below the process `pid`, or as it. */
const programBelow = (pid) => {
  const below = [pid, ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)]
  const isProgram = (one) => readFileSync(`/proc/${one}/cmdline`, 'utf8').split('\0')[0].endsWith('/bin/auth-ticket')
  for (const one of below) {
    if (isProgram(one)) return one
    const deeper = one !== pid && programBelow(one)
    if (deeper) return deeper
  }
}
const answers = (url) =>
  fetch(`${url}/_sim/stats`).then(
    ({ status }) => status,
    () => 'nobody'
  )
/** Runs a command of the launcher in the background; resolves once `told` is found in what it prints. */
const background = async (command, args, told) => {
  const child = spawn(command, args, { cwd: site, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk))
  const ended = once(child, 'close')
  await until(`${command} ${args.join(' ')}: ${told}`, () => told.test(text) || child.exitCode !== null)
  const url = told.exec(text)
  assert.ok(url, text)
  return { child, url: url[1], ended, program: programBelow(child.pid) }
}
const run = (args, input = '') => spawnSync(launcher, args, { cwd: site, input, encoding: 'utf8' })
/** Runs the launcher on another platform, as far as Node.js can tell. */
const on = (property, value) => {
  const script = `Object.defineProperty(process, '${property}', { value: '${value}' }); require(${JSON.stringify(join(site, 'node_modules/auth-ticket/bin/auth-ticket.js'))})`
  return spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
}
/** A script of the site's own. */
const script = (name, text) => {
  writeFileSync(join(site, name), text)
  return join(site, name)
}
const login = async (url, code) => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${url}/v1/login`, { method: 'POST', headers, body: JSON.stringify({ code }) })
  const { ticket } = await answer.json()
  return (await fetch(`${url}/v1/verify`, { headers: { weixinauth: ticket } })).status
}

describe('the packages', { concurrency: true }, () => {
  test('of one platform hold its program and say so; the same programs make the same files', async () => {
    const pack = fileURLToPath(new URL('../pack.mjs', import.meta.url))
    const made = await Promise.all(
      [1, 2].map(async (number) => {
        const out = join(site, `packed-${number}`)
        const programs = ['linux-arm64', 'win32-x64'].map((platform) => `${platform}=${script('program', 'not really')}`)
        const [code] = await once(spawn(process.execPath, [pack, out, ...programs]), 'exit')
        assert.equal(code, 0)
        return Object.fromEntries(readdirSync(out).map((file) => [file, readFileSync(join(out, file), 'base64')]))
      })
    )
    assert.deepEqual(made[0], made[1])
    assert.equal(Object.keys(made[0]).length, 3)
    const list = (name) =>
      execFileSync(
        'tar',
        [
          '-tvzf',
          join(
            site,
            'packed-1',
            Object.keys(made[0]).find((file) => file.includes(name))
          )
        ],
        { encoding: 'utf8' }
      )
    assert.match(list('linux-arm64'), /^-rwxr-xr-x .* package\/bin\/auth-ticket$/m)
    assert.match(list('win32-x64'), / package\/bin\/auth-ticket\.exe$/m)
    const manifest = JSON.parse(readFileSync(join(site, `node_modules/@auth-ticket/${here}/package.json`), 'utf8'))
    assert.deepEqual([`${manifest.os}-${manifest.cpu}`, manifest.scripts], [here, undefined])
  })

  test('run no script at install time, and the one of another platform is left out', () => {
    const { scripts, optionalDependencies } = JSON.parse(readFileSync(join(site, 'node_modules/auth-ticket/package.json'), 'utf8'))
    assert.equal(scripts, undefined)
    assert.deepEqual(Object.keys(optionalDependencies), [`@auth-ticket/${here}`, '@auth-ticket/win32-x64'])
    assert.equal(existsSync(join(site, 'node_modules/@auth-ticket/win32-x64')), false)
  })

  for (const check of ['publint run --strict', 'attw --format table-flipped']) {
    test(`pass ${check}`, async () => {
      const [tool, ...args] = check.split(' ')
      const tools = fileURLToPath(new URL('../../js/node_modules/.bin/', import.meta.url))
      const child = spawn(tools + tool, [...args, resolve(packed('auth-ticket-0'))], { cwd: site })
      let text = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk))
      const [code] = await once(child, 'close')
      assert.equal(code, 0, text)
    })
  }

  test('are not made of what is no program', () => {
    const pack = fileURLToPath(new URL('../pack.mjs', import.meta.url))
    for (const [args, words] of [
      [[], /nothing to pack/],
      [['out', 'linux-x64=/nowhere'], /\/nowhere: there is no such program/],
      [['out', 'linux-x64'], /linux-x64: there is no such program/],
      [['out', 'plan9-x64=package.json'], /plan9-x64 is no platform/]
    ]) {
      const { status, stderr } = spawnSync(process.execPath, [pack, ...args], { cwd: site, encoding: 'utf8' })
      assert.equal(status, 1)
      assert.match(stderr, words)
    }
  })
})

describe('the launcher', { concurrency: true }, () => {
  test('npx auth-ticket demo logs in and checks; a signal to npx ends all of it', async () => {
    const args = ['--offline', 'auth-ticket', 'demo', '--listen', '127.0.0.1:0']
    const { child, url, ended, program } = await background('npx', args, /demo on (http:\S+)/)
    assert.equal(await login(url, 'demo-alice-1'), 200)
    child.kill('SIGTERM')
    await ended
    await until('the demo is gone', () => isGone(program))
  })

  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`passes ${signal} on, and the exit code back`, async () => {
      const { child, url, ended, program } = await background(launcher, ['simulator', '--listen', '127.0.0.1:0'], /simulator on (http:\S+)/)
      assert.equal(await answers(url), 200)
      child.kill(signal)
      assert.deepEqual(await ended, [0, null])
      assert.ok(isGone(program))
    })
  }

  test('ends as the program was ended', async () => {
    const { ended, program } = await background(launcher, ['simulator', '--listen', '127.0.0.1:0'], /simulator on (http:\S+)/)
    process.kill(program, 'SIGKILL')
    const [code, signal] = await ended
    assert.ok(code === 137 || signal === 'SIGKILL', `${code} ${signal}`)
  })

  test('passes arguments, standard input and refusals through', () => {
    assert.match(run(['--version']).stdout, /^auth-ticket \d/)
    const refused = run(['ticket', 'inspect', '-'], 'no ticket\n')
    assert.deepEqual([refused.status, refused.stdout], [1, ''])
    assert.match(refused.stderr, /^error: /)
    assert.equal(run(['no-such-command']).status, 2)
  })

  test('says so if there is no program for the platform, or it is not installed', () => {
    const unknown = on('platform', 'sunos')
    assert.deepEqual([unknown.status, unknown.stdout], [1, ''])
    assert.match(
      unknown.stderr,
      new RegExp(`^error: auth-ticket has no program for sunos-${process.arch}, only for ${here}, win32-x64\nhint: build it`)
    )
    const missing = on('platform', 'win32')
    assert.equal(missing.status, 1)
    assert.match(missing.stderr, /^error: the package @auth-ticket\/win32-x64 is not installed.*\nhint: install without --omit=optional/)
  })
})

describe('the helper for tests', { concurrency: true }, () => {
  test('starts two simulators at once, mints codes, and stops each as often as it is asked to', async () => {
    const both = await Promise.all([helper.startSimulator(), helper.startSimulator()])
    assert.notEqual(both[0].url, both[1].url)
    const code = await both[0].code('alice', { appid: APPID })
    const exchange = (url) => fetch(`${url}/sns/jscode2session?appid=${APPID}&secret=any&grant_type=authorization_code&js_code=${code}`)
    assert.equal((await (await exchange(both[1].url)).json()).errcode, 40029)
    assert.match((await (await exchange(both[0].url)).json()).openid, /^o/)
    assert.match(await both[0].code('alice', { appid: 'tt0123456789abcdef', platform: 'tt' }), /\w{20}/)
    await assert.rejects(both[0].code('a-b', { appid: APPID }), /^Error: auth-ticket simulator: /)
    await Promise.all([both[0].stop(), both[0].stop()])
    await both[0].stop()
    assert.deepEqual([await answers(both[0].url), await answers(both[1].url)], ['nobody', 200])
    assert.ok(isGone(both[0].pid) && !isGone(both[1].pid))
    await both[1][Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]()
    assert.ok(isGone(both[1].pid))
  })

  test('starts a demo and gives its three addresses', async () => {
    const lines = []
    const demo = await helper.startDemo({ log: (line) => lines.push(line) })
    assert.equal(await login(demo.url, await demo.code('bob', { appid: APPID })), 200)
    assert.equal((await fetch(`${demo.operators}/readyz`)).status, 200)
    assert.equal(await answers(demo.simulator), 200)
    await until('the log has the request', () => lines.some((line) => line.includes('/v1/login')))
    await demo.stop()
  })

  test('rejects with the words of a program that does not start', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    await assert.rejects(helper.startSimulator({ port }), {
      message: new RegExp(`^auth-ticket simulator: error: cannot listen on 127.0.0.1:${port}`)
    })
    server.close()
    await assert.rejects(
      helper.startSimulator({ program: join(site, 'nowhere') }),
      /^Error: auth-ticket simulator: cannot run .*nowhere: .*ENOENT/
    )
    await assert.rejects(helper.startSimulator({ program: packed('auth-ticket-0') }), /cannot run .*EACCES/)
    await assert.rejects(helper.startDemo({ program: process.execPath }), /^Error: auth-ticket demo: /)
  })

  test('ends a program that starts too slowly, or is called off', async () => {
    const slow = script('slow', '#!/bin/sh\necho $$ >"$0.pid"\nexec sleep 600\n')
    execFileSync('chmod', ['+x', slow])
    const pid = () => Number(readFileSync(`${slow}.pid`, 'utf8'))
    await assert.rejects(helper.startSimulator({ program: slow, timeout: 500 }), /it said no address within 500 ms/)
    assert.ok(isGone(pid()))
    const reason = new Error('enough')
    await assert.rejects(helper.startSimulator({ program: slow, signal: AbortSignal.abort(reason) }), reason)
    const control = new AbortController()
    setTimeout(() => control.abort(reason), 200)
    await assert.rejects(helper.startSimulator({ program: slow, signal: control.signal }), reason)
    assert.ok(isGone(pid()))
    const later = new AbortController()
    const started = await helper.startSimulator({ signal: later.signal })
    later.abort()
    await until('it is gone', () => isGone(started.pid))
    await started.stop()
  })

  test('is gone with its parent, however that ends', async () => {
    const start = `const { startSimulator } = require('auth-ticket'); startSimulator().then(({ pid }) => console.log('pid ' + pid))`
    const killed = await background(process.execPath, [script('killed.cjs', `${start}; setInterval(() => {}, 1000)`)], /pid (\d+)/)
    assert.equal(isGone(killed.url), false)
    killed.child.kill('SIGKILL')
    await until('it is gone', () => isGone(killed.url))
    // One that forgets to stop it ends by itself.
    const forgetful = await background(process.execPath, [script('forgetful.cjs', start)], /pid (\d+)/)
    assert.deepEqual(await forgetful.ended, [0, null])
    await until('it is gone', () => isGone(forgetful.url))
  })

  test('is there for import and require', () => {
    const names = ['programPath', 'startDemo', 'startSimulator']
    assert.deepEqual(Object.keys(helper).sort(), names)
    const text = `import main, * as all from 'auth-ticket'; import { createRequire } from 'node:module'
      console.log(JSON.stringify([Object.keys(all), Object.keys(createRequire(import.meta.url)('auth-ticket')), main]))`
    const imported = spawnSync(process.execPath, [script('both.mjs', text.replace('main, ', '').replace(', main', ''))], {
      encoding: 'utf8'
    })
    const [esm, cjs] = JSON.parse(imported.stdout)
    assert.deepEqual([esm.sort(), cjs.sort()], [names, names])
    assert.ok(statSync(helper.programPath()).mode & 0o100)
  })
})
