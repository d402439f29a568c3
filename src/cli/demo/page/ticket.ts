// What anybody can see of a ticket: docs/TICKET.md section 2.

/** A part of the ticket's bytes. Header and nonce end where a character ends; the tag does not always. */
export interface Part {
  name: 'version' | 'kid' | 'app' | 'nonce' | 'sealed' | 'tag'
  /** Bytes. */
  length: number
  /** Hex digits; of the ciphertext none. */
  hex: string
}

/** Characters of the header and the nonce. */
export const HEADER_LEN = 12
export const NONCE_LEN = 32
const LENGTHS = { version: 1, kid: 4, app: 4, nonce: 24 } as const
const TAG_LEN = 16

const bytesOf = (ticket: string): Uint8Array =>
  Uint8Array.from(atob(ticket.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0))

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

export function parts(ticket: string): Part[] {
  const bytes = bytesOf(ticket)
  const found: Part[] = []
  let at = 0
  for (const [name, length] of Object.entries(LENGTHS)) {
    found.push({ name: name as Part['name'], length, hex: hexOf(bytes.subarray(at, at + length)) })
    at += length
  }
  const tag = bytes.subarray(bytes.length - TAG_LEN)
  found.push({ name: 'sealed', length: bytes.length - TAG_LEN - at, hex: '' })
  found.push({ name: 'tag', length: TAG_LEN, hex: hexOf(tag) })
  return found
}

export const kidOf = (ticket: string): string => parts(ticket)[1]!.hex

/** `ticket` with another character at `at`. */
export function changed(ticket: string, at: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const other = alphabet[(alphabet.indexOf(ticket[at]!) + 1 + Math.floor(Math.random() * 62)) % 64]!
  return ticket.slice(0, at) + other + ticket.slice(at + 1)
}
