/** Scenes as plain values: what is where, before any pixel exists. */

import { type Background, isPlace, PLAIN_COLORS, PLAINS } from "./backgrounds.ts";
import { Draws } from "./draws.ts";
import { FOODS } from "./food.ts";
import { CLOTHES, type ColorName, HAIR, PAINTS } from "./palette.ts";
import { PLACES } from "./places.ts";
import type { Texture } from "./shapes.ts";
import { THINGS } from "./things.ts";

/** The categories, in label order: a pixel's label is its category's index plus one, 0 = none. */
export const CATEGORIES = ["face", "body", "place", "food", "word", "object"] as const;

/** A category of the phantom world. */
export type Category = typeof CATEGORIES[number];

/** One thing in front of the background. */
export interface SceneObject {
  /** Its category. */
  readonly category: Exclude<Category, "place">;
  /** Kind within the category, such as "pizza"; the category itself where it has one kind. */
  readonly kind: string;
  /** Centre as a fraction of the image, rightward. */
  readonly x: number;
  /** Centre as a fraction of the image, downward. */
  readonly y: number;
  /** Radius as a fraction of the image's side. */
  readonly size: number;
  /** Clockwise turn in radians. */
  readonly rotation: number;
  /** Colour word: of a face the hair, of a body the shirt, of a word the sign; food ignores it. */
  readonly color: ColorName;
  /** A pattern, on some objects. */
  readonly texture?: Texture["kind"];
  /** Distance from the camera, 0 near to 0.6 far. */
  readonly depth: number;
  /** Seed of everything else about it. */
  readonly variation: number;
}

/** A scene: a background, and objects in no particular order. */
export interface Scene {
  /** What lies behind. */
  readonly background: Background;
  /** What stands in front. */
  readonly objects: readonly SceneObject[];
  /** Darkness of the shadows under objects, 0 = none. */
  readonly shadow: number;
}

/** How often things occur in random scenes. */
export interface SceneOptions {
  /** Share of scenes whose background is a place. */
  readonly placeShare?: number;
  /** Share of the places that hold no object. */
  readonly emptyShare?: number;
  /** Probabilities of one, two and three objects. */
  readonly counts?: readonly [number, number, number];
}

const FOREGROUND = ["face", "body", "food", "word", "object"] as const;
// Radii by number of objects, as fractions of the image side.
const SIZES = [[0.24, 0.42], [0.19, 0.3], [0.16, 0.23]] as const;

/**
 * Draws scene number `index` of a seed; it depends on nothing else, so data sets of any length share their beginning.
 * @throws {RangeError} for a seed or index that is not a whole number
 */
export function randomScene(seed: number, index: number, options: SceneOptions = {}): Scene {
  const { placeShare = 0.42, emptyShare = 0.2, counts = [0.4, 0.38, 0.22] } = options;
  if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(index) || index < 0) {
    throw new RangeError(
      `Cannot draw a scene: seed and index must be whole numbers, got ${seed} and ${index}`,
    );
  }
  const draws = new Draws(seed, 1, index);
  const place = draws.uniform() < placeShare;
  const background: Background = {
    kind: place ? draws.pick(PLACES) : draws.pick(PLAINS),
    color: draws.pick(PLAIN_COLORS),
    variation: draws.bits(),
  };
  const roll = draws.uniform();
  const count = roll < counts[0] ? 1 : roll < counts[0] + counts[1] ? 2 : 3;
  const empty = place && draws.uniform() < emptyShare;
  const categories = draws.shuffle(FOREGROUND).slice(0, count);
  if (count > 1 && draws.uniform() < 0.15) categories[1] = categories[0]; // Two of a kind.
  const objects: SceneObject[] = [];
  if (!empty) {
    for (const category of categories) objects.push(randomObject(category, count, objects, draws));
  }
  return { background, objects, shadow: 0.3 };
}

function randomObject(
  category: SceneObject["category"],
  count: number,
  others: readonly SceneObject[],
  draws: Draws,
): SceneObject {
  const [low, high] = SIZES[count - 1];
  const size = draws.uniform(low, high) * (category === "body" ? 1.15 : 1); // Bodies are slim.
  const [x, y] = freeSpot(size, others, draws);
  const kind = category === "food"
    ? draws.pick(FOODS)
    : category === "object"
    ? draws.pick(THINGS)
    : category;
  const colors = { face: HAIR, body: CLOTHES, food: PAINTS, word: PAINTS, object: PAINTS } as const;
  const turn = category === "object" && (kind === "hammer" || kind === "wrench")
    ? Math.PI
    : category === "word"
    ? 0.3
    : category === "food"
    ? 0.15
    : 0.35;
  const texture = category === "object" && draws.uniform() < 0.4
    ? draws.pick(["stripes", "dots", "checks"] as const)
    : undefined;
  return {
    category,
    kind,
    x,
    y,
    size,
    rotation: draws.uniform(-turn, turn),
    color: draws.pick(colors[category]),
    ...(texture && { texture }),
    // Larger looks nearer; the jitter keeps depth from being a function of size.
    depth: Math.min(0.58, Math.max(0.05, 0.62 - 1.3 * size + draws.uniform(-0.06, 0.06))),
    variation: draws.bits(),
  };
}

/** The least crowded of a few random centres. */
function freeSpot(size: number, others: readonly SceneObject[], draws: Draws): [number, number] {
  let best: [number, number] = [0.5, 0.5];
  let bestGap = -Infinity;
  for (let attempt = 0; attempt < 16; attempt++) {
    const x = draws.uniform(size * 0.85, 1 - size * 0.85);
    const y = draws.uniform(size * 0.9, 1 - size * 0.9);
    let gap = Infinity;
    for (const other of others) {
      gap = Math.min(gap, Math.hypot(x - other.x, y - other.y) - 0.85 * (size + other.size));
    }
    if (gap > bestGap) {
      bestGap = gap;
      best = [x, y];
    }
    if (gap > 0) break;
  }
  return best;
}

/** The categories that a scene shows, place among them where the background is one. */
export function sceneCategories(scene: Scene): Category[] {
  const present = new Set<Category>(scene.objects.map((object) => object.category));
  if (isPlace(scene.background.kind)) present.add("place");
  return CATEGORIES.filter((category) => present.has(category));
}
