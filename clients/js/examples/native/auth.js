import { createAuthTicket } from 'auth-ticket-client'
import { nativeAdapter } from 'auth-ticket-client/native'

export const auth = createAuthTicket({
  baseURL: 'https://login.example.com',
  appid: 'wx0123456789abcdef',
  origins: ['https://api.example.com'],
  adapter: nativeAdapter(wx)
})
