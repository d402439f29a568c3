// The web page that the demo's mini-program opens. It has another origin and is handed the login over.
import { createAuthTicket } from 'auth-ticket-client'
import { webAdapter } from 'auth-ticket-client/web'
import { t, translate } from './texts.js'

const byId = (id: string): HTMLElement => document.getElementById(id)!

translate(document)
parent.postMessage('loaded', '*')

// Each frame is a mini-program of its own: what an earlier one has stored is not this user's.
try {
  localStorage.clear()
} catch {
  // Nothing is stored, then.
}
// A frame is no web-view.
const auth = createAuthTicket({ baseURL: location.origin, adapter: webAdapter({ allowOutside: true }) })
const who = byId('who')
try {
  const { active, ...claims } = await auth.session()
  who.textContent = t('h5_in')
  who.className = 'ok'
  for (const [name, value] of Object.entries(claims)) {
    const group = document.createElement('div')
    const term = group.appendChild(document.createElement('dt'))
    term.textContent = name
    group.appendChild(document.createElement('dd')).textContent = String(value)
    byId('claims').append(group)
  }
  byId('claims').hidden = byId('note').hidden = false
} catch (error) {
  who.textContent = t('h5_out', { error: (error as { code: string }).code })
  who.className = 'bad'
}
