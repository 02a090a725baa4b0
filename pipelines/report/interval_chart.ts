/**
 * Estimates with their intervals, groups down and values across.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { CsvCell } from "../io/csv.ts";
import { type Html, html } from "./html.ts";
import { MAX_SERIES, seriesLegend, seriesMark } from "./marks.ts";
import { formatNumber, type Interval, niceTicks, stepDigits } from "./numbers.ts";

/** One kind of estimate in every group. */
export interface ChartSeries {
  /** Name in the legend. */
  readonly name: string;
  /** One estimate for each group; `undefined` where there is none. */
  readonly points: readonly (Interval | undefined)[];
}

/** What a chart of intervals shows. */
export interface IntervalChart {
  /** Names of the groups. */
  readonly groups: readonly string[];
  /** At most six, told apart by colour and shape. */
  readonly series: readonly ChartSeries[];
  /** What the values are, with their unit: the title of the axis. */
  readonly axis: string;
  /** Whether bars are drawn from 0 to the estimates. */
  readonly bars?: boolean;
  /** A value to compare with, as chance. */
  readonly reference?: { readonly value: number; readonly name: string };
  /** Digits of the values that a pointer over a mark shows. */
  readonly digits?: number;
}

const WIDTH = 760;
const RIGHT = 24;
const TOP = 8;
/** Height of one mark's lane, and space between groups. */
const LANE = 15;
const GROUP_GAP = 11;
/** Width of a capital of 12-pixel text, as regions are often named by, and the longest that names may be. */
const CHARACTER = 8.4;
const MAX_NAME = 30;

/** The values that the axis must reach. */
function extent({ series, bars = false, reference }: IntervalChart): [number, number] {
  const values = series.flatMap(({ points }) =>
    points.flatMap((point) => point ? [point.mean, point.low, point.high] : [])
  ).concat(bars ? [0] : [], reference ? [reference.value] : []).filter(Number.isFinite);
  if (values.length === 0) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

/** One estimate: a line over its interval, its mark, and a bar where bars are wanted. */
function estimate(
  point: Interval,
  { s, y, place, isBar, title }: {
    readonly s: number;
    readonly y: number;
    readonly place: (value: number) => number;
    readonly isBar: boolean;
    readonly title: string;
  },
): Html {
  const [low, mean, high] = [point.low, point.mean, point.high].map(place);
  const [zero, h] = [place(0), LANE - 3];
  const bar = isBar
    ? html`
      <rect class="k${s} fill" x="${Math.min(zero, mean).toFixed(1)}" y="${(y - h / 2).toFixed(
        1,
      )}" width="${Math.abs(mean - zero).toFixed(1)}"
        height="${h}">
        <title>${title}</title>
      </rect>
    `
    : undefined;
  const line = Number.isFinite(low) && Number.isFinite(high)
    ? html`
      <path class="k${s}" stroke-width="1.6" d="M${low.toFixed(1)} ${y.toFixed(1)}H${high.toFixed(
        1,
      )}" />
    `
    : undefined;
  return html`${bar}${line}${seriesMark(s, { x: mean, y, title })}`;
}

function shorten(name: string): string {
  const characters = [...name];
  return characters.length <= MAX_NAME ? name : `${characters.slice(0, MAX_NAME - 1).join("")}…`;
}

/** Lines and numbers of the axis, and the value to compare with. */
function axisOf(
  { axis, reference }: IntervalChart,
  { ticks, place, bottom }: {
    readonly ticks: readonly number[];
    readonly place: (value: number) => number;
    readonly bottom: number;
  },
): Html {
  const digits = stepDigits(ticks[1] - ticks[0]);
  const lines = ticks.map((tick) => {
    const x = place(tick).toFixed(1);
    return html`
      <path class="${tick === 0 ? "zero" : "grid"}" d="M${x} ${TOP}V${bottom}" />
      <text class="soft" x="${x}" y="${bottom + 16}" text-anchor="middle">${formatNumber(
        tick,
        digits,
      )}</text>
    `;
  });
  const middle = (place(ticks[0]) + place(ticks[ticks.length - 1])) / 2;
  const compared = reference &&
    html`
      <path class="reference" d="M${place(reference.value).toFixed(1)} ${TOP}V${bottom}">
        <title>${reference.name}</title>
      </path>
    `;
  return html`
    ${lines}${compared}<text x="${middle.toFixed(1)}" y="${bottom + 36}"
      text-anchor="middle">${axis}${reference && ` (dashed: ${reference.name})`}</text>
  `;
}

/**
 * A chart of estimates with intervals: one group below the other, the series of a group together, a legend where there are several.
 *
 * @throws {InputError} when there are more than six series, or one has not as many points as there are groups
 */
export function intervalChart(chart: IntervalChart): Html {
  const { groups, series, axis, bars = false, digits = 2 } = chart;
  const wrong = series.find(({ points }) => points.length !== groups.length);
  if (series.length > MAX_SERIES || wrong) {
    throw new InputError(
      `Cannot draw a chart: it takes up to ${MAX_SERIES} series of ${groups.length} points, got ${series.length} series${
        wrong ? ` and ${wrong.points.length} points` : ""
      }`,
    );
  }
  const names = groups.map(shorten);
  const left = 16 + CHARACTER * Math.max(0, ...names.map((name) => [...name].length));
  const ticks = niceTicks(...extent(chart), 6);
  const [first, last] = [ticks[0], ticks[ticks.length - 1]];
  const place = (value: number) => left + (WIDTH - RIGHT - left) * (value - first) / (last - first);
  const groupHeight = series.length * LANE + GROUP_GAP;
  const bottom = TOP + groups.length * groupHeight;
  const bands = groups.flatMap((_, g) => {
    if (g % 2 === 0) return [];
    const y = TOP + g * groupHeight;
    return [html`
      <rect class="band" x="0" y="${y}" width="${WIDTH}" height="${groupHeight}" />
    `];
  });
  const rows = groups.map((group, g) => {
    const top = TOP + g * groupHeight + GROUP_GAP / 2;
    const marks = series.flatMap(({ name, points }, s) => {
      const point = points[g];
      if (!point || !Number.isFinite(point.mean)) return [];
      const [mean, low, high] = [point.mean, point.low, point.high]
        .map((value) => formatNumber(value, digits));
      const title = `${group}, ${name}: ${mean} [${low}, ${high}]`;
      return [estimate(point, { s, y: top + (s + 0.5) * LANE, place, isBar: bars, title })];
    });
    const y = top + series.length * LANE / 2 + 4;
    return html`
      <text x="${(left - 10).toFixed(1)}" y="${y.toFixed(1)}"
        text-anchor="end">${names[g]}<title>${group}</title></text>${marks}
    `;
  });
  return html`
    <div
      class="scroll">${seriesLegend(
        series.map(({ name }) => name),
      )}<svg class="chart" viewBox="0 0 ${WIDTH} ${bottom +
        44}" role="img" aria-label="${axis} of ${groups.length} groups">${bands}${axisOf(chart, {
          ticks,
          place,
          bottom,
        })}${rows}</svg></div>
  `;
}

/** The records of a chart for `csvOf()`: group, series, mean, low, high. */
export function intervalRecords({ groups, series }: IntervalChart): CsvCell[][] {
  return [
    ["group", "series", "mean", "low", "high"],
    ...groups.flatMap((group, g) =>
      series.flatMap(({ name, points }) => {
        const point = points[g];
        return point ? [[group, name, point.mean, point.low, point.high]] : [];
      })
    ),
  ];
}
