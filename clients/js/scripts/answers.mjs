// Generates src/answers.ts from the server's description. `node scripts/answers.mjs` writes it; test/answers.test.ts compares.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'

const description = new URL('../../../src/http/openapi/openapi.json', import.meta.url)
export const target = new URL('../src/answers.ts', import.meta.url)

/** The answers that the client reads; the server describes more. */
const wanted = ['TicketObject', 'PhoneObject', 'Session', 'SessionKeyState', 'UserData', 'AccessToken', 'HandoverObject', 'Error']

export async function answers() {
  const { openapi, info, components } = JSON.parse(await readFile(description, 'utf8'))
  const schemas = Object.fromEntries(wanted.flatMap((name) => (name in components.schemas ? [[name, components.schemas[name]]] : [])))
  const nodes = await openapiTS({ openapi, info, paths: {}, components: { schemas } }, { immutable: true })
  const text = astToString(nodes)
  return [
    '// Generated from openapi.json by scripts/answers.mjs; do not edit.',
    text.slice(text.indexOf('export interface components'), text.indexOf('export type $defs')).trim(),
    ...Object.keys(schemas).map((name) => `export type ${name} = components['schemas']['${name}']`),
    ''
  ].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(target, await answers())
