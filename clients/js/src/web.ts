import { AuthTicketError } from './error.js'
import type { Adapter, Headers, Outgoing, OutgoingFile } from './types.js'

export { weixinLogin, type WeixinOptions } from './weixin.js'

export interface WebOptions {
  /** How the page logs in: `weixinLogin(...)`, or your own way to a login code. Without one, only hand-overs log in. */
  login?: Adapter['login']
  /** Redeem a hand-over outside a mini-program's web-view, too. Such a link logs in whoever opens it. */
  allowOutside?: boolean
}

/** Takes the hand-over out of the address, so that it is in no history and no link. */
const takeHandover = (): string => {
  let handover = ''
  const hash = location.hash.replace(/([#&])handover=([\w-]+)(&?)/, (_, before: string, value: string, after: string) => {
    handover = value
    return after && before
  })
  if (handover) history.replaceState(history.state, '', location.pathname + location.search + hash)
  return handover
}

/** Whether this page is in a mini-program's web-view, by what the platforms say of themselves. */
const inMiniProgram = (): boolean =>
  (window as any).__wxjs_environment === 'miniprogram' || /mini-?program|toutiaomicroapp|swan\//i.test(navigator.userAgent)

/** For pages. */
export function webAdapter({ login, allowOutside }: WebOptions = {}): Adapter {
  let handover = takeHandover()
  let stored = '{}'
  if (!allowOutside && !inMiniProgram()) handover = ''

  const exchange = async (request: Outgoing, method: string, body?: BodyInit, read: 'text' | 'blob' = 'text') => {
    const { url, headers } = request
    const ending = new AbortController()
    request.end = () => ending.abort()
    const response = await fetch(url, {
      method,
      headers,
      body,
      redirect: headers.weixinauth ? 'manual' : 'follow',
      signal: ending.signal,
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      cache: 'no-store'
    })
    if (response.type === 'opaqueredirect') throw new Error('a request with a ticket follows no redirect')
    const received: Headers = {}
    response.headers.forEach((value, name) => (received[name] = value))
    return { status: response.status, headers: received, body: await response[read]() }
  }

  return {
    send: (request) => exchange(request, request.method.toUpperCase(), request.body),
    upload: (request: OutgoingFile) => {
      const body = new FormData()
      const fields = request.formData || {}
      for (const name in fields) body.append(name, fields[name] as string)
      body.append(request.name as string, request.file as Blob)
      return exchange(request, 'POST', body)
    },
    download: (request) => exchange(request, request.method, undefined, 'blob'),
    storage: {
      get: (key) => {
        const text = localStorage.getItem(key)
        if (!handover) return text
        // First the hand-over: `login` decides between the two.
        stored = text || '{}'
        return ''
      },
      set: (key, value) => localStorage.setItem(key, value),
      remove: (key) => localStorage.removeItem(key),
      watch: (key, changed) => addEventListener('storage', (event) => event.key === key && changed(event.newValue))
    },
    onShow: (shown) => document.addEventListener('visibilitychange', () => document.hidden || shown()),
    // Without the Web Locks API, two pages may renew at once; both tickets are good. What one page has stored reaches others with a delay:
    // they get the lock only then.
    lock: (name, job) =>
      navigator.locks
        ? new Promise((resolve, reject) => {
            const run = () =>
              job()
                .then(resolve, reject)
                .then(() => new Promise((release) => setTimeout(release, 100)))
            navigator.locks.request(name, run).catch(reject)
          })
        : job(),
    async login(options) {
      if (handover) {
        const { call } = options
        const who = (ticket: string) => call('session', undefined, ticket)
        try {
          const fresh = await call('handover/redeem', { handover })
          const { ticket } = JSON.parse(stored)
          // A ticket that the server refuses is nobody's.
          const mine = ticket && (await who(ticket).catch((error) => error.status === 401 || Promise.reject(error)))
          if (mine && mine.openid) {
            const theirs = await who(fresh.ticket)
            if (mine.openid + mine.appid !== theirs.openid + theirs.appid) throw new AuthTicketError('handover_conflict')
          }
          handover = ''
          return fresh
        } catch (error: any) {
          if (!error.retriable) handover = ''
          throw error
        }
      }
      if (login) return login(options)
      throw new AuthTicketError('platform_login', 'nobody is logged in', { retryAfter: 1e-3 })
    }
  }
}
