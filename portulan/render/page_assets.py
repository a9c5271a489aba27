"""The style sheet and the script of the HTML page.

Both are constants: the page's policy names their hashes, and nothing is ever inserted into them.
"""

from __future__ import annotations

STYLE = """
:root{--paper:#faf7f0;--card:#fffdf8;--ink:#1d2b3a;--dim:#64707d;--line:#e2dacb;--sea:#1f6f8b;
--open:#1b7f4d;--closed:#b23a34;--filtered:#b07912;--unfiltered:#2b78a8;--maybe:#7d5ba6;
--head:#173044;--headink:#f6efe0;--rhumb:#c9a45c;--shade:0 1px 2px #0001,0 2px 8px #0000000a}
@media (prefers-color-scheme:dark){:root{--paper:#10171f;--card:#17212b;--ink:#dfe6ec;--dim:#93a1ae;
--line:#2a3743;--sea:#63b4cf;--open:#4cc38a;--closed:#ec7a73;--filtered:#e0ae4c;
--unfiltered:#74b6e2;--maybe:#b79be0;--head:#0b1219;--headink:#efe6d2;--rhumb:#8a713f}}
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header{position:relative;overflow:hidden;background:var(--head);color:var(--headink);
padding:28px max(24px,calc((100% - 1120px)/2)) 24px}
header p{position:relative;margin:4px 0;max-width:75ch;overflow-wrap:anywhere}
.kicker{text-transform:uppercase;letter-spacing:.16em;font-size:12px;color:var(--rhumb)}
h1{position:relative;margin:2px 0 6px;font:600 28px/1.2 Georgia,"Iowan Old Style",serif;
overflow-wrap:anywhere}
h2{margin:0 0 12px;font:600 17px/1.3 Georgia,"Iowan Old Style",serif}
.rhumbs{position:absolute;inset:0;width:100%;height:100%;opacity:.3}
.rhumbs line,.rhumbs circle{stroke:var(--rhumb);stroke-width:.6;fill:none}
.badge{display:inline-block;margin-top:6px;padding:2px 10px;border-radius:12px;font-size:13px;
color:#fff;background:#1b7f4d}
.badge.bad{background:#a8481c}
main,footer{max-width:1168px;margin:0 auto;padding:24px}
footer{padding-top:0;color:var(--dim);font-size:13px;overflow-wrap:anywhere}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(132px,1fr));gap:12px;
margin:0 0 20px}
.facts div,.charts section,.host,.hosts>.scroll{background:var(--card);
border:1px solid var(--line);border-radius:10px;box-shadow:var(--shade)}
.facts div{padding:10px 14px}
.facts dt{color:var(--dim);font-size:13px}
.facts dd{margin:0;font-size:22px;font-weight:600;font-variant-numeric:tabular-nums}
.facts small{white-space:nowrap;font-size:13px;font-weight:400;color:var(--dim)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:16px;
margin-bottom:24px}
.charts section{padding:16px 18px}
.bar{display:block;border-radius:4px;background:var(--line)}
.keys{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:12px 0 0;padding:0}
.dot{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
.s-open{fill:var(--open);color:var(--open)}.s-closed{fill:var(--closed);color:var(--closed)}
.s-filtered{fill:var(--filtered);color:var(--filtered)}
.s-unfiltered{fill:var(--unfiltered);color:var(--unfiltered)}
.s-open-filtered{fill:var(--maybe);color:var(--maybe)}
.dot{background:currentColor}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600}
.plain th,.plain td{padding:3px 10px 3px 0;white-space:nowrap;font-variant-numeric:tabular-nums}
.plain .grow{width:100%}
.plain td{color:var(--dim)}.plain .num{color:var(--ink);padding-right:0}
.num{text-align:right!important;font-variant-numeric:tabular-nums;white-space:nowrap}
.mono,.addr,code{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.93em}
.dim{color:var(--dim)}
.filter{margin:0 0 14px;display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}
input{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);
border-radius:8px;padding:6px 12px;width:min(320px,60vw)}
input:focus-visible,summary:focus-visible{outline:2px solid var(--sea);outline-offset:1px}
.host{margin:0 0 12px;content-visibility:auto;contain-intrinsic-size:auto 160px;overflow:hidden}
.host>p{margin:8px 18px}
.host>:last-child{margin-bottom:14px}
summary{display:flex;flex-wrap:wrap;gap:2px 14px;align-items:baseline;padding:11px 18px;
cursor:pointer;list-style:none;overflow-wrap:anywhere}
summary::-webkit-details-marker{display:none}
summary::before{content:"\\25B8";color:var(--sea);margin-right:-6px}
details[open]>summary::before{content:"\\25BE"}
summary>span:empty{display:none}
.addr{font-size:16px}
.count{margin-left:auto;color:var(--open);font-weight:600;white-space:nowrap}
.count.none{color:var(--dim);font-weight:400}
.scroll{overflow-x:auto}
.ports th{font-size:12px;color:var(--dim);font-weight:500;border-bottom:1px solid var(--line)}
.ports th,.ports td{padding:5px 14px 5px 0;vertical-align:baseline;text-align:left}
.ports th:first-child,.ports td:first-child{padding-left:18px}
.ports tbody tr:hover{background:color-mix(in srgb,var(--sea) 8%,transparent)}
.ports td{overflow-wrap:anywhere}
.ports .mono,.ports .state{white-space:nowrap}
.fixed{table-layout:fixed;min-width:760px}
.fixed th:nth-child(1){width:110px}.fixed th:nth-child(2){width:140px}
.fixed th:nth-child(4){width:130px}.fixed th:nth-child(5){width:60px}
.fixed th:nth-child(6){width:90px}.fixed th:nth-child(7){width:110px}
.many{table-layout:fixed;min-width:900px}
.many td:nth-child(1),.many th:nth-child(1){width:24%;overflow-wrap:anywhere;white-space:normal}
.many td:nth-child(3),.many th:nth-child(3){width:20%;white-space:normal}
.many td:nth-child(4),.many th:nth-child(4){width:15%}
.many td:nth-child(5),.many th:nth-child(5){width:9%}
.many td:nth-child(6),.many th:nth-child(6){width:12%;white-space:normal}
.chunk{content-visibility:auto;contain-intrinsic-size:auto 8400px}
.state{font-weight:600}
.state::before{content:"";display:inline-block;width:8px;height:8px;border-radius:50%;
background:currentColor;margin-right:7px}
.note{border-left:3px solid var(--sea);padding:3px 12px;overflow-wrap:anywhere}
.note.warning{border-color:var(--filtered)}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--dim:#444;--line:#bbb;--head:#fff;
--headink:#000;--rhumb:#888;--open:#14603a;--closed:#8c2722;--filtered:#80560a;--shade:none}
body{font-size:11px}.fixed,.many{min-width:0}.chunk{content-visibility:visible}
.filter{display:none!important}header{padding:0 0 12px}main,footer{padding:0}
.bar,.dot,.badge,.state::before{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.host{content-visibility:visible}.charts section,.facts div,tr{break-inside:avoid}
summary{break-after:avoid}thead{display:table-header-group}
details::details-content{display:block;content-visibility:visible;block-size:auto}}
"""

SCRIPT = """
"use strict";
const box = document.getElementById("filter");
const shown = document.getElementById("shown");
const hosts = [...document.querySelectorAll("[data-host]")]
  .map(node => [node, node.textContent.toLowerCase()]);
box.closest("p").hidden = false;
const apply = () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0;
  for (const [node, text] of hosts) {
    const on = words.every(word => text.includes(word));
    if (node.hidden === on) node.hidden = !on;
    count += on;
  }
  shown.textContent = words.length
    ? `${count.toLocaleString("en")} of ${hosts.length.toLocaleString("en")}`
    : hosts.length.toLocaleString("en");
};
box.addEventListener("input", apply);
apply();
"""
