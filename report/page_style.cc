#include "report/page_style.h"

namespace lockstep {

// Series colours keep their distance for colour-blind readers (Okabe and Ito, 2008).
const char* const kPageStyle = R"css(
:root { color-scheme: light dark; --back: #fbfbfa; --card: #fff; --ink: #1d2126; --soft: #6a7078;
  --rule: #e3e4e2;
  --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #cc79a7; --s4: #b58900; --s5: #56b4e9;
  --good: #12805c; --bad: #c0392b; --shade: #f3f4f2; }
@media (prefers-color-scheme: dark) { :root { --back: #15181b; --card: #1d2125; --ink: #e6e8ea;
  --soft: #969da5; --rule: #31373d;
  --s0: #4aa8e0; --s1: #f08a4b; --s2: #35c79a; --s3: #e39cc4; --s4: #e0b53f; --s5: #8fd0f5;
  --good: #3ecf9b; --bad: #ff7b6b; --shade: #24292e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 34px 0 10px; }
p { margin: 6px 0; }
small, .soft { color: var(--soft); }
code, pre, .path { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.path { color: var(--soft); overflow-wrap: anywhere; }
.state { display: inline-block; font-size: 12.5px; font-weight: 600; padding: 1px 9px;
  border-radius: 99px; border: 1px solid currentColor; vertical-align: 4px; margin-left: 8px; }
.state.done { color: var(--good); }
.state.failed, .state.dead { color: var(--bad); }
.state.stopped, .state.running, .state.starting { color: var(--s1); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px;
  margin: 18px 0 6px; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 10px 13px; }
.card b { display: block; font-size: 21px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 12.5px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  gap: 12px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 10px 12px 6px; }
figcaption { font-size: 13px; margin-bottom: 4px; }
svg { display: block; width: 100%; height: auto; }
svg text.axis { fill: var(--soft); font: 13px ui-sans-serif, system-ui, sans-serif;
  font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .raw { fill: none; stroke-width: 1; opacity: .35; }
svg .s0 { stroke: var(--s0); }
svg .s1 { stroke: var(--s1); }
svg .s2 { stroke: var(--s2); }
svg .s3 { stroke: var(--s3); }
svg .s4 { stroke: var(--s4); }
svg .s5 { stroke: var(--s5); }
svg .rest { stroke: var(--soft); } svg .dashed { stroke-dasharray: 5 4; stroke-width: 1.5; }
svg .dot.s0 { fill: var(--s0); }
svg .dot.s1 { fill: var(--s1); }
svg .dot.s2 { fill: var(--s2); }
svg .dot.s3 { fill: var(--s3); }
svg .dot.s4 { fill: var(--s4); }
svg .dot.s5 { fill: var(--s5); }
svg .mark.evaluation { fill: var(--soft); }
svg .mark.attempt { stroke: var(--s1); stroke-dasharray: 4 3; }
svg .mark.bad { stroke: var(--bad); stroke-width: 2; }
.key { margin-left: 8px; color: var(--soft); white-space: nowrap; }
.key i { display: inline-block; width: 14px; height: 0; border-top: 3px solid;
  vertical-align: 3px; margin-right: 4px; }
.key .raw { opacity: .4; }
.key .s0 { border-color: var(--s0); }
.key .s1 { border-color: var(--s1); }
.key .s2 { border-color: var(--s2); }
.key .s3 { border-color: var(--s3); }
.key .s4 { border-color: var(--s4); }
.key .s5 { border-color: var(--s5); }
.key .dashed { border-top-style: dashed; }
.scale { position: relative; } .scale > input { position: absolute; opacity: 0; }
.scale > label { position: absolute; right: 12px; top: 8px; z-index: 1; font-size: 12px;
  padding: 1px 8px; border: 1px solid var(--rule); border-radius: 5px; cursor: pointer;
  color: var(--soft); background: var(--card); }
.scale > .log, .scale > .to-linear, .scale > input:checked ~ .linear,
  .scale > input:checked ~ .to-log { display: none; }
.scale > input:checked ~ .log, .scale > input:checked ~ .to-linear { display: block; }
.scale > input:focus-visible ~ label { outline: 2px solid var(--s0); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; font-size: 12.5px; }
tr:last-child td { border-bottom: 0; }
tr.newest td { font-weight: 650; background: var(--shade); }
td.met { color: var(--good); }
td.best::after { content: " ★"; color: var(--s4); }
td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
tr.target td { color: var(--soft); font-style: italic; }
.picture img { display: block; max-width: 100%; margin: 0 auto; border-radius: 4px;
  background: #fff; image-rendering: auto; }
.picture { max-width: 760px; margin-bottom: 12px; }
.strip { display: flex; gap: 10px; overflow-x: auto; padding-bottom: 6px; }
.strip figure { flex: 0 0 190px; padding: 6px; }
.strip img { width: 100%; display: block; border-radius: 3px; background: #fff; }
.strip figcaption { margin: 3px 0 0; color: var(--soft); text-align: center; }
.note { color: var(--soft); font-size: 13.5px; } .note b { color: var(--bad); }
.problem { border: 1px solid var(--bad); border-left-width: 5px; border-radius: 6px;
  padding: 9px 14px; margin: 8px 0; background: var(--card); }
.problem pre { margin: 4px 0; white-space: pre-wrap; }
pre.config { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 12px 14px; overflow-x: auto; margin: 0; }
pre.config i { color: var(--soft); font-style: normal; }
details > summary { cursor: pointer; color: var(--soft); margin: 8px 0; }
@media print { body { background: #fff; } figure, .card { break-inside: avoid; } }
)css";

}  // namespace lockstep
