/** Links in the package's Markdown. A link to a file outside of the package becomes plain text. */
const LINK = /(!?)\[((?:[^\][]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^()\s#]+)(#[^()\s]*)?\)/g;

/** Replaces such links. `has` tells whether a path, relative to the document, is in the package. */
export function linksWithin(markdown: string, has: (path: string) => boolean): string {
  return markdown.replaceAll(LINK, (whole, isImage, text, path) => (has(path) ? whole : isImage ? "" : text));
}
