import type * as answers from './answers.js'
import type { AuthTicketError } from './error.js'

export type { AccessToken, HandoverObject, Session, SessionKeyState } from './answers.js'

/** An AbortSignal, or the part of one that is needed: mini-programs have none. */
export interface Signal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export type Headers = Record<string, string>

/** What an adapter is asked to send. */
export interface Outgoing {
  method: string
  url: string
  /** With a ticket among them, in `weixinauth`, adapters follow no redirect: it would take the ticket along. */
  headers: Headers
  /** Text, or undefined for none. */
  body?: string
  /** Milliseconds. The client itself gives up after them; adapters may pass them on. */
  timeout?: number
  /** Set it to what ends the request, if anything does. */
  end?(): void
}

export interface OutgoingFile extends Outgoing {
  filePath?: string
  file?: unknown
  name?: string
  formData?: Record<string, string>
  fileType?: string
}

export interface Answer {
  status: number
  /** A plain object; names in any case. */
  headers: Record<string, unknown>
  /** Text, or what the platform made of it. */
  body: unknown
}

/** What the client needs of a platform. `send`, `login` and `storage` are enough; the rest may be left out. */
export interface Adapter {
  /** Resolves with every HTTP status. Rejects if no answer came, best with `message` and `errcode`. */
  send(request: Outgoing): Promise<Answer>
  /** Resolves to a new login code, or to a ticket that was got otherwise. `interactive`: the platform may ask the user. */
  login(options: { interactive: boolean; appid?: string; call: Call }): Promise<string | answers.TicketObject>
  /** All may be asynchronous. A miss is undefined, null or "". */
  storage: {
    get(key: string): unknown
    set(key: string, value: string): unknown
    remove(key: string): unknown
    /** Calls `changed` when another page has changed the value. */
    watch?(key: string, changed: (value: string | null) => void): void
  }
  upload?(request: OutgoingFile): Promise<Answer>
  download?(request: Outgoing): Promise<Answer>
  /** Calls `shown` when the program comes to the front. */
  onShow?(shown: () => void): void
  /** Rejects if the platform has replaced the session_key since the last code. */
  checkSession?(): Promise<unknown>
  /** Runs `job` while no other page does. */
  lock?<T>(name: string, job: () => Promise<T>): Promise<T>
}

/** Calls a route below `/v1/`. Resolves to the body of a 200, and rejects otherwise. */
export type Call = (path: string, data?: object, ticket?: string) => Promise<any>

export interface Config {
  /** Where auth-ticket answers; paths in requests are appended to it. */
  baseURL: string
  /** May be left out if the server has one app, or a default one. */
  appid?: string
  /** Your other back ends that get the ticket: scheme://host[:port]. */
  origins?: string[]
  adapter: Adapter
  /** Milliseconds for one call, waiting included; 30,000 if left out. */
  timeout?: number
}

export interface RequestOptions {
  /** Absolute, or a path on `baseURL`. */
  url: string
  /** GET if left out. */
  method?: string
  headers?: Headers
  /** An object is sent as JSON, as a form if the content type says so, in the query with GET and HEAD. Text is sent as it is. */
  data?: object | string
  /** Milliseconds. */
  timeout?: number
  signal?: Signal
}

export interface UploadOptions extends RequestOptions {
  /** Mini-programs: the file's path. */
  filePath?: string
  /** Pages: a Blob or File. */
  file?: unknown
  /** The form's field. */
  name: string
  formData?: Record<string, string>
  /** Alipay: image, video or audio. */
  fileType?: string
}

export interface Response<T = unknown> {
  status: number
  /** Names in lower case. */
  headers: Headers
  data: T
}

/** A promise whose request can be ended. */
export type Abortable<T> = Promise<T> & { abort(): void }

export type PhoneNumber = Pick<answers.PhoneObject, 'phone_number' | 'pure_phone_number' | 'country_code'>

export type UserData = Omit<answers.UserData, 'data'> & { data?: Record<string, unknown> }

export interface State {
  loggedIn: boolean
  /** When the ticket ends, by the server's clock: RFC 3339. */
  expiresAt?: string
  /** When the user must log in again, likewise. */
  sessionExpiresAt?: string
}

export interface Events {
  login: State
  renew: State
  'login-failed': AuthTicketError
  logout: State
}

export interface AuthTicket {
  /** Sends a request, with the ticket if it goes to `baseURL` or one of `origins`. Resolves with every HTTP status. */
  request<T = any>(options: RequestOptions): Abortable<Response<T>>
  upload<T = any>(options: UploadOptions): Abortable<Response<T>>
  /** `data` is the path of a temporary file; in pages, a Blob. */
  download<T = any>(options: RequestOptions): Abortable<Response<T>>
  /** Logged in after this. Call it in onLaunch; calling it again costs nothing. */
  ensure(): Promise<void>
  /** A new login, whatever there was. `interactive`: the platform may ask the user. */
  login(options?: { interactive?: boolean }): Promise<void>
  /** Call it before the phone button is shown. */
  preparePhone(): Promise<void>
  /** Pass on the button's detail: `code`; `encryptedData` and `iv` of older clients; `response` of Alipay's `my.getPhoneNumber`. */
  phone(detail: { code: string } | { encryptedData: string; iv: string } | { response: string }): Promise<PhoneNumber>
  /** Who the user is, and until when. */
  session(): Promise<answers.Session>
  /** Asks the platform whether it still encrypts with the session_key in the ticket. */
  checkSession(): Promise<answers.SessionKeyState>
  userData(data: { encryptedData?: string; iv?: string; rawData?: string; signature?: string }): Promise<UserData>
  /** A JWT for a service, if the server lists the audience as public. */
  token(options: { audience: string }): Promise<answers.AccessToken>
  /** For a page of this origin in a web-view: `https://page#handover=...`. */
  handover(options: { origin: string }): Promise<answers.HandoverObject>
  /** For other libraries. Only for `baseURL` and your `origins`. */
  header(): Promise<Headers>
  /** Forgets the ticket on this device, and does nothing else: a copy of the ticket stays valid until it expires. */
  logout(): void
  on<E extends keyof Events>(event: E, listener: (about: Events[E]) => void): () => void
  readonly state: State
}
