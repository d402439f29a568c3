import Taro from '@tarojs/taro'
import { createAuthTicket } from 'auth-ticket-client'
import { taroAdapter } from 'auth-ticket-client/taro'
import { webAdapter, weixinLogin } from 'auth-ticket-client/web'

export const auth = createAuthTicket({
  baseURL: 'https://login.example.com',
  appid: 'wx0123456789abcdef',
  origins: ['https://api.example.com'],
  adapter: process.env.TARO_ENV === 'h5' ? webAdapter({ login: weixinLogin() }) : taroAdapter(Taro)
})
