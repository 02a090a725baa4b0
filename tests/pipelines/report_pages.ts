/** Pages of reports as a reader has them: the files that they hold, and what a browser makes of them. */
import assert from "node:assert/strict";
import { type CsvTable, parseCsv } from "../../pipelines/io/csv.ts";
import { TestFolder } from "./io_fixtures.ts";

/** The files that a page holds, by name. */
export function filesOf(page: string): Map<string, CsvTable> {
  const links = page.matchAll(/<a\s+download="([^"]*)"\s+href="data:text\/csv;[^,]*,([^"]*)"/g);
  return new Map(
    [...links].map(([, name, data]) => [
      name,
      parseCsv(new TextDecoder().decode(Uint8Array.fromBase64(data)), `Cannot read ${name}:`),
    ]),
  );
}

/** Rows of a table as objects. */
export function rowsOf(table: CsvTable | undefined): Record<string, string>[] {
  assert.ok(table);
  const columns = [...table];
  return columns[0][1].map((_, r) =>
    Object.fromEntries(columns.map(([name, all]) => [name, all[r]]))
  );
}

/** Anchors of the figures of a page. */
export const sections = (page: string): string[] =>
  [...page.matchAll(/<h2 id="([^"]+)">/g)].map(([, anchor]) => anchor);

/** Whether there is a browser to look at pages with. */
export function hasChromium(): boolean {
  try {
    return new Deno.Command("chromium", { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return false;
    }
    throw error;
  }
}

/** Opens a page in a browser and asserts that it has no error and no request; returns what the browser made of it. */
export function browse(page: string, fragment = ""): string {
  using folder = new TestFolder();
  const path = folder.write("index.html", page);
  const { success, stdout, stderr } = new Deno.Command("chromium", {
    args: [
      ...["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      ...["--host-resolver-rules=MAP * ~NOTFOUND", `--user-data-dir=${folder.at("profile")}`],
      ...["--enable-logging=stderr", `--log-net-log=${folder.at("net.json")}`],
      ...["--virtual-time-budget=5000", "--dump-dom", `file://${path}${fragment}`],
    ],
  }).outputSync();
  assert.ok(success);
  const [dom, log] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.doesNotMatch(log, /CONSOLE/);
  const addresses = [...dom.matchAll(/\s(?:src|href|srcset|data)="([^"]*)"/g)].map(([, to]) => to);
  assert.deepEqual(addresses.filter((to) => !/^(#|data:)/.test(to)), []);
  assert.doesNotMatch(dom, /url\((?!&quot;data:|"data:)/);
  // The browser itself asks for the time and for updates.
  const others = /^(https?|ftp|wss?):\/\/(?!\w+\.google(apis)?\.com\/)/;
  const requested = Deno.readTextFileSync(folder.at("net.json")).matchAll(/"url":"([^"]*)"/g);
  assert.deepEqual([...requested].map(([, url]) => url).filter((url) => others.test(url)), []);
  return dom;
}

/** Opens a page in a browser and asserts that it has no script, no error and no request; returns what the browser made of it. */
export function assertStandsAlone(page: string): string {
  const dom = browse(page);
  assert.doesNotMatch(dom, /<(script|link|iframe|object|embed)\b/i);
  assert.ok([...dom.matchAll(/\s(?:src|href|srcset|data)="/g)].length > 5);
  return dom;
}
