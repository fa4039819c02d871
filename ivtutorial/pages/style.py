"""The empty page of a report: its structure, its looks in light and dark, and a script it can do without."""

from __future__ import annotations

from string import Template

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfdfb; --ink: #1d2327; --soft: #5a646b; --line: #d9dcd6; --card: #f3f4ef; --mark: #0b6e4f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181b; --ink: #e6e9e6; --soft: #a3adb2; --line: #343b40; --card: #1d2327; --mark: #5fd0a5;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p, ul, ol { max-width: 46rem; }
.lead { font-size: 1.1rem; border-left: 4px solid var(--mark); padding-left: .8rem; }
.clips { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure {
  margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
}
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
.pair video { width: 100%; display: block; border-radius: 4px; }
.pair span { font-size: .85rem; color: var(--soft); }
.pair b { color: var(--ink); }
figcaption { margin-top: .3rem; }
button {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--soft); border-radius: 6px;
  padding: .35rem .9rem; margin: .4rem 0 1rem; cursor: pointer;
}
.curve { width: 100%; max-width: 46rem; height: auto; font-size: 12px; }
.curve text { fill: var(--soft); }
.curve .grid { stroke: var(--line); }
.curve circle { fill: var(--soft); opacity: .45; }
.curve polyline { fill: none; stroke: var(--soft); stroke-width: 2; }
.curve .marks circle { fill: var(--mark); opacity: 1; }
.curve .marks polyline { stroke: var(--mark); stroke-width: 3; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td {
  padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap;
}
th[scope=row], th.name { text-align: left; font-weight: 500; }
pre { overflow-x: auto; background: var(--card); padding: .6rem; border-radius: 6px; }
dl {
  display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .15rem 1rem; font-size: .9rem;
}
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 600px) {
  th, td { padding: .3rem .45rem; }
  th[scope=row] { white-space: normal; min-width: 9rem; }
}
"""

# Without the script every clip still has its own controls. With it clips play by themselves, unless the
# reader's system asks for little motion.
SCRIPT = """
const clips = [...document.querySelectorAll("video")], button = document.getElementById("all");
let on = false;
function all(play) {
  on = play;
  for (const clip of clips) {
    if (play) { clip.currentTime = 0; clip.play().catch(() => {}); } else { clip.pause(); }
  }
  button.textContent = play ? "Pause all clips" : "Play all clips";
}
button.hidden = false;
button.onclick = () => all(!on);
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) { all(true); }
"""

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>$title</title><link rel="icon" href="data:,"><style>$style</style></head>
<body><main>
<h1>$title</h1>
<p class="lead">$lead</p>
<h2>Before and after</h2>
<p>$pairs_note</p>
<ul>$look</ul>
<button id="all" type="button" hidden>Play all clips</button>
<div class="clips">$clips</div>
<h2>The reward during fine-tuning</h2>
$curve
<p>$curve_note</p>
<h2>What changed, measured</h2>
<div class="wide" role="region" aria-label="Table of measurements" tabindex="0"><table>
<thead><tr><th scope="col" class="name">measure</th><th scope="col">before</th><th scope="col">after</th>
<th scope="col">change</th><th scope="col">95 % interval</th><th scope="col">should be</th></tr></thead>
<tbody>$rows</tbody></table></div>
<p>$table_note</p>
<h2>How to go on</h2>
<ol>$commands</ol>
<h2>How this page came about</h2>
<dl>$details</dl>
</main><script>$script</script></body></html>
""")
