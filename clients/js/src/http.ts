import { AuthTicketError, type ErrorCode } from './error.js'
import type { Abortable, Headers, Response, Signal } from './types.js'

/** Runs `f`; what goes wrong is ignored. */
export const quiet = async <T>(f: () => T | PromiseLike<T>): Promise<T | undefined> => {
  try {
    return await f()
  } catch {
    return undefined
  }
}

/** Scheme and authority, in lower case; "" if there are none. Compared as a whole, so no spelling of another host is equal. */
export const originOf = (url: string): string => url.toLowerCase().match(/^https?:\/\/[^/?#]+|/)![0]

/** Names in lower case. */
export const lowerCase = (headers: any): Headers => {
  const lower: Headers = {}
  for (const name in headers) lower[name.toLowerCase()] = headers[name]
  return lower
}

/** Text that is JSON, parsed, whatever its label says: as the platforms do. */
export const parsed = (body: unknown): any => {
  try {
    return JSON.parse(body as string)
  } catch {
    return body
  }
}

/** The error that an answer of the server stands for. */
export const refusal = ({ status, headers, data }: Response<any>): AuthTicketError => {
  const { error, error_description, request_id: requestId, errcode } = Object(data)
  const code = error === 'session_key_stale' ? 'tap_again' : /^[a-z_]+$/.test(error || 0) ? error : 'network'
  return new AuthTicketError(code, error_description, { status, retryAfter: +headers['retry-after']! || undefined, requestId, errcode })
}

/** What an adapter rejected with, as an error; `secret` is cut out of its text. */
export const failure = (code: ErrorCode, reason: any, secret?: string): AuthTicketError => {
  if (reason instanceof AuthTicketError) return reason
  const { message = reason, errcode } = Object(reason)
  const cause = String(message).split(secret!).join('*')
  return new AuthTicketError(code, cause, { errcode, cause })
}

/** How a job learns that nobody waits for it any more. */
export interface Control {
  ended?: boolean
  end?(): void
}

/** Runs `job` until `timeout`, `abort` or `signal`. Then the promise is rejected, and `job` learns it by its control. */
export const bounded = <T>(job: (control: Control) => Promise<T>, timeout: number, signal?: Signal): Abortable<T> => {
  const control: Control = {}
  let stop!: (code: ErrorCode) => void
  const abort = () => stop('aborted')
  const promise = new Promise((resolve, reject) => {
    stop = (code) => {
      reject(new AuthTicketError(code))
      control.ended = true
      if (control.end) control.end()
    }
    const timer = setTimeout(() => stop('timeout'), timeout)
    if (signal) signal.aborted ? abort() : signal.addEventListener('abort', abort)
    job(control)
      .then(resolve, reject)
      .then(() => {
        clearTimeout(timer)
        if (signal) signal.removeEventListener('abort', abort)
      })
  }) as Abortable<T>
  promise.abort = abort
  return promise
}
