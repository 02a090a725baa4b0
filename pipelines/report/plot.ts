/**
 * Small charts with a value upward: curves over steps, and how often values occur.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type Html, html } from "./html.ts";
import { MAX_SERIES, seriesLegend, seriesMark } from "./marks.ts";
import { formatNumber, niceTicks, stepDigits } from "./numbers.ts";

/** Curves over the same steps. */
export interface LineChart {
  /** Where the values are, ascending: epochs. */
  readonly xs: readonly number[];
  /** At most six curves with a value for each step; a value that is not finite leaves a gap. */
  readonly series: readonly { readonly name: string; readonly values: ArrayLike<number> }[];
  /** What the steps are. */
  readonly xAxis: string;
  /** What the values are. */
  readonly axis: string;
  /** A step that matters. */
  readonly reference?: { readonly x: number; readonly name: string };
}

/** How often values occur. */
export interface Histogram {
  /** The values; those that are not finite are passed over. */
  readonly values: ArrayLike<number>;
  /** What they are. */
  readonly axis: string;
  /** What is counted. */
  readonly what: string;
  /** A value that matters. */
  readonly reference?: { readonly x: number; readonly name: string };
}

const [WIDTH, HEIGHT] = [420, 240];
const [LEFT, RIGHT, TOP, BOTTOM] = [62, 14, 12, 46];
/** More marks than this would hide the curve. */
const MOST_MARKS = 40;
const BINS = 30;

/** Places of values in a plot. */
interface Frame {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

/** Ticks that cover values; around a single one where they do not differ. */
function ticksOf(values: readonly number[], count: number): number[] {
  const finite = values.filter(Number.isFinite);
  const [low, high] = finite.length === 0
    ? [0, 1]
    : finite.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const pad = low < high ? 0 : Math.abs(low) / 2 || 0.5;
  return niceTicks(low - pad, high + pad, count);
}

/** Text of ticks: digits as their steps need, powers where there would be too many. */
function tickText(ticks: readonly number[]): (tick: number) => string {
  const digits = stepDigits(ticks[1] - ticks[0]);
  return (tick) => digits > 4 ? tick.toExponential(1) : formatNumber(tick, digits);
}

/** Lines, numbers and titles of both axes, and what `draw` puts between them. */
function frame(
  { xTicks, yTicks, xLimits, xAxis, axis, reference, label }: {
    readonly xTicks: readonly number[];
    readonly yTicks: readonly number[];
    readonly xLimits: readonly [number, number];
    readonly xAxis: string;
    readonly axis: string;
    readonly reference?: { readonly x: number; readonly name: string };
    readonly label: string;
  },
  draw: (places: Frame) => Html | readonly Html[],
): Html {
  const [low, high] = [yTicks[0], yTicks[yTicks.length - 1]];
  const [first, last] = xLimits;
  const x = (value: number) => LEFT + (WIDTH - LEFT - RIGHT) * (value - first) / (last - first);
  const y = (value: number) =>
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low);
  const bottom = HEIGHT - BOTTOM;
  const xText = tickText(xTicks), yText = tickText(yTicks);
  const rows = yTicks.map((tick) =>
    html`
      <path class="grid" d="M${LEFT} ${y(tick).toFixed(1)}H${WIDTH - RIGHT}" />
      <text class="soft" x="${LEFT - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${yText(
        tick,
      )}</text>
    `
  );
  const columns = xTicks.filter((tick) => tick >= first && tick <= last).map((tick) =>
    html`<text class="soft" x="${x(tick).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${
      xText(tick)
    }</text>`
  );
  const dashed = reference &&
    html`
      <path class="reference" d="M${x(reference.x).toFixed(1)} ${TOP}V${bottom}">
        <title>${reference.name}</title>
      </path>
    `;
  const [middle, height] = [(LEFT + WIDTH - RIGHT) / 2, (TOP + bottom) / 2];
  return html`
    <svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
      aria-label="${label}">${rows}${columns}<text
        x="${middle}" y="${bottom + 36}" text-anchor="middle">${xAxis}${reference &&
          ` (dashed: ${reference.name})`}</text><text transform="translate(14 ${height}) rotate(-90)" text-anchor="middle">${axis}</text>${draw(
            { x, y },
          )}${dashed}</svg>
  `;
}

/** Runs of finite values as one path. */
function pathOf(xs: readonly number[], values: ArrayLike<number>, { x, y }: Frame): string {
  let isOpen = false;
  return xs.map((at, i) => {
    if (!Number.isFinite(values[i])) {
      isOpen = false;
      return "";
    }
    const command = isOpen ? "L" : "M";
    isOpen = true;
    return `${command}${x(at).toFixed(1)} ${y(values[i]).toFixed(1)}`;
  }).join("");
}

/**
 * Curves over steps with a legend where there are several.
 *
 * @throws {InputError} when there are no steps, more than six curves, or one has not a value for each step
 */
export function lineChart(chart: LineChart): Html {
  const { xs, series, xAxis, axis, reference } = chart;
  const wrong = series.find(({ values }) => values.length !== xs.length);
  if (xs.length === 0 || series.length > MAX_SERIES || wrong) {
    throw new InputError(
      `Cannot draw curves: up to ${MAX_SERIES} with values at ${xs.length} steps are needed, got ${series.length}${
        wrong ? `, ${wrong.values.length} values in one` : ""
      }`,
    );
  }
  const [first, last] = [xs[0], xs[xs.length - 1]];
  const xLimits = first < last ? [first, last] as const : [first - 1, first + 1] as const;
  const steps = xs.length === 1 ? [first - 1, first] : niceTicks(first, last, 8);
  // Steps are counted: no tick between two of them.
  const xTicks = steps[1] - steps[0] >= 1 ? steps : xs;
  const yTicks = ticksOf(series.flatMap(({ values }) => Array.from(values)), 5);
  const drawing = frame(
    { xTicks, yTicks, xLimits, xAxis, axis, reference, label: `${axis} by ${xAxis}` },
    (places) =>
      series.map(({ name, values }, s) => {
        const marks = xs.length > MOST_MARKS ? [] : xs.flatMap((at, i) => {
          if (!Number.isFinite(values[i])) return [];
          const title = `${name}, ${xAxis} ${at}: ${Number(values[i].toPrecision(4))}`;
          return [seriesMark(s, { x: places.x(at), y: places.y(values[i]), title })];
        });
        return html`<g class="k${s}"><path class="line" d="${
          pathOf(xs, values, places)
        }"/>${marks}</g>`;
      }),
  );
  return html`<div class="scroll">${seriesLegend(series.map(({ name }) => name))}${drawing}</div>`;
}

/** Bins of equal width from the least value to the greatest, and how many values are in each. */
function binsOf(values: ArrayLike<number>): { edges: number[]; counts: number[] } {
  const finite = Float64Array.from(values).filter(Number.isFinite);
  const [low, high] = finite.reduce(
    ([a, b], v) => [Math.min(a, v), Math.max(b, v)],
    [Infinity, -Infinity],
  );
  const ticks = finite.length === 0 ? [0, 1] : niceTicks(low, low < high ? high : low + 1, BINS);
  const [first, step] = [ticks[0], ticks[1] - ticks[0]];
  const counts = ticks.slice(1).map(() => 0);
  for (const value of finite) {
    counts[Math.max(0, Math.min(counts.length - 1, Math.floor((value - first) / step)))]++;
  }
  return { edges: ticks, counts };
}

/** A histogram: how many values lie in each of about thirty bins. */
export function histogram({ values, axis, what, reference }: Histogram): Html {
  const { edges, counts } = binsOf(values);
  const limits = [edges[0], edges[edges.length - 1]] as const;
  const drawing = frame(
    {
      ...{ xTicks: niceTicks(...limits, 6), yTicks: ticksOf([0, Math.max(...counts)], 5) },
      ...{ xLimits: limits, xAxis: axis, axis: what, reference },
      label: `histogram of ${axis}: ${what}`,
    },
    ({ x, y }) =>
      counts.map((count, b) => {
        const [left, right] = [x(edges[b]), x(edges[b + 1])];
        return html`
          <rect class="column" x="${(left + 0.5).toFixed(1)}" y="${y(count).toFixed(
            1,
          )}" width="${Math.max(0.5, right - left - 1).toFixed(1)}" height="${(y(0) - y(count))
            .toFixed(1)}">
            <title>${Number(edges[b].toPrecision(4))} to ${Number(
              edges[b + 1].toPrecision(4),
            )}: ${count}</title>
          </rect>
        `;
      }),
  );
  return html`<div class="scroll">${drawing}</div>`;
}
