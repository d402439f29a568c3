// What was sent and answered: beside each step, as an answer, a curl command and client code.
import type { Answer, Outgoing } from 'auth-ticket-client'
import { t, translate } from './texts.js'

export interface Exchange {
  method: string
  url: string
  headers: Record<string, string>
  body?: string
  status: number
  /** Those worth showing. */
  answered: [string, string][]
  answer: string
  /** How the client is told to do the same. */
  client: string
}

type View = 'answer' | 'curl' | 'client'

const shownHeader = /^(x-auth-|www-authenticate|retry-after)/

export function exchangeOf(request: Outgoing, answer: Answer, client = ''): Exchange {
  const { method, url, headers, body } = request
  const answered = Object.entries(answer.headers as Record<string, string>).filter(([name]) => shownHeader.test(name))
  return { method: method.toUpperCase(), url, headers, body, status: answer.status, answered, answer: String(answer.body), client }
}

const quoted = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`

export function curl({ method, url, headers, body }: Exchange): string {
  const lines = [`curl -i${method === 'GET' || body ? '' : ` -X ${method}`} ${quoted(url)}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`)
  if (body) lines.push(`-d ${quoted(body)}`)
  return lines.join(' \\\n  ')
}

const pretty = (text: string): string => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

function answerText({ status, answered, answer }: Exchange): string {
  const head = [`HTTP ${status}`, ...answered.map(([name, value]) => `${name}: ${value}`)].join('\n')
  return answer ? `${head}\n\n${pretty(answer)}` : head
}

/** One panel. */
export class Panel {
  private shown: Exchange | undefined
  private view: View = 'answer'

  constructor(private readonly root: HTMLElement) {
    const template = document.getElementById('exchange') as HTMLTemplateElement
    root.append(template.content.cloneNode(true))
    root.querySelectorAll<HTMLButtonElement>('[data-view]').forEach((button) =>
      button.addEventListener('click', () => {
        this.view = button.dataset.view as View
        this.render()
      })
    )
    const copy = root.querySelector<HTMLButtonElement>('.copy')!
    copy.addEventListener('click', () => {
      // Without TLS, browsers let only this machine's pages write there.
      if (!navigator.clipboard) return getSelection()?.selectAllChildren(root.querySelector('pre')!)
      void navigator.clipboard.writeText(this.text()).then(() => {
        copy.textContent = t('copied')
        setTimeout(() => (copy.textContent = t('copy')), 1500)
      })
    })
  }

  show(exchange: Exchange): void {
    this.shown = exchange
    this.render()
  }

  private text(): string {
    if (!this.shown) return t('nothing_yet')
    return { answer: answerText, curl, client: (one: Exchange) => one.client }[this.view](this.shown)
  }

  render(): void {
    const { root, shown } = this
    translate(root)
    root.classList.toggle('empty', !shown)
    root.querySelector('.switch')!.setAttribute('aria-label', t('view'))
    root.querySelectorAll<HTMLButtonElement>('[data-view]').forEach((button) => {
      button.setAttribute('aria-pressed', String(button.dataset.view === this.view))
      button.disabled = !shown
    })
    root.querySelector<HTMLButtonElement>('.copy')!.disabled = !shown
    const line = root.querySelector<HTMLElement>('.line')!
    line.replaceChildren()
    if (shown) {
      const status = document.createElement('span')
      status.className = shown.status === 200 ? 'status ok' : 'status bad'
      status.textContent = String(shown.status)
      line.append(status, ` ${shown.method} ${new URL(shown.url).pathname}`)
    }
    const pre = root.querySelector('pre')!
    pre.setAttribute('aria-label', t('exchange'))
    pre.firstElementChild!.textContent = this.text()
  }
}
