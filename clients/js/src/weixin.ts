import { AuthTicketError } from './error.js'
import type { Adapter } from './types.js'

export interface WeixinOptions {
  /** `snsapi_base` or `snsapi_userinfo` of an official account, inside WeChat; `snsapi_login` by QR code, in any browser. */
  scope?: 'snsapi_base' | 'snsapi_userinfo' | 'snsapi_login'
  /** Where WeChat asks the user; for tests. */
  authorizeURL?: string
}

const STATE = 'auth-ticket:state'

/** The code that WeChat sent the user back with; "" if there is none, undefined if its state is not this page's. Both leave the address. */
const takeCode = (): string | undefined => {
  const url = new URL(location.href)
  const query = url.searchParams
  const expected = sessionStorage.getItem(STATE)
  const state = query.get('state')
  if (!expected || !state || !query.has('code')) return ''
  const code = query.get('code') as string
  sessionStorage.removeItem(STATE)
  query.delete('code')
  query.delete('state')
  // The browser keeps the fragment that the address of WeChat had.
  if (url.hash === '#wechat_redirect') url.hash = ''
  history.replaceState(history.state, '', url)
  return state === expected ? code : undefined
}

/**
 * Logs in with WeChat in a page. Only `login({ interactive: true })` leaves the page; the code that comes back serves the next call. It is
 * used only with the `state` that was sent from here: otherwise a link could log its visitor in as somebody else.
 */
export function weixinLogin({ scope = 'snsapi_base', authorizeURL }: WeixinOptions = {}): Adapter['login'] {
  let code = takeCode()
  return async ({ interactive, appid }) => {
    const found = code
    code = ''
    if (found) return found
    if (found === undefined) throw new AuthTicketError('platform_login', 'the state is not the one that was sent; the code was not used')
    if (!interactive) throw new AuthTicketError('platform_login', 'nobody is logged in', { retryAfter: 1e-3 })
    const state = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte + 256).toString(16).slice(1)).join('')
    sessionStorage.setItem(STATE, state)
    const base = authorizeURL || `https://open.weixin.qq.com/connect/${scope === 'snsapi_login' ? 'qrconnect' : 'oauth2/authorize'}`
    const back = location.href.split('#')[0] as string
    // WeChat insists on this order.
    const query = new URLSearchParams({ appid: appid as string, redirect_uri: back, response_type: 'code', scope, state })
    location.assign(`${base}?${query}#wechat_redirect`)
    return new Promise<never>(() => {})
  }
}
