/** Words for scenes, from a small closed vocabulary, and prompts that name the categories. */

import { isPlace } from "./backgrounds.ts";
import { Draws } from "./draws.ts";
import { FOODS } from "./food.ts";
import { COLORS } from "./palette.ts";
import { PLACES } from "./places.ts";
import { CATEGORIES, type Category, type Scene, type SceneObject } from "./scene.ts";
import { THINGS } from "./things.ts";

// The nouns of each category: the first is the general one, the rest are synonyms or kinds.
const NOUNS: Readonly<Record<Category, readonly string[]>> = {
  face: ["face", "portrait"],
  body: ["body", "person"],
  place: ["place", ...PLACES],
  food: ["food", "meal", ...FOODS],
  word: ["word", "text", "sign"],
  object: ["object", "tool", ...THINGS],
};

const PLACE_PHRASES: Readonly<Record<string, string>> = {
  room: "in a room",
  hallway: "in a hallway",
  hills: "in the hills",
  city: "in a city",
  beach: "on a beach",
};

const OTHER_WORDS = (
  "a an the of in on at and with photo picture plate small large left right top bottom center " +
  "hair background plain striped checkered dotted cloudy indoor outdoor"
).split(" ");

/** Every word that captions and prompts use, in alphabetical order. */
export const VOCABULARY: readonly string[] = [
  ...new Set([...OTHER_WORDS, ...Object.values(NOUNS).flat(), ...Object.keys(COLORS)]),
].sort();

function article(word: string): string {
  return /^[aeiou]/.test(word) ? "an" : "a";
}

function nounPhrase(noun: string): string {
  if (noun === "food" || noun === "fruit" || noun === "text") return noun;
  return noun === "hills" ? "the hills" : `${article(noun)} ${noun}`;
}

/** Several prompts for each category, for a text tower to embed: all their words occur in captions. */
export const categoryPrompts: Readonly<Record<Category, readonly string[]>> = Object.fromEntries(
  CATEGORIES.map((category) => [
    category,
    NOUNS[category].flatMap((noun) => [
      `a photo of ${nounPhrase(noun)}`,
      `a picture of ${nounPhrase(noun)}`,
    ]),
  ]),
) as unknown as Record<Category, readonly string[]>;

function sizeWord(size: number): string {
  return size > 0.28 ? "large " : size < 0.2 ? "small " : "";
}

function positionPhrase(x: number, y: number): string {
  const column = x < 0.4 ? "left" : x > 0.6 ? "right" : "";
  const row = y < 0.36 ? "top" : y > 0.64 ? "bottom" : "";
  if (row) return column ? `at the ${row} ${column}` : `at the ${row}`;
  return column ? `on the ${column}` : "in the center";
}

/** What captions say. */
export interface CaptionOptions {
  /** "short" names the categories or kinds; "full" adds size, colour and position. */
  readonly detail?: "short" | "full";
  /** Chooses among synonyms; captions of different variants say the same in other words. */
  readonly variant?: number;
}

/** A noun phrase for one object, such as "a large face with red hair on the left". */
export function captionObject(object: SceneObject, options: CaptionOptions = {}): string {
  const { detail = "full", variant = 0 } = options;
  const draws = new Draws(object.variation, 1, variant);
  const kinds = NOUNS[object.category];
  const general = draws.uniform() < 0.5;
  const tool = object.kind === "hammer" || object.kind === "wrench";
  const noun = object.category === "food"
    ? (general ? draws.pick(["food", "meal"]) : object.kind)
    : object.category === "object"
    ? (general ? (tool ? draws.pick(["object", "tool"]) : "object") : object.kind)
    : draws.pick(kinds);
  if (detail === "short") return nounPhrase(noun);
  return `${describe(object, noun)} ${positionPhrase(object.x, object.y)}`;
}

function describe(object: SceneObject, noun: string): string {
  const size = sizeWord(object.size);
  const { color } = object;
  if (object.category === "face") return `a ${size}${noun} with ${color} hair`;
  if (object.category === "body") return `a ${size}${noun} in ${color}`;
  if (object.category === "object") return `${article(size + color)} ${size}${color} ${noun}`;
  if (object.category === "word") {
    if (noun === "word") return `a ${size}word on ${color}`;
    return `${article(size + color)} ${size}${color} sign with text`;
  }
  return noun === "food" || noun === "fruit" ? `a ${size}plate of ${noun}` : `a ${size}${noun}`;
}

function backgroundPhrase(scene: Scene, detail: string, draws: Draws): string {
  const { kind, color } = scene.background;
  if (!isPlace(kind)) return detail === "full" ? ` on a ${kind} ${color} background` : "";
  const indoor = kind === "room" || kind === "hallway";
  const roll = draws.uniform();
  if (roll < 0.2) return ` in a place`;
  if (roll < 0.35) return ` in an ${indoor ? "indoor" : "outdoor"} place`;
  return ` ${PLACE_PHRASES[kind]}`;
}

/** A caption of a whole scene, such as "a photo of a face and a cup in a room". */
export function captionScene(scene: Scene, options: CaptionOptions = {}): string {
  const { detail = "full", variant = 0 } = options;
  const draws = new Draws(scene.background.variation, 2, variant);
  const start = draws.pick(["a photo of", "a picture of"]);
  const behind = backgroundPhrase(scene, detail, draws);
  if (scene.objects.length === 0) {
    const place = behind.trim().replace(/^(in|on) /, "");
    return `${start} ${place}`;
  }
  const phrases = draws.shuffle(scene.objects).map((object) => captionObject(object, options));
  return `${start} ${phrases.join(" and ")}${behind}`;
}
