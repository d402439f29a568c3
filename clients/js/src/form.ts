/** `data` as the text of a form, without what is undefined. Mini-programs have no URLSearchParams. */
export const form = (data: Record<string, unknown>): string =>
  Object.entries(data)
    .filter((pair) => pair[1] !== undefined)
    .map((pair) => pair.map(encodeURIComponent as (part: unknown) => string).join('='))
    .join('&')
