import { Button, Text, View } from '@tarojs/components'
import Taro from '@tarojs/taro'
import { AuthTicketError } from 'auth-ticket-client'
import { useEffect, useState } from 'react'
import { auth } from '../auth'

interface Order {
  id: string
  title: string
}

export default function Index() {
  const [orders, setOrders] = useState<Order[]>([])
  const [phone, setPhone] = useState('')

  useEffect(() => {
    const call = auth.request<Order[]>({ url: 'https://api.example.com/orders' })
    call.then(
      ({ status, data }) => status === 200 && setOrders(data),
      (error: AuthTicketError) =>
        error.code !== 'aborted' && Taro.showToast({ title: error.retriable ? '网络不佳,请重试' : '暂时无法登录', icon: 'none' })
    )
    auth.preparePhone().catch(() => {})
    return () => call.abort()
  }, [])

  const bindPhone = async ({ detail }) => {
    // The user said no.
    if (!detail.code && !detail.encryptedData) return
    try {
      const { phone_number } = await auth.phone(detail)
      setPhone(phone_number)
    } catch (error) {
      if (!(error instanceof AuthTicketError) || error.code !== 'tap_again') throw error
      await auth.preparePhone()
      Taro.showToast({ title: '请再点一次', icon: 'none' })
    }
  }

  return (
    <View>
      {orders.map(({ id, title }) => (
        <Text key={id}>{title}</Text>
      ))}
      <Button openType='getPhoneNumber' onGetPhoneNumber={bindPhone}>
        {phone || '绑定手机号'}
      </Button>
    </View>
  )
}
