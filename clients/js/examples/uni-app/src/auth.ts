import { createAuthTicket } from 'auth-ticket-client'
import { uniAdapter } from 'auth-ticket-client/uni'

// `uni` is there in every platform's program; pages (H5) use `webAdapter` of auth-ticket-client/web instead.
declare const uni: object

export const auth = createAuthTicket({
  baseURL: 'https://login.example.com',
  appid: 'wx0123456789abcdef',
  origins: ['https://api.example.com'],
  adapter: uniAdapter(uni)
})
