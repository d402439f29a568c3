// How large the client is in a program: bundled, minified, compressed. Exits with 1 if a limit is exceeded.
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const CORE = 2560
const WITH_ADAPTER = 3584

let exceeded = false
const measure = async (name, contents, limit) => {
  const options = {
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2017',
    write: false
  }
  const { outputFiles } = await build(options)
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length
  console.log(`${name.padEnd(20)} ${String(size).padStart(5)} bytes${limit ? ` of ${limit}` : ''}`)
  if (/\beval\b|new Function/.test(outputFiles[0].text)) throw new Error('WeChat runs no code that is made at run time')
  if (size > limit) exceeded = true
}

const core = `export { createAuthTicket } from './dist/esm/index.js'\n`
await measure('core', core, CORE)
for (const adapter of ['native', 'taro', 'uni', 'web']) {
  await measure(`core, ${adapter}`, `${core}export { ${adapter}Adapter } from './dist/esm/${adapter}.js'`, WITH_ADAPTER)
}
await measure('web, weixinLogin', `${core}export { webAdapter, weixinLogin } from './dist/esm/web.js'`)
if (exceeded) {
  console.error('error: larger than the limit')
  process.exit(1)
}
