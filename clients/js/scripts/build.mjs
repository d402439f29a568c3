// Builds dist/esm and dist/cjs. Each says in its own package.json what its files are; files refer to each other by name, so that WeChat's
// developer tools can copy dist/cjs ("miniprogram" in package.json) as it is. Tools that do not know "exports" find the folders at the top.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'

rmSync('dist', { recursive: true, force: true })
for (const [name, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs']
]) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', `tsconfig.${name}.json`], { stdio: 'inherit' })
  writeFileSync(`dist/${name}/package.json`, JSON.stringify({ type, sideEffects: false }) + '\n')
}
for (const entry of ['native', 'taro', 'uni', 'web', 'testing']) {
  mkdirSync(entry, { recursive: true })
  const files = {
    main: `../dist/cjs/${entry}.js`,
    module: `../dist/esm/${entry}.js`,
    types: `../dist/cjs/${entry}.d.ts`,
    sideEffects: false
  }
  writeFileSync(`${entry}/package.json`, JSON.stringify(files) + '\n')
}
for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(`../../${licence}`, licence)
