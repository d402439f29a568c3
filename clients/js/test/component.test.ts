// A page of WeChat's with the phone button, rendered by WeChat's own component engine.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { JSDOM } from 'jsdom'
import { fakeNative } from '../src/testing.js'
import { APPID, Proxy, startServer, stopAll } from './support/server.js'

const directory = mkdtempSync(join(tmpdir(), 'auth-ticket-component-'))
after(() => {
  stopAll()
  rmSync(directory, { recursive: true })
})

test('the phone button of the native example binds the number, and asks for another tap if the key is stale', async () => {
  const { window } = new JSDOM()
  const { document, Node, HTMLElement, Event, CustomEvent, TouchEvent } = window
  Object.assign(globalThis, { window, document, Node, HTMLElement, Event, CustomEvent, TouchEvent })
  const server = await startServer()
  const login = await Proxy.start(server.url)
  const fake = fakeNative({ user: 'alice' })
  const example = fileURLToPath(new URL('../examples/native/pages/index/', import.meta.url))
  const { outputFiles } = await build({ entryPoints: [example + 'index.js'], bundle: true, format: 'cjs', outdir: directory, write: false })
  writeFileSync(join(directory, 'index.js'), outputFiles[0]!.text.replace('https://login.example.com', login.url))
  for (const file of ['index.wxml', 'index.json']) cpSync(example + file, join(directory, file))

  const simulate = createRequire(import.meta.url)('miniprogram-simulate')
  // Its own `wx` answers with fixed values.
  Object.assign((globalThis as any).wx, fake.native)
  const page = simulate.render(simulate.load(join(directory, 'index'), { compiler: 'simulate' }))
  page.attach(document.createElement('div'))
  const shows = async (text: RegExp) => {
    for (let i = 0; i < 200 && !text.test(page.dom.textContent); i++) await simulate.sleep(10)
    assert.match(page.dom.textContent, text)
  }
  const tap = (detail: object) => page.querySelector('.phone').dispatchEvent('getphonenumber', { detail })

  await shows(/绑定手机号/)
  for (let i = 0; i < 200 && !fake.stored.size; i++) await simulate.sleep(10)
  assert.equal(login.count('/v1/login'), 1)

  // The user says no.
  tap({ errMsg: 'getPhoneNumber:fail user deny' })
  // The platform has replaced the key meanwhile.
  fake.sessionKeyReplaced = true
  await fetch(`${server.simulator}/_sim/users/alice/reset-session-key`, { method: 'POST' })
  const encrypted = async () =>
    (
      await fetch(`${server.simulator}/_sim/encrypt`, {
        method: 'POST',
        body: JSON.stringify({ appid: APPID, name: 'alice', kind: 'phone' })
      })
    ).json() as Promise<object>
  tap(await encrypted())
  await shows(/请再点一次/)
  assert.equal(login.count('/v1/login'), 2)
  tap({ ...(await encrypted()), code: 'phone-alice-1' })
  await shows(/^\+86\d{11}$/)
  assert.equal(login.count('/v1/phone'), 2)
})
