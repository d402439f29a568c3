export { createAuthTicket } from './core.js'
export { AuthTicketError, type ErrorCode } from './error.js'
export { form } from './form.js'
export type * from './types.js'
