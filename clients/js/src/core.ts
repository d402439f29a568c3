import type { TicketObject } from './answers.js'
import { AuthTicketError } from './error.js'
import { bounded, failure, lowerCase, originOf, parsed, quiet, refusal } from './http.js'
import type {
  Abortable,
  AuthTicket,
  Config,
  Events,
  Headers,
  OutgoingFile,
  RequestOptions,
  Response,
  State,
  UploadOptions
} from './types.js'

const enum Header {
  Ticket = 'weixinauth'
}
const enum Limit {
  /** WeChat allows ten requests at once, uploads and downloads included; a login needs one. */
  InFlight = 8,
  /** The server's: how long after its end a ticket can still be renewed. Also the longest pause after a failure. Milliseconds. */
  Minute = 60_000
}

/** What a call may do to have a ticket. */
const enum Mode {
  /** Nothing. */
  Bare,
  /** Load it, or renew: the session_key stays. */
  KeepKey,
  /** Load, renew or log in, as needed. */
  Ordinary,
  /** Log in whatever there is. */
  Login,
  /** The same; the platform may ask the user. */
  Interactive
}

/** What the ticket in use is good for. */
const enum Phase {
  /** There is none; or it was refused; or it and its session are over. */
  Useless,
  /** It can still be renewed. */
  Expired,
  /** Good, and it is time to renew it. */
  Due,
  Fresh
}

/** The ticket in use. Of the server's two times only their order counts: the device's clock may be wrong. */
interface Held extends TicketObject {
  /** When it was received, in milliseconds by this device's clock. */
  at: number
  /** Refused by the server. */
  bad?: boolean
}

type Kind = 'send' | 'upload' | 'download'

/** A client of one auth-ticket server. Nothing is read or sent before its first use. */
export function createAuthTicket({ adapter, appid, baseURL, origins = [], timeout = 30_000 }: Config): AuthTicket {
  const { storage } = adapter
  const base = baseURL.replace(/\/+$/, '')
  const trusted = [base, ...origins].map(originOf)
  const key = `auth-ticket:${appid}@${base.split('/')[2]}`

  let held: Held | undefined
  let loaded = false
  let logouts = 0
  let spent: string | TicketObject | undefined
  /** Nothing is asked of the server again before then. */
  let pausedUntil = 0
  /** The one load, renewal or login that everybody awaits. */
  let flight: Promise<void> | undefined
  let flightMode: Mode
  const listeners = new Set<(event: string, about: any) => void>()
  let running = 0
  const waiting: (() => void)[] = []

  const phase = (): Phase => {
    if (!held || held.bad) return Phase.Useless
    const life = held.expires_in * 1000
    const age = Date.now() - held.at
    // After two thirds of its life. A clock that ran backwards says nothing about a ticket's age.
    return age > life + Limit.Minute ? Phase.Useless : age > life ? Phase.Expired : age < 0 || age > life / 1.5 ? Phase.Due : Phase.Fresh
  }
  const alive = () => phase() > Phase.Expired
  const emit = <E extends keyof Events>(event: E, about: Events[E] | State = auth.state) =>
    listeners.forEach((listener) => quiet(() => listener(event, about)))

  // ---- the ticket

  const take = (event: 'login' | 'renew', answer: TicketObject, since: number) => {
    if (since !== logouts) throw new AuthTicketError('aborted')
    held = Object.assign({ at: Date.now() }, answer)
    // Not the phone number that some answers hold.
    quiet(() =>
      storage.set(
        key,
        JSON.stringify(held, (name, value) => (/phone/.test(name) ? undefined : value))
      )
    )
    emit(event)
  }

  const adopt = (text: unknown) => {
    const stored: Held = parsed(text)
    if (Object(stored).at > (held ? held.at : 0)) held = stored
  }

  const forget = () => {
    held = flight = undefined
    logouts++
    emit('logout')
  }

  // ---- requests

  const exchange = (kind: Kind, options: RequestOptions & Partial<UploadOptions>, mode: Mode = Mode.Ordinary): Abortable<Response<any>> =>
    bounded(
      async (control) => {
        let { url, method = 'GET', data: body } = options
        if (!originOf(url)) url = base + url.replace(/^\/*/, '/')
        const ours = mode && trusted.includes(originOf(url))
        const headers = lowerCase(Object.assign(body ? { 'content-type': 'application/json' } : {}, options.headers))
        if (Object(body) === body) body = JSON.stringify(body)
        for (let again = false; ; again = true) {
          if (ours) await ready(mode)
          if (mode === Mode.KeepKey && (again || !alive())) throw new AuthTicketError('tap_again')
          if (mode && running++ >= Limit.InFlight) await new Promise<void>((resolve) => waiting.push(resolve))
          let answer: any
          const used = ours && held
          try {
            if (control.ended) throw control
            if (used) headers[Header.Ticket] = used.ticket
            const request = Object.assign(control, options, { url, method, headers, body })
            answer = await adapter[kind]!(request as OutgoingFile)
            answer = { status: answer.status, headers: lowerCase(answer.headers), data: parsed(answer.body) }
          } catch (reason) {
            throw failure('network', reason, headers[Header.Ticket])
          } finally {
            if (mode && running-- > Limit.InFlight) waiting.shift()!()
          }
          const error = refusal(answer)
          const reason = error.code + answer.headers['www-authenticate']
          // A back end's own 401 is an answer like any other. Gateways may refuse a ticket with a page of HTML.
          if (!used || answer.status !== 401 || !/^ticket_(expired|revoked)|invalid_t(icket|oken)/.test(reason)) return answer
          // A late refusal of an earlier ticket says nothing about this one.
          if (used === held) used.bad = true
          if (again) {
            pause(error)
            return answer
          }
        }
      },
      options.timeout || timeout,
      options.signal
    )

  /** A call of the server itself: the body of a 200; anything else is thrown. */
  const api = async (path: string, data?: any, mode: Mode = Mode.Ordinary, headers?: Headers | ''): Promise<any> => {
    const answer = await exchange('send', { method: data && 'POST', url: 'v1/' + path, data, headers: headers as Headers }, mode)
    if (answer.status === 200 && Object(answer.data) === answer.data) return answer.data
    throw refusal(answer)
  }
  const call = (path: string, data?: any, ticket?: string) => api(path, data, Mode.Bare, ticket && { [Header.Ticket]: ticket })

  // ---- load, renew, log in

  const pause = (error: AuthTicketError) => {
    pausedUntil = Date.now() + (error.retryAfter || 2) * 1000
  }

  const job = async (mode: Mode): Promise<void> => {
    const since = logouts
    // Another page may have stored another one; then there is a lock.
    const stored = await quiet(() => (loaded && !adapter.lock ? '' : storage.get(key)))
    if (since === logouts) adopt(stored)
    loaded = true
    const wait = Math.min(pausedUntil - Date.now(), Limit.Minute)
    if (mode < Mode.Login && phase() > (wait > 0 ? Phase.Expired : Phase.Due)) return
    await new Promise((resolve) => setTimeout(resolve, wait))
    if (mode < Mode.Login) {
      if (phase()) {
        const used = held!
        try {
          const answer = await call('renew', {}, used.ticket)
          // A phone number may have been sealed in meanwhile.
          if (held === used) take('renew', answer, since)
        } catch (error: any) {
          if (error.status !== 401) throw error
          used.bad = true
        }
      }
      if (alive() || mode < Mode.Ordinary) return
    }
    for (let again = false; ; again = true) {
      const ask = async () => {
        const code: any = await adapter.login({ interactive: mode > Mode.Login, appid, call })
        if (code && code !== spent) return code
        throw 'no code'
      }
      const code = await bounded(ask, mode > Mode.Login ? 1e9 : timeout).catch((reason) => {
        throw failure('platform_login', reason)
      })
      spent = code
      try {
        return take('login', code.ticket ? code : await call('login', { code, appid }), since)
      } catch (error: any) {
        if (again || !/code/.test(error.code)) throw error
      }
    }
  }

  const fly = (mode: Mode): Promise<void> => {
    const mine = adapter.lock ? adapter.lock(key, () => job(mode)) : job(mode)
    const done = (error?: AuthTicketError | void) => {
      if (flight === mine) {
        flight = undefined
        if (error) pause(error)
      }
      // A renewal may fail: its ticket is still good.
      if (error && !alive()) emit('login-failed', error)
    }
    mine.then(done, done)
    flightMode = mode
    return (flight = mine)
  }

  const wake = () => {
    if (held && !flight && phase() < Phase.Fresh) fly(Mode.Ordinary)
  }

  /** Resolves once there is a ticket; with Mode.KeepKey perhaps without. */
  const ready = async (mode: Mode = Mode.Ordinary): Promise<void> => {
    while (!alive()) {
      const joined = flight
      await (joined || fly(mode))
      if (!joined) return
    }
    wake()
  }

  const auth: AuthTicket = {
    request: (options) => exchange('send', options),
    upload: (options) => exchange('upload', options),
    download: (options) => exchange('download', options),
    ensure: () => ready(),
    async login({ interactive } = {}) {
      const mode = interactive ? Mode.Interactive : Mode.Login
      if (flightMode < mode) await quiet(() => flight)
      await (flight || fly(mode))
    },
    async preparePhone() {
      await ready()
      await (adapter.checkSession && adapter.checkSession().catch(() => auth.login()))
    },
    async phone(detail: any) {
      const since = logouts
      const { code, iv } = detail
      // Only what is encrypted depends on the session_key.
      const answer = await api('phone', code ? { code } : detail, code || !iv ? Mode.Ordinary : Mode.KeepKey)
      take('renew', answer, since)
      delete answer.ticket
      return answer
    },
    session: () => api('session'),
    checkSession: () => api('session/check', {}),
    userData: (data) => api('userdata', data, Mode.KeepKey),
    async token({ audience }) {
      // A ticket in a form is not refused with a 401; here one would be.
      await auth.session()
      const type = 'urn:auth-ticket:params:oauth:token-type:auth-ticket&grant_type=urn:ietf:params:oauth:grant-type:token-exchange'
      const request = `client_id=${appid}&subject_token=${held!.ticket}&subject_token_type=${type}&audience=${encodeURIComponent(audience)}`
      return api('token', request, Mode.Ordinary, { 'content-type': 'application/x-www-form-urlencoded' })
    },
    handover: (page) => api('handover', page),
    async header() {
      await ready()
      return { [Header.Ticket]: held!.ticket }
    },
    logout() {
      loaded = true
      quiet(() => storage.remove(key))
      forget()
    },
    on(event, listener: (about: any) => void) {
      const entry = (happened: string, about: any) => happened === event && listener(about)
      listeners.add(entry)
      return () => {
        listeners.delete(entry)
      }
    },
    get state() {
      const { expires_at: expiresAt, session_expires_at: sessionExpiresAt }: Partial<Held> = Object(held)
      return { loggedIn: alive(), expiresAt, sessionExpiresAt }
    }
  }

  if (adapter.onShow) adapter.onShow(wake)
  if (storage.watch) storage.watch(key, (text) => (text ? adopt(text) : held && forget()))
  return auth
}
