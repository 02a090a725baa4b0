/** The style sheet of every page. Colours are variables, chosen once for light and once for dark. */
export const STYLE = `
:root { color-scheme: light dark; --fg: #1d2129; --soft: #59616e; --bg: #fbfbfa; --card: #ffffff; --line: #dfe2e6;
  --accent: #31688e; --accent2: #35b779; --bar: #e9ebee; --plate: #ccd1d8; --heat: #31688e; --cold: #b35f00; --link: #1f5f8b;
  --s0: #0b67a3; --s1: #b35f00; --s2: #00805c; --s3: #a8407e; --s4: #6a55b0; --s5: #4b5563; }
@media (prefers-color-scheme: dark) {
  :root { --fg: #e7e9ec; --soft: #a0a9b5; --bg: #14171b; --card: #1c2026; --line: #323943; --accent: #7fb3d5;
    --accent2: #6ece58; --bar: #2d333c; --plate: #434a55; --heat: #6496be; --cold: #c98a3d; --link: #8cc2ea;
    --s0: #6db3f2; --s1: #f2a93b; --s2: #3fcf9f; --s3: #e58cc0; --s4: #b3a4e8; --s5: #aab2bd; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; scroll-margin-top: 1rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0 .9rem; max-width: 46rem; }
a { color: var(--link); }
.soft, figcaption, caption, .note { color: var(--soft); font-size: .9rem; }
caption { text-align: left; padding: 0 .6rem .5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: .9rem; margin: 1.4rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card b { display: block; font-size: 1.9rem; line-height: 1.15; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
thead th { font-weight: 600; white-space: normal; border-bottom: 1px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tr.mean > * { font-weight: 600; }
tbody tr + tr.mean > * { border-top: 2px solid var(--line); }
td .ci { color: var(--soft); font-size: .88em; font-weight: 400; }
.panels { width: auto; }
.panels th, .panels td { text-align: center; padding: .2rem; border: 0; vertical-align: top; }
.panels thead th { vertical-align: bottom; }
.panels tbody tr + tr > * { border: 0; }
.panels tbody th { font-weight: 400; color: var(--soft); font-size: .9rem; max-width: 11rem; white-space: normal;
  text-align: left; padding-right: .6rem; }
.panels img { display: block; border-radius: 5px; width: 124px; height: auto; margin: 0 auto; }
.panels .note { display: block; line-height: 1.3; padding-top: .15rem; }
.picture { display: block; position: relative; width: 124px; margin: 0 auto; border-radius: 5px; overflow: hidden;
  background-size: 100% 100%; print-color-adjust: exact; }
.picture img, .panels .picture img { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: 0; opacity: .72; }
.patches img { display: block; width: 100%; height: auto; image-rendering: pixelated; border-radius: 5px; margin-top: .2rem; }
.strip { display: flex; flex-wrap: wrap; gap: .5rem; }
.panels .picture { width: clamp(88px, 13vw, 150px); }
.strip .picture { width: 76px; margin: 0; }
.strip figure { margin: 0; max-width: 76px; font-size: .82rem; line-height: 1.25; }
.strip figcaption { font-size: inherit; overflow-wrap: anywhere; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 1rem; align-items: start; }
.tops { grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.beside svg.flat { overflow: visible; }
.beside svg.flat .roi { font-size: 16px; }
.beside h4 { margin: 0 0 .3rem; }
h4 { font-size: .93rem; margin: 1rem 0 .3rem; font-weight: 600; }
.confusion { width: auto; }
.confusion td { text-align: center; min-width: 3.4rem; border: 2px solid var(--card); border-radius: 4px; line-height: 1.25;
  padding: .35rem .3rem; background: color-mix(in srgb, var(--heat) calc(60% * var(--share)), var(--card)); }
.confusion tbody tr + tr > * { border-top-color: var(--card); }
.confusion td.same { box-shadow: inset 0 0 0 2px var(--accent); }
.confusion td small { display: block; font-size: .78rem; }
.confusion thead th { text-align: center; border: 0; }
.confusion th { padding: .3rem .3rem; }
.values td { min-width: 2.9rem; padding: .3rem .25rem; }
.values td.below { background: color-mix(in srgb, var(--cold) calc(60% * var(--share)), var(--card)); }
.card b.of { display: inline; font-size: 1em; }
pre { margin: 0; max-height: 24rem; overflow: auto; font-size: .85rem; }
.bar { position: relative; background: var(--bar); border-radius: 4px; height: .8rem; min-width: 8rem; overflow: hidden; }
.bar i { position: absolute; inset: 0 auto 0 0; background: var(--accent); border-radius: 4px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: currentColor; font: 600 12px system-ui, sans-serif; }
svg .roi { fill: #fff; paint-order: stroke; stroke: #000c; stroke-width: 3px; }
svg.flat { background: var(--plate); border-radius: 8px; }
svg.chart { max-width: 900px; min-width: 540px; }
svg.chart text { font-weight: 400; }
svg.chart .soft { fill: var(--soft); font-size: 11px; }
svg.chart .band { fill: var(--bar); fill-opacity: .45; }
svg.chart .grid { stroke: var(--line); }
svg.chart .zero { stroke: var(--soft); }
svg.chart .reference { stroke: var(--fg); stroke-dasharray: 4 3; }
svg.plot { max-width: 560px; min-width: 300px; }
svg.plot text { font-weight: 400; }
svg.plot .soft { fill: var(--soft); font-size: 11px; }
svg.plot .grid { stroke: var(--line); }
svg.plot .reference { stroke: var(--fg); stroke-dasharray: 4 3; }
svg.plot .line { fill: none; stroke: var(--k); stroke-width: 1.8; }
svg.plot .column { fill: var(--accent); }
.k0 { --k: var(--s0); } .k1 { --k: var(--s1); } .k2 { --k: var(--s2); } .k3 { --k: var(--s3); } .k4 { --k: var(--s4); }
.k5 { --k: var(--s5); }
svg .k0, svg .k1, svg .k2, svg .k3, svg .k4, svg .k5 { fill: var(--k); stroke: var(--k); }
svg .fill { stroke: none; fill-opacity: .38; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: 0 0 .5rem; padding: 0; list-style: none; font-size: .9rem; }
.legend svg { display: inline-block; width: 14px; height: 14px; margin-right: .35rem; vertical-align: -2px; }
.scale { height: .7rem; border-radius: 4px; margin: .5rem 0 .1rem; box-shadow: inset 0 0 0 1px #8886; }
.ends { display: flex; justify-content: space-between; }
.plates { display: flex; flex-wrap: wrap; gap: .9rem; }
.plates figure { margin: 0; }
.plates img { display: block; max-width: 100%; height: auto; border-radius: 8px; border: 1px solid var(--line); }
.downloads { display: flex; flex-wrap: wrap; gap: .5rem; margin: .7rem 0 0; padding: 0; list-style: none; }
.downloads a { display: inline-block; border: 1px solid var(--line); border-radius: 6px; background: var(--card); padding: .15rem .65rem;
  font-size: .87rem; text-decoration: none; }
.downloads a:hover, .downloads a:focus-visible { border-color: var(--link); text-decoration: underline; }
.contents { columns: 16rem; margin: 1.2rem 0; padding-left: 1.2rem; }
details { margin: .8rem 0; }
details table { font-size: .88rem; }
details th, details td { padding: .26rem .4rem; }

summary { cursor: pointer; color: var(--link); font-size: .93rem; }
details[open] summary { margin-bottom: .5rem; }
@media (max-width: 640px) { svg.flat { overflow: visible; } svg.flat .roi { font-size: 20px; } }
@media print { .downloads, .contents { display: none; } .figure { break-inside: avoid; } }
`;
