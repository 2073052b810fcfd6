/** Links in the package's Markdown: one to a file that is not in the package becomes plain text there. */
const LINK = /(!?)\[((?:[^\][]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^()\s#]+)(#[^()\s]*)?\)/g;

/** `has`: whether a path, relative to the document, is in the package. */
export function linksWithin(markdown: string, has: (path: string) => boolean): string {
  return markdown.replaceAll(LINK, (whole, isImage, text, path) => (has(path) ? whole : isImage ? "" : text));
}
