/**
 * The parts that report pages are made of.
 *
 * @module
 */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { parseXml, type XmlElement } from "@rgrove/parse-xml";
import { InputError } from "../../pipelines/errors.ts";
import { csvOf, parseCsv } from "../../pipelines/io/csv.ts";
import { readPng } from "../../pipelines/io/png.ts";
import { colorScale, rangeScale } from "../../pipelines/report/charts.ts";
import { confusionMatrix, confusionRecords } from "../../pipelines/report/confusion.ts";
import { csvDownload, download } from "../../pipelines/report/download.ts";
import {
  cards,
  contents,
  figureBlock,
  foldAway,
  imageDownload,
  numberCard,
  plates,
} from "../../pipelines/report/figure_block.ts";
import { flatMap, flatMapRecords } from "../../pipelines/report/flat_map.ts";
import { type Html, html, htmlPage } from "../../pipelines/report/html.ts";
import { intervalChart, intervalRecords } from "../../pipelines/report/interval_chart.ts";
import { formatNumber, intervalsOf, niceTicks } from "../../pipelines/report/numbers.ts";
import { panelGrid } from "../../pipelines/report/panel_grid.ts";
import { histogram, lineChart } from "../../pipelines/report/plot.ts";
import { dataTable, tableRecords } from "../../pipelines/report/table.ts";
import { tableBlock } from "../../pipelines/report/table_block.ts";
import { valueMatrix, valueMatrixRecords } from "../../pipelines/report/value_matrix.ts";

/** The elements of a piece of a page by name, in order: its markup must be well-formed. */
function elements(part: Html, name: string): XmlElement[] {
  // As XML, every element is closed; images and breaks are the two that HTML leaves open.
  const closed = part.markup.replace(/<(img|br)\b([^>]*?)\/?>/g, "<$1$2/>");
  const found: XmlElement[] = [];
  const visit = (element: XmlElement) => {
    if (element.name === name) found.push(element);
    for (const child of element.children) if (child.type === "element") visit(child as XmlElement);
  };
  const { root } = parseXml(`<part>${closed}</part>`);
  assert.ok(root);
  visit(root);
  return found;
}

/** The text of elements without the spaces that templates are laid out with. */
function texts(part: Html, name: string): string[] {
  return elements(part, name).map(({ text }) => text.replaceAll(/\s+/g, " ").trim());
}

const image = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 0, 0, 255) };
/** A name that a user may choose. */
const EVIL = `<script>alert("1" & '2')</script>`;

/** One of every part, with a user's name wherever one may stand. */
function everything(): Html[] {
  const chart = {
    groups: [EVIL, "FFA"],
    series: [EVIL, "b"].map((name) => ({
      name,
      points: [{ mean: 1, low: 0, high: 2 }, undefined],
    })),
    axis: EVIL,
    reference: { value: 0, name: EVIL },
  };
  const confusion = {
    rows: [EVIL],
    columns: [EVIL],
    counts: [1],
    rowTitle: EVIL,
    columnTitle: EVIL,
  };
  const table = {
    columns: [{ name: EVIL, about: EVIL }, { name: "x" }],
    rows: [[EVIL, EVIL], ["b", html`<i>bar</i>`]],
    caption: EVIL,
  };
  const flat = {
    flat: [0, 0, 1, 0],
    spacing: 1,
    region: [0, -1],
    names: [EVIL],
    hemisphere: [0, 1],
  };
  return [
    intervalChart(chart),
    confusionMatrix(confusion),
    valueMatrix({ ...confusion, values: [-1] }),
    lineChart({
      xs: [1, 2],
      series: [EVIL, "b"].map((name) => ({ name, values: [1, NaN] })),
      xAxis: EVIL,
      axis: EVIL,
      reference: { x: 1, name: EVIL },
    }),
    histogram({ values: [1], axis: EVIL, what: EVIL, reference: { x: 1, name: EVIL } }),
    dataTable(table),
    flatMap({ ...flat, values: [0, 1], label: EVIL }),
    panelGrid({
      columns: [{ name: EVIL, about: EVIL }],
      rows: [{ label: EVIL, panels: [{ image, alt: EVIL, note: EVIL }] }],
    }),
    plates([{ image, alt: EVIL, caption: EVIL }]),
    download(EVIL, "text/csv", EVIL, EVIL),
    imageDownload(EVIL, image, EVIL),
    colorScale(EVIL, EVIL),
    rangeScale([0, 1], EVIL),
    foldAway(EVIL, html`${EVIL}`),
    cards([numberCard(EVIL, EVIL)]),
    contents([EVIL]),
    tableBlock(table, { title: EVIL, lead: EVIL, file: EVIL }),
    figureBlock({ title: EVIL, lead: EVIL, note: EVIL, body: html`${EVIL}` }),
  ];
}

Deno.test("every part of a page is well-formed and keeps a user's names text", () => {
  for (const part of everything()) {
    assert.equal(elements(part, "script").length, 0);
    assert.ok(part.markup.includes("&lt;script&gt;"), part.markup.slice(0, 80));
    assert.ok(!/<script/i.test(part.markup));
    // Nothing is fetched: links go into the page or carry their file.
    assert.ok(!/(src|href)="(?!data:|#)/.test(part.markup));
  }
  const page = htmlPage(EVIL, html`${everything()}`);
  assert.ok(!/<script|https?:|url\(/i.test(page));
  assert.match(page, /prefers-color-scheme: dark/);
});

Deno.test("csvOf() is what parseCsv() reads, quotes, line ends and NaN too", () => {
  const rows = [["name", "a,b"], ['say "x"', -0.1], ["two\nlines", NaN], ["", undefined]];
  const text = csvOf(rows);
  assert.equal(text.slice(0, 14), 'name,"a,b"\r\n"s');
  const table = parseCsv(text, "Cannot read:");
  assert.deepEqual(table.get("name"), ['say "x"', "two\nlines", ""]);
  assert.deepEqual(table.get("a,b"), ["-0.1", "NaN", ""]);
});

Deno.test("download() carries the file, byte for byte", () => {
  const [link] = elements(download("r².csv", "text/csv", "région,1\r\n", "numbers"), "a");
  assert.equal(link.attributes.download, "r².csv");
  const [head, data] = link.attributes.href.split(",");
  assert.equal(head, "data:text/csv;charset=utf-8;base64");
  assert.equal(new TextDecoder().decode(Uint8Array.fromBase64(data)), "région,1\r\n");
  assert.match(link.text, /^numbers \s*11 B/);
  const [png] = elements(imageDownload("a.png", image), "a");
  assert.deepEqual(readPng(Uint8Array.fromBase64(png.attributes.href.split(",")[1])), image);
  assert.match(download("a", "b/c", new Uint8Array(2_340_000)).markup, /2\.3 MB/);
});

Deno.test("formatNumber() and niceTicks() write numbers as people do", () => {
  assert.deepEqual([1.005, -0.5, -0.001, NaN, Infinity].map((x) => formatNumber(x)), [
    ...["1.00", "−0.50", "0.00", "–", "–"],
  ]);
  assert.equal(formatNumber(-1234.5678, 1), "−1234.6");
  assert.deepEqual(niceTicks(-0.13, 0.52, 5), [-0.2, 0, 0.2, 0.4, 0.6]);
  assert.deepEqual(niceTicks(0, 0.3, 6), [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]);
  assert.deepEqual(niceTicks(100, 10_000, 5), [0, 2000, 4000, 6000, 8000, 10_000]);
  for (const [low, high] of [[-1e-9, 3e-9], [0.1, 0.7], [-7, 1e6], [3, 3]]) {
    const ticks = niceTicks(low, high);
    assert.ok(ticks[0] <= low && ticks[ticks.length - 1] >= high, `${low} ${high}: ${ticks}`);
    assert.ok(ticks.length <= 12);
  }
});

Deno.test("dataTable() shows intervals, and tableRecords() has all their digits", () => {
  const [interval] = intervalsOf({ mean: [0.123456], low: [-0.05], high: [0.2] });
  const table = {
    columns: [{ name: "region" }, { name: "voxels" }, { name: "r", digits: 3 }, { name: "" }],
    rows: [["FFA", 12, interval, html`<i>x</i>`], ["PPA", 7, 1, undefined]],
    summary: ["mean", 9.5, undefined, undefined],
  };
  assert.deepEqual(texts(dataTable(table), "td"), [
    ...["12.00", "0.123 [−0.050, 0.200]", "x", "7.00", "1.000", "", "9.50", "", ""],
  ]);
  assert.deepEqual(texts(dataTable(table), "th"), [
    "region",
    "voxels",
    "r",
    "",
    "FFA",
    "PPA",
    "mean",
  ]);
  assert.deepEqual(tableRecords(table), [
    ["region", "voxels", "r", "r low", "r high", ""],
    ["FFA", 12, 0.123456, -0.05, 0.2, undefined],
    ["PPA", 7, 1, undefined, undefined, undefined],
    ["mean", 9.5, undefined, undefined, undefined, undefined],
  ]);
});

Deno.test("confusionMatrix() shows shares of rows and outlines what should be", () => {
  const matrix = {
    rows: ["faces", "none"],
    columns: ["face", "food"],
    expected: ["face", undefined],
    counts: [3, 1, 0, 0],
    rowTitle: "region",
    columnTitle: "class",
  };
  const cells = elements(confusionMatrix(matrix), "td").slice(1);
  assert.deepEqual(cells.map(({ text }) => text.trim()), ["75 %3", "25 %1", "0 %0", "0 %0"]);
  assert.deepEqual(cells.map(({ attributes }) => attributes.class), [
    "same",
    undefined,
    undefined,
    undefined,
  ]);
  assert.match(cells[0].attributes.style, /--share:0\.750/);
  assert.deepEqual(confusionRecords(matrix), [["region", "face", "food"], ["faces", 3, 1], [
    "none",
    0,
    0,
  ]]);
  assert.throws(() => confusionMatrix({ ...matrix, counts: [1] }), /need 4 counts, got 1/);
});

Deno.test("intervalChart() puts estimates on the axis where they belong", () => {
  const points = [{ mean: 0.5, low: 0.25, high: 0.75 }, { mean: 0, low: 0, high: 1 }];
  const chart = { groups: ["FFA", "PPA"], series: [{ name: "distilled", points }], axis: "r" };
  const drawn = intervalChart(chart);
  // Lines of the grid stand at the ticks, whose numbers are the soft texts.
  const at = new Map(
    elements(drawn, "text").filter(({ attributes }) => attributes.class === "soft")
      .map(({ attributes, text }) => [Number(text.trim()), Number(attributes.x)]),
  );
  const place = (value: number) => at.get(0)! + (at.get(1)! - at.get(0)!) * value;
  const close = (a: number, b: number) => assert.ok(Math.abs(a - b) <= 0.11, `${a} ${b}`); // tenths
  const marks = elements(drawn, "circle");
  assert.equal(marks.length, 2);
  marks.forEach(({ attributes }, i) => close(Number(attributes.cx), place(points[i].mean)));
  const lines = elements(drawn, "path").filter(({ attributes }) => attributes.class === "k0");
  lines.forEach(({ attributes }, i) => {
    const [low, high] = /^M([\d.]+) [\d.]+H([\d.]+)$/.exec(attributes.d)!.slice(1).map(Number);
    close(low, place(points[i].low));
    close(high, place(points[i].high));
  });
  assert.match(marks[0].text, /^FFA, distilled: 0\.50 \[0\.25, 0\.75\]$/);
  assert.ok(Number(marks[1].attributes.cy) > Number(marks[0].attributes.cy));
  const bars = elements(intervalChart({ ...chart, bars: true }), "rect")
    .filter(({ attributes }) => /fill/.test(attributes.class));
  close(Number(bars[0].attributes.width), place(0.5) - place(0));
  assert.deepEqual(intervalRecords(chart)[1], ["FFA", "distilled", 0.5, 0.25, 0.75]);
  assert.throws(() => intervalChart({ ...chart, groups: ["FFA"] }), /1 points, got 1 series and 2/);
  assert.throws(
    () => intervalChart({ ...chart, series: Array(7).fill(chart.series[0]) }),
    InputError,
  );
  for (const empty of [[], [{ name: "a", points: [undefined, undefined] }]]) {
    assert.ok(!/NaN|Infinity/.test(intervalChart({ ...chart, series: empty }).markup));
  }
});

Deno.test("flatMap() colours voxels by value in a range, or as it is told, and names regions once a hemisphere", () => {
  const map = {
    flat: [0, 0, 0.1, 0, 0.5, 0.2, 0.6, 0.2],
    spacing: 0.1,
    region: [0, 0, 0, 1],
    names: ["FFA", "PPA", "empty"],
    hemisphere: [0, 0, 1, 1],
  };
  const values = [-2, 0, 2, NaN];
  const rects = elements(flatMap({ ...map, values, colormap: "diverging" }), "rect");
  const fills = rects.map(({ attributes }) => attributes.fill);
  const [r, , b] = /(\d+) (\d+) (\d+)/.exec(fills[0])!.slice(1).map(Number);
  assert.ok(b > r, `negative is blue: ${fills[0]}`);
  const middle = /(\d+) (\d+) (\d+)/.exec(fills[1])!.slice(1).map(Number);
  assert.ok(Math.min(...middle) > 235, "zero is white, as the range is symmetric");
  assert.equal(fills[3], "#80808080");
  assert.deepEqual(rects.map(({ text }) => text), ["FFA −2.00", "FFA 0.00", "FFA 2.00", "PPA –"]);
  const wide = elements(flatMap({ ...map, values, range: [2, 4] }), "rect");
  assert.deepEqual(
    new Set(wide.slice(0, 3).map(({ attributes }) => attributes.fill)),
    new Set(["rgb(68 1 84)"]),
  );
  const colors = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  const given = flatMap({ ...map, colors });
  assert.deepEqual(elements(given, "rect").map(({ attributes }) => attributes.fill), [
    ...["rgb(1 2 3)", "rgb(4 5 6)", "rgb(7 8 9)", "rgb(10 11 12)"],
  ]);
  assert.deepEqual(elements(given, "text").map(({ text }) => text.trim()), ["FFA", "FFA", "PPA"]);
  // y is upward on the map and downward in the picture.
  assert.ok(Number(rects[2].attributes.y) < Number(rects[0].attributes.y));
  assert.deepEqual(flatMapRecords({ ...map, values })[4], [3, 0.6, 0.2, "PPA", "right", NaN]);
  assert.deepEqual(flatMapRecords({ ...map, colors })[1], [0, 0, 0, "FFA", "left", 1, 2, 3]);
  assert.throws(() => flatMap(map), /4 voxels need as many values or colours, got none/);
  assert.throws(() => flatMap({ ...map, values: [1] }), InputError);
});

Deno.test("panelGrid() has one place for each column", () => {
  const panel = { image, alt: "a face" };
  const grid = panelGrid({
    columns: [{ name: "FFA" }, { name: "PPA" }],
    rows: [{ panels: [panel, undefined] }],
  });
  assert.equal(elements(grid, "img").length, 1);
  assert.equal(elements(grid, "td").length, 2);
  assert.throws(
    () => panelGrid({ columns: [], rows: [{ panels: [panel] }] }),
    /0 columns, row 0 has 1/,
  );
});

Deno.test("contents() links to the headings of figureBlock()", () => {
  const titles = ["R² & ceiling: voxels", "Karten für alle"];
  const ids = titles.map((title) =>
    elements(figureBlock({ title, body: html`` }), "h2")[0].attributes.id
  );
  const links = elements(contents(titles), "a").map(({ attributes }) => attributes.href);
  assert.deepEqual(links, ids.map((id) => `#${id}`));
  assert.deepEqual(ids, ["r²-ceiling-voxels", "karten-für-alle"]);
});

Deno.test("csvDownload() packs large tables and leaves small ones as they are", () => {
  const linkOf = (n: number) => {
    const records = [["a", "b"], ...Array.from({ length: n }, (_, i) => [i, EVIL])];
    const [{ attributes }] = elements(csvDownload("n.csv", records), "a");
    const bytes = Uint8Array.fromBase64(attributes.href.replace(/^[^,]*,/, ""));
    return { attributes, bytes, text: csvOf(records) };
  };
  const small = linkOf(3);
  assert.equal(small.attributes.download, "n.csv");
  assert.equal(new TextDecoder().decode(small.bytes), small.text);
  const large = linkOf(30_000);
  assert.equal(large.attributes.download, "n.csv.gz");
  assert.match(large.attributes.href, /^data:application\/gzip;base64,/);
  assert.equal(new TextDecoder().decode(gunzipSync(large.bytes)), large.text);
  assert.ok(large.bytes.length < large.text.length / 4);
});

/** A chart around one curve or set of values. */
const curve = (xs: number[], values: number[]) =>
  lineChart({ xs, series: [{ name: "loss", values }], xAxis: "epoch", axis: "loss" });

Deno.test("lineChart() draws finite values to scale, leaves gaps, and takes a single step", () => {
  const part = curve([1, 2, 3, 4], [0, 1, NaN, 0.5]);
  const [path] = elements(part, "path").filter(({ attributes }) => attributes.class === "line");
  const places = [...path.attributes.d.matchAll(/([ML])([\d.]+) ([\d.]+)/g)];
  assert.deepEqual(places.map(([, command]) => command), ["M", "L", "M"]);
  const [a, b, c] = places.map(([, , x, y]) => [Number(x), Number(y)]);
  // A third of the way for each step; half the height for half the value; upward. Places are rounded to a tenth.
  assert.ok(Math.abs((c[0] - a[0]) / (b[0] - a[0]) - 3) < 0.01);
  assert.ok(Math.abs((a[1] - c[1]) / (a[1] - b[1]) - 0.5) < 0.01 && b[1] < a[1]);
  const marks = elements(part, "circle").map(({ text }) => text);
  assert.deepEqual(marks, ["loss, epoch 1: 0", "loss, epoch 2: 1", "loss, epoch 4: 0.5"]);
  for (const values of [[2], [0], [NaN]]) assert.doesNotMatch(curve([1], values).markup, /NaN/);
  assert.throws(() => curve([], []), InputError);
  assert.throws(() => curve([1, 2], [1]), /2 steps are needed, got 1, 1 values in one/);
});

Deno.test("histogram() counts every finite value once", () => {
  const counts = (values: number[]) =>
    texts(histogram({ values, axis: "R²", what: "voxels" }), "rect")
      .map((text) => Number(text.split(": ")[1]));
  const values = Array.from({ length: 100 }, (_, i) => (i + 0.5) / 100);
  const found = counts([...values, NaN, Infinity]);
  assert.equal(found.reduce((a, b) => a + b), 100);
  // Steps of 0.05 are the first of 1, 2 and 5 that make at most 30 bins of 0 to 0.99.
  assert.deepEqual(found, Array.from({ length: 20 }, () => 5));
  assert.equal(counts([3, 3, 3]).reduce((a, b) => a + b), 3);
  assert.ok(counts([]).every((count) => count === 0));
});

Deno.test("valueMatrix() shades by magnitude and tells signs apart", () => {
  const matrix = {
    ...{ rows: ["a", "b"], columns: ["x", "y"], values: [1, -0.5, NaN, 0] },
    ...{ rowTitle: "layer", columnTitle: "network" },
  };
  const cells = elements(valueMatrix(matrix), "td").slice(1);
  assert.deepEqual(cells.map(({ text }) => text), ["1.00", "−0.50", "–", "0.00"]);
  const styles = ["--share:1.000", "--share:0.500", "--share:0.000", "--share:0.000"];
  assert.deepEqual(cells.map(({ attributes }) => attributes.style), styles);
  assert.deepEqual(cells.map(({ attributes }) => attributes.class === "below"), [
    ...[false, true, false, false],
  ]);
  assert.deepEqual(valueMatrixRecords(matrix)[1], ["a", 1, -0.5]);
  assert.throws(() => valueMatrix({ ...matrix, values: [1] }), /need 4 values, got 1/);
});
