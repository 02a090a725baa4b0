/** Rules of a gallery's page beside those of every page. */
export const GALLERY_STYLE = `
main { max-width: 1500px; padding-top: 1.6rem; }
.bar-of-tools { display: flex; flex-wrap: wrap; gap: .6rem 1.1rem; align-items: center; margin: 1rem 0; font-size: .93rem; }
.bar-of-tools input, .bar-of-tools select, .bar-of-tools button, .regions button, .steps button { font: inherit; color: var(--fg);
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .2rem .55rem; }
.bar-of-tools button, .regions button, .steps button { cursor: pointer; }
.legend-of-map { display: inline-flex; align-items: center; gap: .5rem; color: var(--soft); }
.legend-of-map i { width: 9rem; height: .7rem; border-radius: 4px; box-shadow: inset 0 0 0 1px #8886; }
.gallery { display: grid; grid-template-columns: minmax(0, 3fr) minmax(300px, 2fr); gap: 1.4rem; align-items: start; }
@media (max-width: 860px) { .gallery { grid-template-columns: minmax(0, 1fr); } }
#map { border-radius: 8px; cursor: crosshair; }
#map:focus-visible, .regions button:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
#map rect.none { opacity: .38; }
#map .roi { pointer-events: none; }
#map .cursor { fill: none; stroke: #fff; stroke-width: 3px; paint-order: stroke; pointer-events: none; }
#map .cursor.outer { stroke: #000; stroke-width: 6px; }
.regions { display: flex; flex-wrap: wrap; gap: .4rem; margin: .8rem 0 0; padding: 0; list-style: none; }
.regions button[aria-current] { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); }
#shown { position: sticky; top: 1rem; max-height: calc(100vh - 2rem); overflow: auto; }
#shown h2 { margin: 0 0 .2rem; }
#shown dl { display: grid; grid-template-columns: max-content 1fr; gap: .05rem .8rem; margin: .2rem 0 .8rem; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
#shown dt { color: var(--soft); } #shown dd { margin: 0; }
.images { display: flex; flex-wrap: wrap; gap: .8rem; }
.images figure { margin: 0; width: min-content; max-width: 100%; }
.images img { display: block; min-width: 150px; max-width: 100%; height: auto; border-radius: 8px; border: 1px solid var(--line); }
.steps { display: flex; gap: .5rem; margin: .9rem 0 0; font-size: .9rem; }
#hover { position: fixed; z-index: 2; pointer-events: none; background: var(--card); color: var(--fg); border: 1px solid var(--line);
  border-radius: 8px; padding: .35rem .45rem; font-size: .85rem; box-shadow: 0 2px 12px #0005; }
#hover[hidden] { display: none; }
.sprite { display: block; width: 40px; height: 40px; margin: 0 auto .2rem; transform: none; border-radius: 4px; zoom: 2; }
`;
