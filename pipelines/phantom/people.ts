/** Faces and bodies. */

import { type ColorName, COLORS, SKIN } from "./palette.ts";
import {
  box,
  capsule,
  ellipse,
  intersect,
  mix,
  type Part,
  part,
  polygon,
  type Rgb,
} from "./shapes.ts";
import { subtract } from "./shapes.ts";

const EYE_COLORS: readonly Rgb[] = [[0.24, 0.15, 0.09], [0.16, 0.35, 0.55], [0.2, 0.4, 0.25]];
const HAIR_LIGHTENED: Partial<Record<ColorName, Rgb>> = {
  red: [0.66, 0.25, 0.1],
  yellow: [0.87, 0.69, 0.33],
  brown: [0.36, 0.22, 0.13],
};

function hairColor(name: ColorName): Rgb {
  return HAIR_LIGHTENED[name] ?? COLORS[name];
}

/**
 * A face: head, hair, ears, eyes, brows, nose and mouth; the look direction shifts the features.
 * @param color the hair's colour word
 * @param next uniform numbers in [0, 1) that choose everything else
 */
export function buildFace(color: ColorName, next: () => number): Part[] {
  const skin = SKIN[Math.floor(next() * SKIN.length)];
  const dark = mix(skin, [0.35, 0.12, 0.08], 0.35);
  const hair = hairColor(color);
  const width = 0.66 + 0.1 * next();
  const yaw = (next() - 0.5) * 0.34;
  const long = next() < 0.45;
  const parts: Part[] = [];
  if (long) {
    parts.push(part(ellipse(0, -0.02, width + 0.16, 0.98), hair, { shade: 0.3 }));
    parts.push(part(box(0, 0.5, width + 0.12, 0.42, 0.2), hair, { shade: 0.2 }));
  }
  parts.push(part(box(0, 0.86, 0.26, 0.22, 0.08), dark, { shade: 0.1 }));
  parts.push(part(ellipse(-width - 0.02, 0.08, 0.12, 0.18), skin, { rim: 0.04 }));
  parts.push(part(ellipse(width + 0.02, 0.08, 0.12, 0.18), skin, { rim: 0.04 }));
  const head = ellipse(0, 0, width, 0.92);
  parts.push(part(head, skin, { shade: 0.3, rim: 0.04 }));
  parts.push(...hairline(width, hair, next));
  parts.push(...eyes(yaw, dark, hair, next));
  parts.push(part(ellipse(yaw * 1.5, 0.26, 0.09, 0.16), mix(skin, dark, 0.55), { shade: 0.5 }));
  parts.push(part(ellipse(-0.42 + yaw, 0.34, 0.15, 0.1), mix(skin, [0.9, 0.35, 0.3], 0.18)));
  parts.push(part(ellipse(0.42 + yaw, 0.34, 0.15, 0.1), mix(skin, [0.9, 0.35, 0.3], 0.18)));
  parts.push(...mouth(yaw, next));
  return parts;
}

function hairline(width: number, hair: Rgb, next: () => number): Part[] {
  const cap = ellipse(0, -0.1, width + 0.09, 0.92);
  const style = next();
  const parting = (next() - 0.5) * 0.7;
  const brow = style < 0.6 ? ellipse(parting, 0.42, 0.95, 0.92) : ellipse(0, 0.3, 0.7, 0.78);
  if (style > 0.93) return [];
  return [part(subtract(cap, brow), hair, { shade: 0.35 })];
}

function eyes(yaw: number, dark: Rgb, hair: Rgb, next: () => number): Part[] {
  const iris = EYE_COLORS[Math.floor(next() * EYE_COLORS.length)];
  const open = 0.09 + 0.05 * next();
  const gaze = (next() - 0.5) * 0.08 + yaw * 0.15;
  const browTilt = (next() - 0.5) * 0.12;
  const glasses = next() < 0.18;
  const parts: Part[] = [];
  for (const side of [-1, 1]) {
    const x = side * 0.28 + yaw;
    parts.push(part(ellipse(x, -0.05, 0.165, open + 0.03), dark, { shade: 0 }));
    parts.push(part(ellipse(x, -0.04, 0.15, open), [0.98, 0.98, 0.97], { shade: 0.05 }));
    const pupil = intersect(ellipse(x + gaze, -0.04, 0.085), ellipse(x, -0.04, 0.15, open));
    parts.push(part(pupil, iris, { shade: 0 }));
    parts.push(part(ellipse(x + gaze, -0.04, 0.045), [0.04, 0.04, 0.05], { shade: 0 }));
    parts.push(part(ellipse(x + gaze - 0.03, -0.075, 0.025), [1, 1, 1], { shade: 0 }));
    const tilt = side * browTilt;
    const brow = capsule(x - 0.16, -0.24 - tilt, x + 0.16, -0.24 + tilt, 0.035);
    parts.push(part(brow, mix(hair, [0.1, 0.07, 0.05], 0.35), { shade: 0 }));
    if (glasses) {
      const frame = subtract(ellipse(x, -0.03, 0.24, 0.22), ellipse(x, -0.03, 0.2, 0.18));
      parts.push(part(frame, [0.1, 0.1, 0.12], { shade: 0 }));
    }
  }
  if (glasses) parts.push(part(box(yaw, -0.05, 0.06, 0.02), [0.1, 0.1, 0.12], { shade: 0 }));
  return parts;
}

function mouth(yaw: number, next: () => number): Part[] {
  const style = next();
  const width = 0.2 + 0.12 * next();
  const lip: Rgb = mix([0.7, 0.2, 0.22], [0.8, 0.35, 0.33], next());
  if (style < 0.55) {
    const smile = subtract(ellipse(yaw, 0.5, width, 0.17), ellipse(yaw, 0.37, width * 1.35, 0.17));
    const teeth = subtract(
      ellipse(yaw, 0.485, width * 0.8, 0.12),
      ellipse(yaw, 0.38, width * 1.35, 0.17),
    );
    return [part(smile, lip, { shade: 0 }), part(teeth, [0.97, 0.96, 0.94], { shade: 0 })];
  }
  if (style < 0.75) {
    return [
      part(ellipse(yaw, 0.55, width * 0.6, 0.13), lip, { shade: 0 }),
      part(ellipse(yaw, 0.56, width * 0.42, 0.085), [0.25, 0.05, 0.07], { shade: 0 }),
    ];
  }
  return [part(ellipse(yaw, 0.54, width, 0.07), lip, { shade: 0.2 })];
}

/**
 * A body seen without its face: torso, two-segment arms and legs in a random pose, back of the head.
 * @param color the shirt's colour word
 * @param next uniform numbers in [0, 1) that choose everything else
 */
export function buildBody(color: ColorName, next: () => number): Part[] {
  const skin = SKIN[Math.floor(next() * SKIN.length)];
  const shirt = COLORS[color];
  const trousers = ([[0.16, 0.2, 0.34], [0.25, 0.25, 0.27], [0.42, 0.33, 0.24], [
    0.3,
    0.36,
    0.5,
  ]] as readonly Rgb[])[Math.floor(next() * 4)];
  const shorts = next() < 0.4;
  const short = next() < 0.6;
  const hip = 0.17;
  const parts: Part[] = [];
  const stride = (next() - 0.3) * 0.75;
  parts.push(...leg(-hip * 0.6, -stride, next(), trousers, skin, shorts));
  parts.push(...leg(hip * 0.6, stride, next(), trousers, skin, shorts));
  const left = next();
  const right = next();
  parts.push(...arm(-1, left, next(), shirt, skin, short));
  const torso = polygon([[-0.3, -0.5], [0.3, -0.5], [0.2, 0.14], [-0.2, 0.14]]);
  parts.push(part(capsule(0, -0.72, 0, -0.5, 0.09), skin));
  parts.push(part(box(0, 0.1, 0.2, 0.1, 0.07), trousers));
  parts.push(part(capsule(-0.2, -0.44, 0.2, -0.44, 0.11), shirt, { shade: 0.1 }));
  parts.push(part(torso, shirt, { shade: 0.32 }));
  parts.push(part(box(0, 0.11, 0.2, 0.035), [0.15, 0.12, 0.1], { shade: 0 }));
  parts.push(...arm(1, right, next(), shirt, skin, short));
  const hair = next() < 0.5 ? COLORS.black : mix(COLORS.brown, COLORS.yellow, next() * 0.6);
  parts.push(part(ellipse(0, -0.82, 0.14, 0.17), skin));
  parts.push(part(ellipse(0, -0.86, 0.15, 0.15), hair, { shade: 0.35 }));
  return parts;
}

function leg(
  x: number,
  swing: number,
  bend: number,
  trousers: Rgb,
  skin: Rgb,
  shorts: boolean,
): Part[] {
  const kneeX = x + 0.38 * Math.sin(swing);
  const kneeY = 0.14 + 0.4 * Math.cos(swing);
  const shin = swing - 0.6 * bend * (swing < 0 ? -1 : 0.2);
  const footX = kneeX + 0.38 * Math.sin(shin);
  const footY = kneeY + 0.38 * Math.cos(shin);
  return [
    part(capsule(footX, footY, footX + 0.12, footY + 0.03, 0.065), [0.14, 0.13, 0.14]),
    part(capsule(kneeX, kneeY, footX, footY, 0.095, 0.065), shorts ? skin : trousers),
    part(capsule(x, 0.16, kneeX, kneeY, 0.125, 0.095), trousers),
  ];
}

function arm(
  side: number,
  lift: number,
  bend: number,
  shirt: Rgb,
  skin: Rgb,
  short: boolean,
): Part[] {
  const shoulderX = side * 0.26;
  const angle = 0.15 + 2.3 * lift * lift; // Mostly hanging, sometimes raised.
  const elbowX = shoulderX + side * 0.3 * Math.sin(angle);
  const elbowY = -0.44 + 0.3 * Math.cos(angle);
  const fore = angle + (bend - 0.35) * 1.6;
  const handX = elbowX + side * 0.28 * Math.sin(fore);
  const handY = elbowY + 0.28 * Math.cos(fore);
  return [
    part(capsule(elbowX, elbowY, handX, handY, 0.07, 0.055), short ? skin : shirt),
    part(capsule(shoulderX, -0.44, elbowX, elbowY, 0.09, 0.07), shirt),
    part(ellipse(handX, handY, 0.075), skin),
  ];
}
