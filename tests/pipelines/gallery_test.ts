/** Pages of images for voxels: what they hold, what a browser makes of them, and the command that writes them. */
import assert from "node:assert/strict";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeJpeg } from "../../pipelines/io/jpeg.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { flatSpacing } from "../../pipelines/report/flat_map.ts";
import { slicePlaces } from "../../pipelines/report/slice_places.ts";
import { type VoxelGallery, voxelGallery } from "../../pipelines/report/voxel_gallery.ts";
import { bytesOf, openMadeImages } from "../../pipelines/vwam/made_images.ts";
import {
  firstResponses,
  gallerySource,
  regionOfVoxels,
  rgbOfTargets,
} from "../../pipelines/vwam/voxel_gallery.ts";
import { gyrus } from "../console.ts";
import { needs } from "../expectations.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { madeImage, writeMade } from "./made_images_fixture.ts";
import { browse, hasChromium } from "./report_pages.ts";

const SIDE = 24, read = (i: number) => bytesOf(madeImage(i, SIDE), [SIDE, SIDE]);
const EVIL = `</script><b>"FFA" & '`;

/** Nine voxels in a square of three; the corners and the middle have images. */
function fixture(): VoxelGallery {
  const flat = Array.from(
    { length: 18 },
    (_, at) => at % 2 === 0 ? (at >> 1) % 3 : -Math.floor(at / 6),
  );
  const shown = [0, 2, 4, 6, 8];
  return {
    title: EVIL,
    targets: [
      ...shown.map((voxel, i) => ({
        name: `voxel ${voxel}`,
        voxel,
        images: [0, 1].map((s) => ({
          label: `seed ${s}`,
          response: voxel + s / 4,
          image: 2 * i + s,
        })),
      })),
      { name: EVIL, images: [{ label: "seed 0", response: 7, image: 10 }] },
    ],
    map: {
      ...{ flat, spacing: 1, names: ["V1", EVIL], hemisphere: new Uint8Array(9) },
      region: [0, 0, 0, 0, 1, 1, 1, -1, -1],
    },
    colorings: [
      { name: "r²", values: [0, 1, 2, 3, 4, 5, 6, 7, NaN] },
      { name: "three", colors: new Uint8Array(27).map((_, i) => 9 * i), legend: "red A" },
    ],
  };
}

Deno.test("voxelGallery() asks for every image once, in order, and says how large they are", async () => {
  const asked: number[] = [];
  const { page, nImages, imageBytes } = await voxelGallery(fixture(), {
    ...{ size: 12, quality: 60 },
    read: (i) => {
      asked.push(i);
      return read(i);
    },
  });
  assert.deepEqual(asked, Array.from({ length: 11 }, (_, i) => i));
  assert.equal(nImages, 11);
  const text = [...page.matchAll(/id="pack-\d+">([^<]*)</g)].map(([, pack]) => pack).join("");
  const { targets } = JSON.parse(/id="gallery-data">([^<]*)</.exec(page)?.[1] ?? "");
  const [, start, length, label, response, width, height] = targets[1].files[1];
  const file = Uint8Array.fromBase64(text.slice(start, start + length));
  assert.deepEqual([...file.subarray(0, 3), file[file.length - 1]], [0xff, 0xd8, 0xff, 0xd9]);
  assert.deepEqual([label, response, width, height], ["seed 1", "2.25", 12, 12]);
  assert.ok(imageBytes > text.length * 3 / 4 - 40 && imageBytes < page.length);
  const refuse = async (more: Partial<VoxelGallery>, message: RegExp) =>
    await assert.rejects(voxelGallery({ ...fixture(), ...more }, { read }), {
      ...{ name: "InputError", message },
    });
  await refuse({ targets: [] }, /there must be an image/);
  await refuse(
    { targets: [{ name: "voxel 3", voxel: 3, images: [] }] },
    /voxel 3: it has no image/,
  );
  const [{ images }] = fixture().targets;
  await refuse({ targets: [{ name: "voxel 9", voxel: 9, images }] }, /the map has 9 voxels/);
  assertInputError(() => writeJpeg(read(0), { quality: 0 }), /quality 0/);
  await assert.rejects(voxelGallery(fixture(), { read, mostCharacters: 5000 }), {
    ...{ name: "InputError", message: /more than 5000 characters; choose a smaller size/ },
  });
});

/** What a reader does, one after the other; what is shown after each goes into the page. */
const READER = `<script>
const probe = [];
const note = (what) => probe.push(what + ": " + document.getElementById("shown").textContent +
  " | " + [...document.querySelectorAll("#shown img")].map((i) => i.naturalWidth + "px " + i.alt).join("; ") +
  " | " + location.hash);
const rects = document.querySelectorAll("#map rect:not(.cursor)");
const acts = [
  ["opened", () => {}],
  ["click", () => rects[2].dispatchEvent(new MouseEvent("click", { bubbles: true }))],
  ["empty", () => rects[5].dispatchEvent(new MouseEvent("click", { bubbles: true }))],
  ["click", () => rects[4].dispatchEvent(new MouseEvent("click", { bubbles: true }))],
  ["left", () => document.getElementById("map").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }))],
  ["click", () => rects[0].dispatchEvent(new MouseEvent("click", { bubbles: true }))],
  ["right", () => document.getElementById("map").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }))],
  ["down", () => document.getElementById("map").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }))],
  ["search", () => { document.getElementById("query").value = "6"; document.getElementById("find").requestSubmit(); }],
  ["region", () => document.querySelector("[data-target]").click()],
  ["next", () => document.querySelectorAll("#shown .steps button")[1].click()],
  ["wrong", () => { document.getElementById("query").value = "99"; document.getElementById("find").requestSubmit(); }],
  ["inside", () => { document.getElementById("query").value = "v1"; document.getElementById("find").requestSubmit(); }],
  ["hover", () => rects[8].dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 5, clientY: 5 }))],
  ["colour", () => { const s = document.getElementById("coloring"); s.value = "1"; s.dispatchEvent(new Event("change")); }],
];
(async () => {
  for (const [name, act] of acts) {
    act();
    await new Promise((resolve) => setTimeout(resolve, 40));
    note(name);
  }
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = probe.join("\\n") + "\\n" + document.getElementById("hover").textContent + "|" +
    document.querySelector("#hover .sprite").className + "|" + rects[1].getAttribute("fill") + "|" +
    document.getElementById("legend").textContent;
  document.body.append(out);
})();
</script>`;

Deno.test({
  ...needs("chromium", hasChromium()),
  name:
    "a gallery shows images when a voxel is clicked, reached by keys, searched or named in the address",
  fn: async () => {
    const { page } = await voxelGallery(fixture(), { read });
    const dom = browse(page.replace("</main>", `</main>${READER}`), "#voxel=8");
    const probe = /<pre id="probe">([^<]*)<\/pre>/.exec(dom)?.[1].split("\n") ?? [];
    const shows = (line: number, act: string, pattern: RegExp) => {
      assert.ok(probe[line]?.startsWith(`${act}: `), `${line}: ${probe[line]}`);
      assert.match(probe[line], pattern);
    };
    shows(
      0,
      "opened",
      /voxel 8.*seed 0: predicted 8\.00.*seed 1: predicted 8\.25.*24px image made for voxel 8, seed 0; 24px/,
    );
    shows(1, "click", /voxel 2.*regionV1r²2.*#voxel=2$/);
    shows(2, "empty", /voxel 5.*No image was made for it.*#voxel=5$/);
    shows(3, "click", /voxel 4/);
    shows(4, "left", /voxel 0/); // both corners to the left are as far: the first
    shows(5, "click", /voxel 0/);
    shows(6, "right", /voxel 2/);
    shows(7, "down", /voxel 8/);
    shows(8, "search", /voxel 6.*predicted 6\.00/);
    shows(9, "region", /&lt;\/script&gt;.*seed 0: predicted 7\.00.*24px/);
    shows(10, "next", /voxel 0.*#voxel=0$/);
    shows(11, "wrong", /There is no voxel 99: the map has 9/);
    shows(12, "inside", /voxel 0/);
    const [hover, sprite, fill, legend] = probe[probe.length - 1].split("|");
    assert.deepEqual([hover, sprite, fill, legend], [
      "voxel 8",
      "sprite t0",
      "rgb(27 36 45)",
      "red A",
    ]);
    // every element of the body that a user's name stands in kept it text
    assert.doesNotMatch(dom, /<b>"FFA"/);
  },
});

Deno.test("gallerySource() brings folders together, voxels first, and openMadeImages() refuses others", async () => {
  using folder = new TestFolder();
  const [a, b] = ["a", "b"].map((name) => folder.at(name));
  await writeMade(a, { targets: ["12", "FFA", "3", "3"], responses: [5, 6, 7, 8] });
  await writeMade(b, { targets: ["3"], seeds: [4], responses: [9] });
  {
    using first = await openMadeImages(a);
    using second = await openMadeImages(b);
    const { targets, read } = gallerySource([first, second]);
    assert.deepEqual(targets.map(({ name }) => name), ["voxel 3", "voxel 12", "FFA"]);
    assert.deepEqual(targets[0].images.map(({ label, response }) => [label, response]), [
      ["seed 0, folder 1", 7],
      ["seed 1, folder 1", 8],
      ["seed 4, folder 2", 9],
    ]);
    assert.deepEqual(read(targets[0].images[1].image), bytesOf(madeImage(3, 16), [16, 16]));
    assert.deepEqual([...firstResponses(targets, 4)], [NaN, NaN, NaN, 7]);
  }
  await assert.rejects(openMadeImages(folder.at("c")), { name: "InputError" });
  {
    using file = await Hdf5Writer.create(`${a}/maximize.h5`);
    file.writeStrings("/targets", ["1"]);
    file.commit();
  }
  await assert.rejects(openMadeImages(a), { name: "InputError", message: /has no \/images/ });
});

Deno.test("voxels get places, regions and colours", () => {
  assert.equal(flatSpacing([0, 0, 2, 0, 4, 0, 4, 2]), 2);
  // two slices of 2 by 1 voxels: side by side or below each other, never on each other
  const { flat, spacing } = slicePlaces([0, 0, 5, 1, 0, 5, 0, 0, 7, 1, 0, 7]);
  const places = [0, 1, 2, 3].map((v) => [flat[2 * v], flat[2 * v + 1]]);
  const apart = (u: number, v: number) =>
    Math.hypot(places[u][0] - places[v][0], places[u][1] - places[v][1]);
  assert.ok(Math.abs(apart(0, 1) - spacing) < 1e-6 && Math.abs(apart(2, 3) - spacing) < 1e-6);
  assert.ok(apart(0, 2) > 1.5 * spacing && apart(1, 2) > 1.05 * spacing);
  assertInputError(() => slicePlaces([1, 2]), /three finite coordinates/);
  assert.deepEqual([
    ...regionOfVoxels([{ name: "a", voxels: [2, 0] }, { name: "b", voxels: [0] }], 3),
  ], [1, -1, 0]);
  assertInputError(() => regionOfVoxels([{ name: "a", voxels: [3] }], 3), /region "a".*voxel 3/);
  const rgb = rgbOfTargets(["a", "b", "c"], [[0, 1], [1, 0], [2, 2]]);
  assert.ok("colors" in rgb);
  // the hundredths of two values are nearly the values; one that does not vary is in the middle
  assert.deepEqual([...rgb.colors], [0, 255, 128, 255, 0, 128]);
  assertInputError(() => rgbOfTargets(["a"], [[0]]), /three targets/);
});

Deno.test("gyrus gallery writes one page, and says in a sentence what is wrong", async () => {
  using folder = new TestFolder();
  await writeMade(folder.at("made"), { targets: ["0", "0", "2", "FFA"] });
  const flat = Float32Array.of(0, 0, 1, 0, 0, 1, 1, 1);
  folder.write("flat.npy", writeNpy(hostTensor(flat, [4, 2])));
  folder.write("r2.npy", writeNpy(hostTensor(Float32Array.of(0.1, NaN, 0.3, 0.4), [4])));
  folder.write("rois.csv", "voxel,roi\n0,V1\n1,FFA\n2,FFA\n");
  const run = (...more: string[]) =>
    gyrus("gallery", "--images", folder.at("made"), "--out", folder.at("page.html"), ...more);
  const made = await run(
    ...["--flat", folder.at("flat.npy"), "--rois", folder.at("rois.csv")],
    ...["--value", `r2=${folder.at("r2.npy")}`, "--title", "Likes", "--json"],
  );
  assert.equal(made.code, 0, made.text);
  const told = JSON.parse(made.text);
  assert.deepEqual([told.targets, told.images], [3, 4]);
  const page = Deno.readTextFileSync(folder.at("page.html"));
  assert.match(
    page,
    /<option value="0">r2<\/option><option value="1">predicted response<\/option>/,
  );
  assert.match(page, /<h1>Likes<\/h1>/);
  const record = JSON.parse(Deno.readTextFileSync(folder.at("page.html.run.json")));
  assert.equal(record.command, "gallery");
  assert.equal((await run("--json")).code, 0); // in rows, where no place is known
  const refuse = async (message: RegExp, ...args: string[]) => {
    const { code, errors } = await run(...args);
    assert.deepEqual([code, errors.length], [2, 1], errors.join("\n"));
    assert.match(errors[0], message);
  };
  await refuse(/\[voxels, 3\] is needed, its shape is \[4,2\]/, "--coords", folder.at("flat.npy"));
  await refuse(/must be NAME=REF/, "--value", "r2");
  await refuse(/--rgb without --experiment/, "--rgb", "a,b,c");
  await refuse(/by --flat and by --coords/, "--flat", "a", "--coords", "b");
  await refuse(/3 values are needed/, "--value", `r2=${folder.at("r2.npy")}`);
  assert.deepEqual(folder.list(), [
    "flat.npy",
    "made",
    "page.html",
    "page.html.run.json",
    "r2.npy",
    "rois.csv",
  ]);
});
