import { auth } from '../../auth'

Component({
  data: { phone: '', again: false },
  lifetimes: {
    attached() {
      auth.preparePhone().catch(() => {})
    }
  },
  methods: {
    async bindPhone({ detail }) {
      // The user said no.
      if (!detail.code && !detail.encryptedData) return
      try {
        const { phone_number } = await auth.phone(detail)
        this.setData({ phone: phone_number, again: false })
      } catch (error) {
        if (error.code !== 'tap_again') throw error
        await auth.preparePhone()
        this.setData({ again: true })
      }
    }
  }
})
