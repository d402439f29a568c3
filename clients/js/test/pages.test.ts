// Pages in Chromium: two tabs, hand-overs, the login at WeChat, what a browser sends.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { createAuthTicket } from '../src/index.js'
import { nativeAdapter } from '../src/native.js'
import { fakeNative } from '../src/testing.js'
import { APPID, Proxy, startServer, stopAll, type AuthServer } from './support/server.js'

let server: AuthServer
let login: Proxy
let site: Proxy
let elsewhere: Proxy
let weixin: Proxy
let browser: Browser
let context: BrowserContext
let code = 0
let script = ''

/** A page of the site, with a client at `window.auth` whose users are `user`. */
async function open(options: { user?: string; adapter?: string; path?: string; userAgent?: string } = {}): Promise<Page> {
  const page = await context.newPage()
  const {
    user = 'alice',
    path = '/',
    adapter = `{ login: async () => 'demo-${user}-' + Date.now() + Math.random().toString(36).slice(2) }`
  } = options
  await page.addInitScript(`window.options = () => (${adapter})`)
  await page.goto(site.url + path)
  return page
}
const openid = (page: Page) => page.evaluate(() => (window as any).auth.session().then((who: any) => who.openid))
const failure = (page: Page, call = 'auth.session()') => page.evaluate(`${call}.then(() => 'no failure', (error) => error.code)`)

/** What the mini-program of `user` puts into the address of a page. */
async function handoverFor(user: string): Promise<string> {
  const auth = createAuthTicket({ baseURL: server.url, appid: APPID, adapter: nativeAdapter(fakeNative({ user }).native) })
  return (await auth.handover({ origin: site.url })).handover
}

before(async () => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const contents = `
    import { createAuthTicket } from './src/index.js'
    import { webAdapter, weixinLogin } from './src/web.js'
    Object.assign(window, { weixinLogin })
    window.auth = createAuthTicket({ baseURL: window.LOGIN, appid: '${APPID}', origins: [window.SITE], adapter: webAdapter(window.options()) })`
  const { outputFiles } = await build({ stdin: { contents, resolveDir: root, loader: 'ts' }, bundle: true, write: false, format: 'iife' })
  script = outputFiles[0]!.text
  site = await Proxy.start()
  server = await startServer(`[cors]\norigins = ["${site.url}"]\n[handover]\norigins = ["${site.url}", "https://h5.example.com"]\n`)
  login = await Proxy.start(server.url)
  elsewhere = await Proxy.start()
  weixin = await Proxy.start()
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
})
after(async () => {
  await browser?.close()
  stopAll()
})
beforeEach(async () => {
  context = await browser.newContext()
  site.interfere = ({ path }, response) => {
    if (!/^\/(\?|$)/.test(path)) return false
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(
      `<!doctype html><link rel="icon" href="data:,"><script>LOGIN=${JSON.stringify(login.url)};SITE=${JSON.stringify(site.url)}</script><script>${script}</script>`
    )
    return true
  }
  login.interfere = undefined
  for (const proxy of [login, site, elsewhere, weixin]) proxy.seen.length = 0
})
afterEach(() => context.close())

describe('tabs', () => {
  test('share a ticket, and one renewal', async () => {
    const first = await open()
    const who = await openid(first)
    const second = await open()
    assert.equal(await openid(second), who)
    assert.equal(login.seen.filter(({ path, method }) => path === '/v1/login' && method === 'POST').length, 1)
    login.seen.length = 0
    for (const page of [first, second])
      await page.evaluate(
        () =>
          (Date.now = (
            (now) => () =>
              now() + 6_000_000
          )(Date.now))
      )
    await Promise.all(
      [first, second].map((page) =>
        page.evaluate(() => Promise.all(Array.from({ length: 10 }, () => (window as any).auth.request({ url: '/v1/session' }))))
      )
    )
    await Promise.all(
      [first, second].map((page) =>
        page.evaluate(() => navigator.locks.request('after', () => new Promise((resolve) => setTimeout(resolve, 300))))
      )
    )
    assert.equal(login.seen.filter(({ path, method }) => path === '/v1/renew' && method === 'POST').length, 1)
    const tickets = await Promise.all([first, second].map((page) => page.evaluate(() => (window as any).auth.header())))
    assert.deepEqual(tickets[0], tickets[1])
  })

  test('log in once when both were just opened', async () => {
    const pages = await Promise.all([open(), open()])
    await Promise.all(pages.map(openid))
    assert.equal(login.seen.filter(({ path, method }) => path === '/v1/login' && method === 'POST').length, 1)
  })

  test('adopt a login of another tab, and its end', async () => {
    const first = await open()
    const second = await open({ user: 'bob' })
    await openid(second)
    const bob = await openid(second)
    await first.evaluate(() => (window as any).auth.ensure())
    assert.equal(await openid(first), bob)
    await second.evaluate(() => (window as any).auth.login())
    await first.waitForFunction(
      (ticket) => (window as any).auth.header().then((h: any) => h.weixinauth === ticket),
      await second.evaluate(() => (window as any).auth.header().then((h: any) => h.weixinauth))
    )
    await second.evaluate(() => (window as any).auth.logout())
    await first.waitForFunction(() => !(window as any).auth.state.loggedIn)
  })
})

describe('a hand-over', () => {
  const inside = '{ allowOutside: true }'

  test('logs the page in, and leaves the address', async () => {
    const page = await open({ adapter: inside, path: `/?a=1#/list&handover=${await handoverFor('alice')}&b=2` })
    assert.equal(page.url(), `${site.url}/?a=1#/list&b=2`)
    assert.equal(typeof (await openid(page)), 'string')
    assert.deepEqual(login.seen.filter(({ path, method }) => path === '/v1/handover/redeem' && method === 'POST').length, 1)
    await page.reload()
    await openid(page)
    assert.equal(login.seen.filter(({ path, method }) => path === '/v1/handover/redeem' && method === 'POST').length, 1)
  })

  test('is not redeemed outside a web-view, but leaves the address', async () => {
    const page = await open({ adapter: '{}', path: `/#handover=${await handoverFor('alice')}` })
    assert.equal(page.url(), `${site.url}/`)
    assert.equal(await failure(page), 'platform_login')
    assert.equal(login.count('/v1/handover/redeem'), 0)
  })

  test('is redeemed in a web-view', async () => {
    await context.close()
    context = await browser.newContext({ userAgent: 'Mozilla/5.0 (iPhone) MicroMessenger/8.0.50 miniProgram/wx0123456789abcdef' })
    const page = await open({ adapter: '{}', path: `/#handover=${await handoverFor('alice')}` })
    assert.equal(typeof (await openid(page)), 'string')
  })

  test('is redeemed where storage is switched off', async () => {
    await context.addInitScript(`Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied') } })`)
    const page = await open({ adapter: inside, path: `/#handover=${await handoverFor('alice')}` })
    assert.equal(typeof (await openid(page)), 'string')
  })

  test('of the same user is taken', async () => {
    await openid(await open())
    const page = await open({ adapter: inside, path: `/#handover=${await handoverFor('alice')}` })
    assert.equal(typeof (await openid(page)), 'string')
  })

  test('of another user does not replace a live ticket', async () => {
    const alice = await openid(await open())
    const page = await open({ adapter: inside, path: `/#handover=${await handoverFor('mallory')}` })
    assert.equal(await failure(page), 'handover_conflict')
    assert.equal(await openid(page), alice)
    assert.equal(login.seen.filter(({ path, method }) => path === '/v1/handover/redeem' && method === 'POST').length, 1)
  })

  test('of another user replaces a ticket that the server refuses', async () => {
    const first = await open()
    const { login_id } = await first.evaluate(() => (window as any).auth.session())
    await server.revoke(login_id, (await first.evaluate(() => (window as any).auth.header())).weixinauth)
    const page = await open({ adapter: inside, path: `/#handover=${await handoverFor('bob')}` })
    assert.equal(typeof (await openid(page)), 'string')
  })

  test('that is not authentic, or for another page, is an error', async () => {
    const handover = await handoverFor('alice')
    const page = await open({ adapter: inside, path: `/#handover=${handover.slice(0, -3)}AAA` })
    assert.equal(await failure(page), 'invalid_ticket')
    const auth = createAuthTicket({ baseURL: server.url, appid: APPID, adapter: nativeAdapter(fakeNative().native) })
    const foreign = (await auth.handover({ origin: 'https://h5.example.com' })).handover
    const other = await open({ adapter: inside, path: `/#handover=${foreign}` })
    assert.equal(await failure(other), 'invalid_ticket')
  })

  test('is kept while the server cannot be asked', async () => {
    let failing = true
    login.interfere = ({ path, method }, response) =>
      failing && method === 'POST' && path === '/v1/handover/redeem' && (response.destroy(), true)
    const page = await open({ adapter: inside, path: `/#handover=${await handoverFor('alice')}` })
    assert.equal(await failure(page), 'network')
    failing = false
    assert.equal(typeof (await openid(page)), 'string')
  })
})

describe('the login at WeChat', () => {
  const adapter = () => `{ login: weixinLogin({ authorizeURL: '${weixin.url}/authorize' }) }`
  /** Sends the browser back as WeChat does, with `state` or what it makes of it. */
  const goBack = (state = (sent: string) => sent) => {
    weixin.interfere = ({ path }, response) => {
      const query = new URL(path, weixin.url).searchParams
      if (!query.has('state')) return false
      const back = new URL(query.get('redirect_uri')!)
      back.searchParams.set('code', `demo-carol-${code++}`)
      back.searchParams.set('state', state(query.get('state')!))
      response.writeHead(302, { location: String(back) })
      response.end()
      return true
    }
  }

  test('comes back logged in, with nothing in the address', async () => {
    goBack()
    const page = await open({ adapter: adapter(), path: '/?a=1' })
    assert.equal(await failure(page), 'platform_login')
    assert.equal(weixin.seen.length, 0)
    await Promise.all([page.waitForEvent('load'), page.evaluate(() => void (window as any).auth.login({ interactive: true }))])
    assert.equal(page.url(), `${site.url}/?a=1`)
    assert.equal(typeof (await openid(page)), 'string')
    const [asked] = weixin.seen
    assert.match(
      asked!.path,
      new RegExp(`^/authorize\\?appid=${APPID}&redirect_uri=[^&]+&response_type=code&scope=snsapi_base&state=[0-9a-f]{32}$`)
    )
    assert.equal(login.seen.filter(({ path, method }) => path === '/v1/login' && method === 'POST').length, 1)
  })

  test('with another state posts no code', async () => {
    goBack(() => 'f'.repeat(32))
    const page = await open({ adapter: adapter() })
    await Promise.all([page.waitForEvent('load'), page.evaluate(() => void (window as any).auth.login({ interactive: true }))])
    assert.equal(page.url(), `${site.url}/`)
    assert.equal(await failure(page), 'platform_login')
    assert.equal(login.count('/v1/login'), 0)
  })

  test('a link with a code that nobody asked for posts no code, and stays as it is', async () => {
    const page = await open({ adapter: adapter(), path: '/?code=demo-mallory-1&state=abc' })
    assert.equal(page.url(), `${site.url}/?code=demo-mallory-1&state=abc`)
    assert.equal(await failure(page), 'platform_login')
    assert.equal(login.count('/v1/login'), 0)
  })
})

describe('the login at the simulated WeChat', () => {
  let real: AuthServer
  before(async () => {
    const app = `[[app]]\nappid = "${APPID}"\nplatform = "weixin-web"\nsecret_env = "WX_SECRET"\n`
    real = await startServer(`[cors]\norigins = ["${site.url}"]\n`, async () => app)
  })
  beforeEach(() => {
    const before = site.interfere!
    const head = `<!doctype html><link rel="icon" href="data:,">`
    const globals = `<script>LOGIN=${JSON.stringify(real.url)};SITE=${JSON.stringify(site.url)}</script>`
    site.interfere = (seen, response, request) =>
      /^\/(\?|$)/.test(seen.path)
        ? (response.writeHead(200, { 'content-type': 'text/html' }), response.end(`${head}${globals}<script>${script}</script>`), true)
        : before(seen, response, request)
  })
  const adapter = (scope: string, page = 'oauth2/authorize') =>
    `{ login: weixinLogin({ scope: '${scope}', authorizeURL: '${real.simulator}/connect/${page}' }) }`
  /** Leaves for WeChat, and waits for its page, or for that of the site. */
  const leave = (page: Page, to: string) =>
    Promise.all([
      page.waitForURL((url) => url.href.startsWith(to)),
      page.evaluate(() => void (window as any).auth.login({ interactive: true }))
    ])
  const press = async (page: Page, button: string, name?: string) => {
    if (name) await page.fill('[name=sim_name]', name)
    await Promise.all([page.waitForURL((url) => url.href.startsWith(site.url)), page.click(`text=${button}`)])
  }
  const session = (page: Page) => page.evaluate(() => (window as any).auth.session())

  for (const [scope, path] of [
    ['snsapi_userinfo', 'oauth2/authorize'],
    ['snsapi_login', 'qrconnect']
  ] as const) {
    test(`${scope}: who agrees comes back as who they are, and the address is clean`, async () => {
      const page = await open({ adapter: adapter(scope, path), path: '/?a=1' })
      await leave(page, real.simulator)
      await press(page, 'Allow', 'carol')
      const who = await session(page)
      assert.deepEqual([who.platform, typeof who.openid, typeof who.unionid], ['weixin-web', 'string', 'string'])
      assert.equal(page.url(), `${site.url}/?a=1`)
      // Nor is the code in the history.
      await page.goBack()
      await page.goForward()
      assert.equal(page.url(), `${site.url}/?a=1`)
    })
  }

  test('snsapi_base asks nobody who is logged in at WeChat, and shows no unionid', async () => {
    const page = await open({ adapter: adapter('snsapi_userinfo') })
    await leave(page, real.simulator)
    await press(page, 'Allow', 'dave')
    const { openid } = await session(page)
    const silent = await open({ adapter: adapter('snsapi_base') })
    await silent.evaluate(() => (window as any).auth.logout())
    await Promise.all([silent.waitForEvent('load'), leave(silent, site.url)])
    const who = await session(silent)
    assert.deepEqual([who.openid, who.unionid], [openid, undefined])
    // Along with the fragment of WeChat's address, which a redirect keeps.
    assert.equal(silent.url(), `${site.url}/`)
  })

  test('a snapshot is told apart: no ticket, and the page can say why', async () => {
    const page = await open({ adapter: adapter('snsapi_userinfo') })
    await leave(page, real.simulator)
    await press(page, 'Look at a snapshot')
    assert.equal(await failure(page), 'user_blocked')
    assert.equal(await page.evaluate(() => localStorage.length), 0)
    assert.equal(page.url(), `${site.url}/`)
  })

  test('a code of somebody else, in a link with their state, is not sent', async () => {
    const mallory = await (await browser.newContext()).newPage()
    await mallory.goto(
      `${real.simulator}/connect/oauth2/authorize?appid=${APPID}&redirect_uri=${encodeURIComponent(site.url)}&response_type=code&scope=snsapi_userinfo&state=aaaa`
    )
    await press(mallory, 'Allow', 'mallory')
    const link = mallory.url()
    assert.match(link, /code=\w{32}&state=aaaa/)
    await mallory.context().close()
    const page = await open({ adapter: adapter('snsapi_userinfo') })
    // In the middle of a login of their own.
    await page.evaluate(() => sessionStorage.setItem('auth-ticket:state', 'b'.repeat(32)))
    await page.goto(link)
    assert.equal(await failure(page), 'platform_login')
    assert.equal(page.url(), `${site.url}/`)
  })
})

describe('what a browser sends', () => {
  test('no cookie, no referrer, the ticket to listed origins only', async () => {
    await context.addCookies([{ name: 'a', value: 'b', url: login.url }])
    const page = await open()
    await page.evaluate((url) => (window as any).auth.request({ url: url + '/x' }).catch(() => {}), elsewhere.url)
    await page.evaluate((url) => (window as any).auth.request({ url: url + '/x' }), site.url)
    await openid(page)
    for (const { headers } of [...login.seen, ...elsewhere.seen])
      assert.deepEqual([headers.cookie, headers.referer], [undefined, undefined])
    assert.ok(elsewhere.seen.length > 0)
    for (const { headers } of elsewhere.seen)
      assert.deepEqual([headers.weixinauth, headers['access-control-request-headers']], [undefined, undefined])
    assert.match(site.seen.find(({ path }) => path === '/x')!.headers.weixinauth as string, /^A/)
  })

  test('a redirect is not followed with a ticket', async () => {
    const page = await open()
    const before = site.interfere!
    site.interfere = (seen, response, request) =>
      seen.path === '/from' ? (response.writeHead(302, { location: elsewhere.url }), response.end(), true) : before(seen, response, request)
    assert.equal(await failure(page, `auth.request({ url: SITE + '/from' })`), 'network')
    assert.equal(elsewhere.seen.length, 0)
  })

  test('a request can be ended, a file sent and fetched', async () => {
    const page = await open()
    assert.equal(await failure(page, `(() => { const call = auth.request({ url: SITE + '/x' }); call.abort(); return call })()`), 'aborted')
    const up = await page.evaluate(() =>
      (window as any).auth.upload({
        url: (window as any).SITE + '/up',
        file: new Blob(['picture']),
        name: 'file',
        formData: { kind: 'id' }
      })
    )
    assert.match(up.data.body, /name="kind"[^]*id[^]*name="file"[^]*picture/)
    const down = await page.evaluate(() =>
      (window as any).auth
        .download({ url: (window as any).SITE + '/down' })
        .then(async ({ data }: any) => JSON.parse(await data.text()).headers.weixinauth)
    )
    assert.match(down, /^A/)
  })

  test('storage that is switched off keeps nobody out', async () => {
    const page = await open()
    await page.evaluate(`Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied') } })`)
    assert.equal(typeof (await openid(page)), 'string')
  })
})
