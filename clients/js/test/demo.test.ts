// The demo's page in Chromium: what each button claims, the server is asked for; who can use it; pictures in target/page.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
// @ts-expect-error a script without types
import { scripts } from '../scripts/page.mjs'
import { start, stopAll } from './support/server.js'

const pictures = fileURLToPath(new URL('../../../target/page/', import.meta.url))
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let url: string
let browser: Browser

before(async () => {
  mkdirSync(pictures, { recursive: true })
  url = await start(['demo', '--listen', '127.0.0.1:0'])
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
})
after(async () => {
  await browser?.close()
  stopAll()
})

/** A page, and everything that its console complains of, refusals of tickets apart: these are what it shows. */
async function open(options: BrowserContextOptions = {}): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    const { url: about } = message.location()
    const isRefusal = /status of 401/.test(message.text()) && /\/v1\/(verify|renew)/.test(about)
    if (['error', 'warning'].includes(message.type()) && !isRefusal) complaints.push(`${message.text()} ${about}`)
  })
  page.on('request', (request) => {
    if (!/^http:\/\/127\.0\.0\.1:/.test(request.url())) complaints.push(`asked elsewhere: ${request.url()}`)
  })
  await page.goto(url)
  await page.locator('.card').nth(2).waitFor()
  return { page, complaints }
}

const press = (page: Page, action: string) => page.click(`[data-do=${action}]`)
const said = (page: Page, step: string, how: 'ok' | 'bad') => page.locator(`[data-says=${step}].${how}`).waitFor()
const shownTicket = (page: Page) => page.locator('#ticket-text').textContent() as Promise<string>
const logIn = async (page: Page, user = 'alice') => {
  await page.fill('#user', user)
  await page.click('#login-form button')
  await page.locator('[data-says=login]', { hasText: user }).waitFor()
}
const session = async (ticket: string, server = url) => {
  const answer = await fetch(`${server}/v1/session`, { headers: { weixinauth: ticket } })
  return { status: answer.status, ...((await answer.json()) as any) }
}
const replicas = async (ticket = ''): Promise<any[]> =>
  ((await (await fetch(`${url}/_demo/replicas`, { headers: ticket ? { weixinauth: ticket } : {} })).json()) as any).replicas

test('the scripts that the program contains are what their sources make', async () => {
  const built: { path: string; text: string }[] = await scripts()
  assert.equal(built.length, 2)
  for (const { path, text } of built) assert.ok(readFileSync(path, 'utf8') === text, `${path} is not: npm run page`)
})

describe('each action does what it says', { concurrency: 2 }, () => {
  test('log in as a user of each platform', async () => {
    const { page, complaints } = await open()
    const options = await page.locator('#platform option').evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value))
    assert.equal(options.length, 12)
    const platforms = new Set()
    for (const [number, appid] of options.entries()) {
      await page.selectOption('#platform', appid)
      await logIn(page, `user${number}`)
      const who = await session(await shownTicket(page))
      assert.deepEqual([who.status, who.appid], [200, appid])
      platforms.add(who.platform)
      const phone = ['weapp', 'tt'].includes(who.platform)
      assert.equal(await page.locator('[data-do=phone]').getAttribute('aria-disabled'), String(!phone))
    }
    assert.equal(platforms.size, 12)
    assert.deepEqual(complaints, [])
  })

  test('check, change one character, renew, bind a phone, hand over, rotate, cut off', async () => {
    const { page, complaints } = await open({ permissions: ['clipboard-read', 'clipboard-write'] })
    for (const action of ['check', 'tamper', 'renew', 'phone', 'handover', 'cutoff']) {
      assert.ok(await page.locator(`[data-do=${action}]`).isDisabled(), action)
    }
    await logIn(page)
    const first = await shownTicket(page)
    const who = await session(first)
    assert.equal(who.platform, 'weapp')
    const claims = await page.locator('#claims').textContent()
    assert.ok(claims!.includes(who.openid) && claims!.includes(who.login_id))
    const parts = await page.locator('#parts').textContent()
    const header = Buffer.from(first, 'base64url').toString('hex').slice(0, 18)
    for (const part of [header.slice(0, 2), header.slice(2, 10), header.slice(10)]) assert.ok(parts!.includes(part), part)
    assert.ok(!(await page.content()).includes('session_key"'), 'no session_key')

    await press(page, 'check')
    await said(page, 'ticket', 'ok')
    const shown = () => page.locator('[data-exchange=ticket] pre').textContent() as Promise<string>
    assert.match(await shown(), new RegExp(`^HTTP 200\\n[^]*x-auth-openid: ${who.openid}`))
    await page.click('[data-exchange=ticket] [data-view=curl]')
    assert.match(
      execFileSync('bash', ['-c', await shown()], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
      /^HTTP\/1.1 200 OK/
    )
    await page.click('[data-exchange=ticket] .copy')
    await page.locator('[data-exchange=ticket] .copy', { hasText: 'Copied' }).waitFor()
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await shown())
    await page.click('[data-exchange=ticket] [data-view=client]')
    assert.match(await shown(), /await auth\.request\(/)
    await page.click('[data-exchange=ticket] [data-view=answer]')

    await press(page, 'tamper')
    await said(page, 'ticket', 'bad')
    const forged = await shownTicket(page)
    assert.equal([...forged].filter((character, at) => character !== first[at]).length, 1)
    assert.equal((await page.locator('#ticket-text mark').textContent())!.length, 1)
    assert.deepEqual([(await session(forged)).error, (await session(first)).status], ['invalid_ticket', 200])

    await press(page, 'renew')
    await said(page, 'ticket', 'ok')
    const second = await shownTicket(page)
    assert.notEqual(second, first)
    assert.equal((await session(second)).login_id, who.login_id)

    assert.equal((await session(second)).phone_number, undefined)
    await press(page, 'phone')
    await said(page, 'beyond', 'ok')
    const third = await shownTicket(page)
    const number = (await session(third)).phone_number
    assert.match(number, /^\+86\d{11}$/)
    assert.ok((await page.locator('[data-says=beyond]').textContent())!.includes(number))

    await press(page, 'handover')
    const inside = page.frameLocator('#frame')
    await inside.locator('#who.ok').waitFor()
    const handed = (await inside.locator('#claims').textContent())!
    assert.ok(handed.includes(who.login_id) && !handed.includes(number), handed)
    const frame = page.frames().find((one) => one !== page.mainFrame())!
    assert.notEqual(new URL(frame.url()).origin, url)
    assert.ok(!frame.url().includes('handover'), frame.url())

    const rings = await replicas()
    await press(page, 'rotate')
    await said(page, 'keys', 'ok')
    await page.locator('.life .state.pending').waitFor()
    await page.locator('.life .state.retiring').waitFor({ timeout: 15_000 })
    const kids = (await replicas()).map(({ keys }) => keys.keys.find(({ state }: any) => state === 'active').kid)
    assert.equal(new Set(kids).size, 1)
    assert.notEqual(kids[0], rings[0].keys.keys[0].kid)
    await press(page, 'check')
    await said(page, 'ticket', 'ok')
    for (const { url: server } of rings) assert.equal((await session(third, server)).status, 200)
    await press(page, 'renew')
    await page.locator('#parts', { hasText: kids[0] }).waitFor()
    const fourth = await shownTicket(page)
    assert.equal(Buffer.from(fourth, 'base64url').toString('hex').slice(2, 10), kids[0])

    assert.equal(await page.locator('.verdict.ok').count(), 3)
    await press(page, 'cutoff')
    await page.locator('[data-says=replicas]', { hasText: 'All three' }).waitFor({ timeout: 8000 })
    assert.equal(await page.locator('.verdict.bad').count(), 3)
    for (const { url: server } of rings)
      for (const ticket of [third, fourth]) assert.equal((await session(ticket, server)).error, 'ticket_revoked')
    await page.screenshot({ path: `${pictures}cut-off.png`, fullPage: true })
    for (const action of ['renew', 'check']) {
      await press(page, action)
      await page.locator('[data-says=ticket].bad', { hasText: 'ticket_revoked' }).waitFor()
    }
    assert.equal(await shownTicket(page), fourth, 'nobody was logged in again')
    await logIn(page)
    assert.equal((await session(await shownTicket(page))).status, 200)
    await page.locator('.verdict.ok').nth(2).waitFor()
    assert.deepEqual(complaints, [])
  })
})

describe('whoever comes can use it', { concurrency: 2 }, () => {
  test('axe finds nothing in either language and colour scheme, and it fits on each screen', async () => {
    const { page, complaints } = await open({ locale: 'zh-CN' })
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN', 'as the browser says')
    await page.evaluate(axe)
    const look = async (what: string, languages: string[]) => {
      for (const language of languages)
        for (const colorScheme of ['light', 'dark'] as const) {
          const name = `${what}-${language}-${colorScheme}`
          await page.emulateMedia({ colorScheme })
          await page.click(`[data-lang=${language}]`)
          const { violations } = await page.evaluate(() => (window as any).axe.run(document, { iframes: false }))
          const told = violations.map(({ id, impact, nodes }: any) => `${impact} ${id}: ${nodes.map((node: any) => node.html).join(', ')}`)
          assert.deepEqual(told, [], name)
          for (const width of [360, 768, 1280]) {
            await page.setViewportSize({ width, height: 900 })
            const wide = await page.evaluate(() => document.documentElement.scrollWidth)
            assert.ok(wide <= width, `${name}: ${wide} px wide at ${width}`)
            if (what === 'used') await page.screenshot({ path: `${pictures}${name}-${width}.png`, fullPage: true })
          }
        }
    }
    await look('start', ['zh'])
    await logIn(page)
    await press(page, 'phone')
    await said(page, 'beyond', 'ok')
    await press(page, 'handover')
    await page.frameLocator('#frame').locator('#who.ok').waitFor()
    await press(page, 'tamper')
    await said(page, 'ticket', 'bad')
    await look('used', ['en', 'zh'])
    const text = (await page.locator('body').textContent())!
    assert.ok(!/认证|授权/.test(text))
    assert.ok(!/The |Log in/.test(text), 'a text is not translated')
    assert.deepEqual(complaints, [])
  })

  test('the language can be switched, and is remembered', async () => {
    const { page } = await open({ locale: 'fr-FR' })
    const title = () => page.locator('h1').textContent()
    assert.match((await title())!, /^Log in once/)
    await logIn(page)
    await page.click('[data-lang=zh]')
    assert.match((await title())!, /^登录一次/)
    assert.match((await page.locator('[data-says=login]').textContent())!, /alice 已登录/)
    await page.reload()
    assert.match((await title())!, /^登录一次/)
    await page.click('[data-lang=en]')
    assert.match((await title())!, /^Log in once/)
  })

  test('by keyboard alone: log in, change one character', async () => {
    const { page } = await open()
    const focused = () => page.evaluate(() => document.activeElement?.id || (document.activeElement as HTMLElement)?.dataset.do || '')
    const tabTo = async (name: string) => {
      for (let presses = 0; presses < 30; presses++) {
        await page.keyboard.press('Tab')
        if ((await focused()) === name) return
      }
      assert.fail(`Tab does not lead to ${name}`)
    }
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'platform', 'the link past the head of the page')
    await tabTo('user')
    await page.keyboard.press('Control+A')
    await page.keyboard.type('bob')
    await page.keyboard.press('Enter')
    await page.locator('[data-says=login]', { hasText: 'bob' }).waitFor()
    await tabTo('tamper')
    await page.keyboard.press('Enter')
    await said(page, 'ticket', 'bad')
    assert.equal(await focused(), 'tamper', 'the focus stays')
  })
})
