// Bundles the scripts of the demo's page, which the program contains, so that cargo needs no Node. `node scripts/page.mjs` writes them;
// test/demo.test.ts compares.
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const page = (path) => at(`../../../src/cli/demo/page/${path}`)

/** Each script with the path that it is committed at. */
export async function scripts() {
  const { outputFiles } = await build({
    entryPoints: [page('page.ts'), page('h5.ts')],
    alias: { 'auth-ticket-client': at('../src/index.ts'), 'auth-ticket-client/web': at('../src/web.ts') },
    outdir: page('built'),
    bundle: true,
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    format: 'esm',
    target: 'es2022',
    write: false
  })
  return outputFiles.map(({ path, text }) => ({ path, text: `// Built by scripts/page.mjs; do not edit.\n${text}` }))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) for (const { path, text } of await scripts()) await writeFile(path, text)
