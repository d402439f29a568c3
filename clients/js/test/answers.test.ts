// The types of answers are those of the server's description.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

test('src/answers.ts is in step with openapi.json', async () => {
  const { answers, target } = await import('../scripts/answers.mjs' as string)
  assert.equal(await readFile(target, 'utf8'), await answers(), 'run `npm run answers` in clients/js')
})
