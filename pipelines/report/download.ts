import { gzipSync } from "node:zlib";
import { type CsvCell, csvOf } from "../io/csv.ts";
import { dataUri, type Html, html } from "./html.ts";

/** Bytes as people read them. */
function sizeOf(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * A link that saves a file which is part of the page.
 *
 * @param name of the file
 * @param mime `text/csv`, `application/json`, `image/png`
 * @param data text, or bytes
 * @param label what the link says; the size is added
 */
export function download(
  name: string,
  mime: string,
  data: string | Uint8Array,
  label: string = name,
): Html {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const type = typeof data === "string" ? `${mime};charset=utf-8` : mime;
  return html`<a download="${name}" href="${dataUri(type, bytes)}">${label} <span class="soft">${
    sizeOf(bytes.length)
  }</span></a>`;
}

/** Tables of more bytes are packed: what is in a page is a third larger than the file. */
const PLAIN_BYTES = 1e6;

/**
 * A link that saves the numbers behind a figure; a large table as `name.gz`, which pandas and R read as it is.
 *
 * @param records the first names the columns
 */
export function csvDownload(
  name: string,
  records: readonly (readonly CsvCell[])[],
  label: string = "numbers, CSV",
): Html {
  const text = csvOf(records);
  if (text.length <= PLAIN_BYTES) return download(name, "text/csv", text, label);
  const packed = new Uint8Array(gzipSync(new TextEncoder().encode(text)));
  return download(`${name}.gz`, "application/gzip", packed, `${label}, gzip`);
}
