// The mini-program's side, for Taro; wx.request and wx.requestVirtualPayment take the same values. Base library 2.19.2 or newer.
import Taro from '@tarojs/taro'
import { authHeader, login } from './login' // as in docs/GUIDE.md

const shop = 'https://shop.example.com'

const call = (path, method, data) =>
  Taro.request({ url: shop + path, method, data, header: { 'Content-Type': 'application/json', ...authHeader() } })

export async function buy(product) {
  let answer = await call('/orders', 'POST', { product })
  if (answer.statusCode === 401) {
    // The ticket has ended, or its session_key is stale.
    await login()
    answer = await call('/orders', 'POST', { product })
  }
  if (answer.statusCode !== 200) throw new Error(answer.data.error)
  const { outTradeNo, mode, signData, paySig, signature } = answer.data
  // signData is passed on as the text that came: written anew, the signatures would be wrong (-15005, -15006).
  await new Promise((success, fail) => wx.requestVirtualPayment({ mode, signData, paySig, signature, success, fail }))
  // The shop asks the platform; this call only says when.
  return (await call(`/orders/${outTradeNo}`, 'GET')).data.paid
}
