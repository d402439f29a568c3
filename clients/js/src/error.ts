import type { Error as ServerError } from './answers.js'

/** The server's names of errors, and those of this client. */
export type ErrorCode =
  | ServerError['error']
  /** No answer came, or none that this client understands. */
  | 'network'
  /** No answer came in time. */
  | 'timeout'
  /** The caller ended the request, or logged out meanwhile. */
  | 'aborted'
  /** The platform gave no login code. `errcode` and `cause` are what it said. */
  | 'platform_login'
  /** The data was encrypted with a key that has been replaced: call `preparePhone`, then let the user tap again. */
  | 'tap_again'
  /** A page was opened with the hand-over of another user than the one who is logged in. */
  | 'handover_conflict'

export interface ErrorDetails {
  /** HTTP status, 0 if no answer came. */
  status?: number
  /** Seconds. */
  retryAfter?: number
  /** Find it in the server's log. */
  requestId?: string
  /** The platform's own number or word. */
  errcode?: number | string
  /** What the platform said, as text. */
  cause?: unknown
}

/** Every rejection of this client. It never holds a ticket. */
export class AuthTicketError extends Error {
  declare readonly code: ErrorCode
  declare readonly status: number
  declare readonly retryAfter?: number
  declare readonly requestId?: string
  declare readonly errcode?: number | string
  declare readonly cause?: unknown

  constructor(code: ErrorCode, about?: string, details?: ErrorDetails) {
    super(about ? code + ': ' + about : code)
    Object.assign(this, { code, status: 0 }, details)
  }

  /** Whether the same call may succeed a little later. */
  get retriable(): boolean {
    return /^(429|50[234]|0(network|timeout)$)/.test(this.status + this.code)
  }
}
