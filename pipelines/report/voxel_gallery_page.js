// The script of a gallery's page: it runs in a reader's browser, alone, without a network.
"use strict";
{
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("gallery-data").textContent);
  const { targets, names, region, colorings } = data;
  const map = byId("map"), svg = map.querySelector("svg"), shown = byId("shown");
  const hover = byId("hover"), query = byId("query"), coloring = byId("coloring");
  const cells = [...svg.querySelectorAll("rect")];
  const voxelOf = new Map(cells.map((cell, v) => [cell, v]));
  const targetOf = new Map(
    targets.flatMap(({ voxel }, t) => voxel === undefined ? [] : [[voxel, t]]),
  );
  const middles = cells.map((cell) => {
    const half = Number(cell.getAttribute("width")) / 2;
    return [Number(cell.getAttribute("x")) + half, Number(cell.getAttribute("y")) + half];
  });
  let current; // the voxel with the cursor

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const cursors = ["cursor outer", "cursor"].map((kind) => {
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    cursor.setAttribute("class", kind);
    cursor.setAttribute("visibility", "hidden");
    svg.append(cursor);
    return cursor;
  });

  const regionName = (voxel) => names[region[voxel]];
  const label = (voxel) =>
    regionName(voxel) ? `voxel ${voxel}, ${regionName(voxel)}` : `voxel ${voxel}`;

  const paint = () => {
    const { colors, legend, low, high, stops } = colorings[Number(coloring.value)];
    const bytes = Uint8Array.from(atob(colors), (c) => c.charCodeAt(0));
    cells.forEach((cell, v) =>
      cell.setAttribute("fill", `rgb(${bytes[3 * v]} ${bytes[3 * v + 1]} ${bytes[3 * v + 2]})`)
    );
    const bar = make("i");
    if (stops) bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    byId("legend").replaceChildren(...(stops ? [low, bar, high] : [legend]));
  };

  const moveCursor = (voxel) => {
    for (const cursor of cursors) {
      cursor.setAttribute("visibility", voxel === undefined ? "hidden" : "visible");
      if (voxel === undefined) continue;
      for (const name of ["x", "y", "width", "height"]) {
        cursor.setAttribute(name, cells[voxel].getAttribute(name));
      }
    }
  };

  const figureOf = ({ name }, [pack, start, length, what, response, width, height]) => {
    const text = byId(`pack-${pack}`).textContent.slice(start, start + length);
    const image = make("img", {
      src: `data:image/jpeg;base64,${text}`,
      width,
      height,
      alt: `image made for ${name}, ${what}`,
    });
    return make("figure", {}, image, make("figcaption", {}, `${what}: predicted ${response}`));
  };

  const facts = (voxel) => {
    const list = make("dl");
    const add = (name, value) => list.append(make("dt", {}, name), make("dd", {}, value));
    if (regionName(voxel)) add("region", regionName(voxel));
    for (const { name, values } of colorings) {
      if (values) add(name, values[voxel] === null ? "–" : String(values[voxel]));
    }
    return list;
  };

  const hashOf = ({ name, voxel }) =>
    voxel === undefined ? `#region=${encodeURIComponent(name)}` : `#voxel=${voxel}`;

  const steps = (t) => {
    const go = (by, what) => {
      const next = targets[(t + by + targets.length) % targets.length];
      const button = make("button", { type: "button" }, what);
      button.addEventListener("click", () => location.hash = hashOf(next));
      return button;
    };
    return make("div", { class: "steps" }, go(-1, "previous"), go(1, "next"));
  };

  const markRegion = (t) => {
    for (const button of document.querySelectorAll("[data-target]")) {
      if (Number(button.dataset.target) === t) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  };

  const show = (t, voxel) => {
    current = voxel;
    moveCursor(voxel);
    markRegion(t);
    const target = targets[t];
    const head = make("h2", {}, target?.name ?? label(voxel));
    const parts = voxel === undefined ? [] : [facts(voxel)];
    const none = `No image was made for it.`;
    const images = target
      ? make("div", { class: "images" }, ...target.files.map((file) => figureOf(target, file)))
      : make("p", { class: "soft" }, none);
    shown.replaceChildren(head, ...parts, images, ...(target ? [steps(t)] : []));
  };

  const showVoxel = (voxel) => show(targetOf.get(voxel), voxel);

  const complain = (text) => shown.replaceChildren(make("p", { role: "alert" }, text));

  const fromHash = () => {
    const [, kind, value] = /^#(voxel|region)=(.*)$/.exec(location.hash) ?? [];
    if (kind === undefined) return false;
    const name = decodeURIComponent(value);
    if (kind === "voxel") {
      if (!/^\d+$/.test(name) || Number(name) >= cells.length) {
        complain(`There is no voxel ${name}: the map has ${cells.length}, counted from 0.`);
      } else showVoxel(Number(name));
      return true;
    }
    const wanted = name.toLowerCase();
    const own = targets.findIndex((t) => t.voxel === undefined && t.name.toLowerCase() === wanted);
    const place = names.findIndex((n) => n.toLowerCase() === wanted);
    const inside = targets.findIndex(({ voxel }) => voxel !== undefined && region[voxel] === place);
    if (own >= 0) show(own, undefined);
    else if (place >= 0 && inside >= 0) show(inside, targets[inside].voxel);
    else complain(`There is no image for ${name}.`);
    return true;
  };

  const hideHover = () => hover.hidden = true;
  const showHover = (voxel, x, y) => {
    const t = targetOf.get(voxel);
    const children = [];
    if (t !== undefined) {
      const at = t % (data.row * data.row);
      const sprite = make("span", { class: `sprite t${Math.floor(t / (data.row * data.row))}` });
      const [column, row] = [at % data.row, Math.floor(at / data.row)];
      sprite.style.backgroundPosition = `-${column * data.thumb}px -${row * data.thumb}px`;
      children.push(sprite);
    }
    hover.replaceChildren(...children, label(voxel));
    hover.hidden = false;
    const box = hover.getBoundingClientRect();
    hover.style.left = `${Math.min(x + 14, innerWidth - box.width - 8)}px`;
    hover.style.top = `${Math.min(y + 14, innerHeight - box.height - 8)}px`;
  };

  /** The nearest voxel with images in a direction, those ahead before those aside. */
  const neighbour = (from, [dx, dy]) => {
    let best, least = Infinity;
    for (const voxel of targetOf.keys()) {
      const x = middles[voxel][0] - middles[from][0], y = middles[voxel][1] - middles[from][1];
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (ahead <= 0 || aside > ahead) continue;
      const cost = ahead + 2 * aside;
      if (cost < least) [best, least] = [voxel, cost];
    }
    return best;
  };

  const DIRECTIONS = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  };
  map.addEventListener("keydown", (event) => {
    const direction = DIRECTIONS[event.key];
    if (!direction || targetOf.size === 0) return;
    event.preventDefault();
    const next = current === undefined
      ? targetOf.keys().next().value
      : neighbour(current, direction);
    if (next !== undefined) location.hash = `#voxel=${next}`;
  });
  svg.addEventListener("click", (event) => {
    const voxel = voxelOf.get(event.target);
    if (voxel !== undefined) location.hash = `#voxel=${voxel}`;
  });
  svg.addEventListener("pointermove", (event) => {
    const voxel = voxelOf.get(event.target);
    if (voxel === undefined) hideHover();
    else showHover(voxel, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", hideHover);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-target]");
    if (button) location.hash = hashOf(targets[Number(button.dataset.target)]);
  });
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = query.value.trim();
    if (text === "") return;
    const isVoxel = /^(voxel\s*)?\d+$/i.test(text);
    const hash = isVoxel
      ? `#voxel=${text.replace(/\D+/g, "")}`
      : `#region=${encodeURIComponent(text)}`;
    if (location.hash === hash) fromHash();
    else location.hash = hash;
  });
  coloring.addEventListener("change", paint);
  addEventListener("hashchange", fromHash);

  cells.forEach((cell, v) => {
    cell.replaceChildren(); // the browser's own title would cover the thumbnail
    if (!targetOf.has(v)) cell.setAttribute("class", "none");
  });
  paint();
  if (!fromHash()) show(0, targets[0].voxel);
}
