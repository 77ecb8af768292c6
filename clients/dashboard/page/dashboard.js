// SPDX-License-Identifier: GPL-3.0-or-later
// What comes by the websocket, kept for some minutes, and shown at the time that is looked at.
import * as plots from "./plots.js";
import { Workspace } from "./workspace.js";

const KEEP_S = 300, SPANS = [2, 5, 10, 20, 40, 80];
const STATES = ["rest", "plan", "move", "hold", "return", "free"];
const STATE_WORDS = ["rest", "plan", "reach", "hold", "return", "elsewhere"];
const $ = (id) => document.getElementById(id);

const data = { hello: null, model: null, why: null, status: null, records: [], connected: false, offset: -Infinity };
const view = { frozenAt: null, span: 10, dirty: true, announced: "", saidAt: 0 };
const workspace = new Workspace();
const figures = { targets: new plots.Ribbons("targets"), states: new plots.Ribbons("states"), speed: new plots.Line("speed"),
  spikes: new plots.Raster("spikes") };
let socket = null, orderId = 0, ownPrior = null;

// --- time -------------------------------------------------------------------------------------------------------

// The dashboard's steady clock, as far as messages have told it.
const clockNow = () => data.offset + performance.now() / 1000;
const viewTime = () => view.frozenAt ?? clockNow();

// How many records are not later than a clock.
function countUntil(clock) {
  let low = 0, high = data.records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.records[middle].clock <= clock) low = middle + 1; else high = middle;
  }
  return low;
}

const recordAt = (clock) => data.records[countUntil(clock) - 1] ?? null;

// --- messages ---------------------------------------------------------------------------------------------------

function takeLive(message) {
  const record = message;
  if (record.spikes) {
    record.spikeSum = 0;
    record.spikes = Uint8Array.from(record.spikes, (s) => {
      if (s === null) return 255;
      record.spikeSum += s;
      return Math.min(s, 254);
    });
  }
  if (record.evidence) record.evidence = Float32Array.from(record.evidence);
  if (record.prior) {
    const sum = record.prior.reduce((a, b) => a + b, 0);
    record.prior = record.prior.map((p) => p / sum);
  }
  // A prior that was set here goes to the daemon alone; the tap at the source does not hear of it.
  if (record.trial === "stop" && data.records.at(-1)?.trial !== "stop") ownPrior = null;
  record.prior ??= ownPrior;
  // Another machine's clock, or one that was started anew: nothing kept can be put before it.
  if (record.clock < (data.records.at(-1)?.clock ?? -Infinity)) {
    data.records = [];
    data.offset = -Infinity;
    freeze(null);
  }
  data.offset = Math.max(data.offset, record.clock - performance.now() / 1000);
  data.records.push(record);
  const old = countUntil(record.clock - KEEP_S - 5);
  if (old > 300) data.records.splice(0, old);
}

function takeReply({ request, reply }) {
  const output = $("reply");
  output.classList.toggle("refused", !reply.ok);
  const words = request ? [request.cmd, request.action, request.on === undefined ? null : request.on ? "on" : "off"]
    .filter(Boolean).join(" ") : "";
  output.textContent = reply.ok ? `${words}: done` : `refused: ${reply.error}`;
  if (reply.ok && request?.cmd === "prior") {
    const sum = request.prob.reduce((a, b) => a + b, 0);
    ownPrior = request.prob.map((p) => p / sum);
  }
  if (reply.ok && request?.cmd === "trial" && request.action === "stop") ownPrior = null;
}

const handlers = {
  hello(m) {
    data.hello = m;
    document.body.classList.toggle("may-order", m.orders);
    $("control-panel").hidden = !m.orders;
    $("workspace").classList.toggle("orders", m.orders);
    $("spikes-figure").classList.toggle("empty", !m.tap);
    $("spikes-note").textContent = m.tap ? ""
      : "are known to the source alone; --frames ENDPOINT taps it";
  },
  model(m) { data.model = m.model; data.why = m.why; workspace.forget(); ownPrior = null; },
  status(m) { data.status = m.status; },
  live: takeLive,
  reply: takeReply,
};

function connect() {
  socket = new WebSocket(`ws://${location.host}/`, "trajd-dashboard");
  socket.onopen = () => { data.connected = true; view.dirty = true; };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    handlers[message.kind]?.(message);
    view.dirty = true;
  };
  socket.onclose = () => {
    data.connected = false;
    view.dirty = true;
    setTimeout(connect, 1000);
  };
}

// --- words ------------------------------------------------------------------------------------------------------

const percent = (p) => `${Math.round(100 * p)} %`;
const targetName = (i) => data.model?.targets[i]?.id ?? String(i + 1);

function best(list) {
  let at = -1;
  list?.forEach((p, i) => { if (p > 0 && (at < 0 || p > list[at])) at = i; });
  return at;
}

// "target 3 (87 %)", or between which ones it is undecided; null where none stands out.
function whereTo(intent) {
  const p = intent.target_prob, first = best(p);
  if (first < 0 || p[first] < 0.2) return null;
  const name = `target ${targetName(first)} (${percent(p[first])})`, second = best(p.map((x, i) => i === first ? 0 : x));
  if (p[first] >= 0.5) return name;
  return second >= 0 && p[second] > 0.5 * p[first] ? `${name} or ${targetName(second)} (${percent(p[second])})` : `perhaps ${name}`;
}

// What was announced, where the activity says otherwise.
function contradiction(record) {
  const announced = best(record.prior), decoded = best(record.intent.target_prob);
  if (announced < 0 || decoded < 0 || announced === decoded || record.prior[announced] < 0.5) return "";
  const p = record.intent.target_prob[decoded];
  return p < 0.5 ? "" : ` — although target ${targetName(announced)} was announced (${percent(record.prior[announced])})`;
}

// The target that the decoded position is nearest to: the probable one may be the next.
function whereAt(intent) {
  const away = data.model?.targets.map((t) => t.position && intent.position
    ? Math.hypot(...t.position.map((x, d) => x - intent.position[d])) : Infinity) ?? [];
  const least = Math.min(...away);
  return Number.isFinite(least) ? `target ${targetName(away.indexOf(least))}` : null;
}

function describeState(record) {
  const intent = record.intent, where = whereTo(intent), against = contradiction(record);
  const state = intent.state, level = against ? "warn" : "good";
  const eta = Number.isFinite(intent.eta) && state === "move" ? `, ${intent.eta.toFixed(2)} s to go` : "";
  const between = record.trial === "stop" ? "Between trials" : "No reach under way";
  switch (state) {
  case "rest": return [level, "rest", `At rest${where ? `; if a reach comes, then to ${where}` : ""}${against}.`];
  case "plan": return [level, "planning", `Planning a reach${where ? ` to ${where}` : ", still undecided where to"}${against}.`];
  case "move": return [level, "reaching", `Reaching${where ? ` for ${where}` : ""}${eta}${against}.`];
  case "hold": {
    const at = whereAt(intent);
    return [level, "holding", `Holding${at ? ` at ${at}` : ""}${against}.`];
  }
  case "return": return ["good", "returning", "On the way back."];
  case "free": return ["good", "elsewhere", "Elsewhere: neither at rest nor on the way to a target."];
  default: return where ? [level, "decoding", `Going for ${where}${against}.`] : ["wait", "idle", `${between}.`];
  }
}

// [level, badge, sentence] for what is looked at.
function describe(record, clock) {
  if (!record && data.status) return ["wait", "waiting", "trajd is there; no frame has been decoded yet."];
  if (!record) return ["wait", "waiting", `Waiting for trajd at ${data.hello?.intents ?? "?"}: no intent has come yet.`];
  if (record.silent !== null) {
    const silent = record.silent + Math.max(0, clock - record.clock);
    return ["bad", "no frames", `The source has been silent for ${silent.toFixed(1)} s: what is shown is old, velocity is 0.`];
  }
  if (clock - record.clock > 2) {
    return ["bad", "nothing comes", `Nothing has come from trajd for ${(clock - record.clock).toFixed(0)} s: what is shown is old.`];
  }
  if (!record.intent) return ["wait", "waiting", "No frame has been decoded yet."];
  const flags = record.intent.flags;
  if (flags.includes("paused")) return ["warn", "paused", "Output is held by command: velocity 0, not to be acted on."];
  if (!record.intent.valid) return ["bad", "not valid", "The posterior is not to be trusted just now."];
  return describeState(record);
}

function describeLive(record, clock) {
  if (!data.connected) return ["bad", "no connection", "The dashboard program does not answer; trying again."];
  return describe(record, clock);
}

// Of a frozen picture it is said how old it is, and what goes wrong meanwhile.
function describeFrozen(record, clock) {
  const now = clockNow(), [level, , wrong] = describeLive(recordAt(now), now), [, , then] = describe(record, clock);
  const bad = level === "bad" || level === "warn";
  return [bad ? level : "wait", "frozen", `${(now - clock).toFixed(1)} s ago: ${then}${bad ? ` Now: ${wrong}` : ""}`];
}

function say(record, clock) {
  const [level, badge, sentence] = (view.frozenAt === null ? describeLive : describeFrozen)(record, clock);
  if (performance.now() - view.saidAt < 150 && $("headline").dataset.level === level) {
    view.dirty = true; // said with the next picture
    return;
  }
  view.saidAt = performance.now();
  $("headline").dataset.level = level;
  $("badge").textContent = badge;
  $("says").textContent = sentence;
  if (badge + level !== view.announced) {
    view.announced = badge + level;
    $("announce").textContent = sentence;
  }
  const running = data.status?.model, model = data.model ?? running;
  $("names").textContent = [
    record?.run || data.status?.session ? `session ${record?.run || data.status.session}` : null,
    model ? `model ${model.family} ${(model.digest ?? "").slice(0, 12)}${model.subject ? `, subject ${model.subject}` : ""}`
      : null,
    running ? `${running.units} units, bins of ${+(1000 * running.bin_width).toPrecision(3)} ms` : null,
    data.status ? `trajd ${data.status.version} at ${data.hello?.intents}` : null,
    data.why ? `model not drawn: ${data.why}` : null,
  ].filter(Boolean).join("  ·  ");
}

// --- pictures ---------------------------------------------------------------------------------------------------

function trialMarks(records) {
  const list = [], words = { start: "trial", go: "go", stop: "trial ends" };
  for (let i = 1; i < records.length; i++) {
    const trial = records[i].trial;
    if (trial && records[i - 1].trial && trial !== records[i - 1].trial) list.push({ clock: records[i].clock, word: words[trial] });
  }
  return list;
}

const stateColour = (name, colours) => plots.STATE_COLOUR[name] ?? colours[name];

function targetLayers(record, colours) {
  const p = record.intent?.target_prob;
  if (!p || record.silent !== null) return null;
  return [...p.map((share, i) => [share, plots.colourOf(i)]), [record.intent.free_prob ?? 0, colours.free]];
}

function stateLayers(record, colours) {
  const p = record.intent?.state_prob;
  if (record.silent !== null) return null;
  const state = record.intent?.state;
  if (!p && !state) return null;
  return STATES.map((name) => [p ? p[name] : name === state ? 1 : 0, stateColour(name, colours)]);
}

function speedOf(record) {
  const v = record.intent?.velocity;
  return v && record.silent === null ? Math.hypot(...v) : null;
}

function drawTimes(records, clock, colours) {
  const span = view.span, found = trialMarks(records);
  const targets = data.model?.targets.length ?? records.at(-1)?.intent?.target_prob?.length ?? 0;
  const names = [...Array.from({ length: targets }, (_, i) => `to ${targetName(i)}`), "nowhere"];
  const tapped = Boolean(data.hello?.tap);
  $("targets-figure").hidden = data.model !== null && targets === 0;
  const over = (words) => (g, area) => {
    plots.silences(g, area, records, clock, colours, words);
    plots.marks(g, area, found, colours, words);
  };
  figures.targets.draw(records, span, clock, targetLayers, names, colours, over(true));
  figures.states.draw(records, span, clock, stateLayers, STATE_WORDS, colours, over(false));
  figures.speed.draw(records, span, clock, speedOf, colours, plots.colourOf(0), !tapped, over(false));
  if (tapped) drawSpikes(records, span, clock, colours, over(false));
}

function drawSpikes(records, span, clock, colours, over) {
  const { spikes, evidence, intent } = records.at(-1) ?? {}, leading = best(intent?.target_prob);
  const units = figures.spikes.draw(records, span, clock, spikes?.length ?? 0, colours, over);
  const p = plots.begin($("speakers"));
  if (p && evidence && figures.spikes.area) plots.speakers(p, figures.spikes.area, evidence, colours);
  $("spikes-note").textContent = (units > 1 ? `one row is ${units} units` : "one row a unit") +
    (evidence && leading >= 0 ? `; on the right: for (orange), against (blue) target ${targetName(leading)}` : "");
}

const count = (n) => n === undefined || n === null ? "–" : n.toLocaleString("en");

function counterRows(record, earlier) {
  const s = data.status, f = s?.frames, rows = [];
  const seconds = record && earlier ? record.clock - earlier.clock : 0;
  const rate = seconds > 0.5 ? ((record.intents - earlier.intents) / seconds).toFixed(1) : "–";
  rows.push(["intents a second", rate], ["lost on the way here", count(record?.lost), record?.lost > 0]);
  rows.push(["waiting in line", count(record?.intent?.stamps.behind), record?.intent?.stamps.behind > 2]);
  if (!f) return rows;
  rows.push(["Frames at the daemon"], ["received", count(f.received)], ["decoded", count(f.decoded)],
    ["missing", count(f.missing), f.missing > 0], ["gaps", count(f.gaps), f.gaps > 0], ["late", count(f.late), f.late > 0],
    ["duplicate", count(f.duplicate), f.duplicate > 0], ["refused", count(f.invalid), f.invalid > 0],
    ["started anew", count(f.resets)], ["rebuilt", count(f.recovered), f.recovered > 0],
    ["Daemon"], ["up for", `${Math.round(s.uptime)} s`], ["subscribers", count(s.subscribers)],
    ["recording", s.recording?.on ? (s.recording.failing ? "failing" : "on") : "off", Boolean(s.recording?.failing)]);
  return rows;
}

function drawHealth(record, clock, colours) {
  const earlier = record ? data.records[Math.max(0, countUntil(clock - 10) - 1)] : null;
  if (record && data.hello) {
    const { latency_first: first, latency_per_decade: perDecade } = data.hello;
    figures.latency ??= new plots.Histogram("latency", first, perDecade, record.latency.length);
    $("latency-note").textContent = figures.latency.draw(record.latency.map((n, i) => n - (earlier?.latency[i] ?? 0)), colours);
  }
  if (performance.now() - (view.countedAt ?? -1e9) < 250) return;
  view.countedAt = performance.now();
  $("counters").replaceChildren(...counterRows(record, earlier).flatMap(([name, value, wrong]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    if (value === undefined) { dt.className = "head"; return [dt]; }
    dd.textContent = value;
    if (wrong) dd.className = "wrong";
    return [dt, dd];
  }));
}

function drawFooter(clock) {
  const newest = clockNow(), oldest = data.records[0]?.clock ?? newest;
  const kept = Math.max(1, Math.min(KEEP_S, newest - oldest || 0));
  const frozen = view.frozenAt !== null;
  document.body.classList.toggle("frozen", frozen);
  $("live").setAttribute("aria-pressed", String(!frozen));
  $("pause").textContent = frozen ? "Go on" : "Freeze";
  $("at").textContent = frozen ? `frozen, ${(newest - clock).toFixed(1)} s ago` : data.records.length ? `live, ${Math.round(kept)} s kept` : "nothing yet";
  if (document.activeElement !== $("scrub") || !frozen) $("scrub").value = frozen ? 1 - (newest - clock) / kept : 1;
  $("window").textContent = `last ${view.span} s`;
}

function draw() {
  requestAnimationFrame(draw);
  if (document.hidden || (!view.dirty && !data.connected)) return;
  if (performance.now() - (view.drawnAt ?? -1e9) < 31) return;
  view.drawnAt = performance.now();
  view.dirty = false;
  // What was frozen so long ago that it is not kept any more goes on with the oldest that is.
  if (view.frozenAt !== null) view.frozenAt = Math.max(view.frozenAt, data.records[0]?.clock ?? -Infinity);
  const clock = viewTime(), past = countUntil(clock), record = data.records[past - 1] ?? null;
  const records = data.records.slice(countUntil(clock - view.span - 0.5), past), colours = plots.themeColours();
  if (record && !records.length) records.push(record);
  say(record, clock);
  plots.nameNewest(view.frozenAt === null ? "now" : "frozen");
  const old = record && (record.silent !== null || clock - record.clock > 2);
  const p = plots.begin($("workspace"));
  if (p) workspace.draw(p, { model: data.model, record, records, prior: record?.prior, colours, dimmed: old });
  const dim = record?.intent?.position?.length ?? 2;
  $("workspace-note").textContent = dim > 2 ? `the first two of ${dim} dimensions` : dim === 1 ? "one dimension" : "";
  $("speed-unit").textContent = data.model ? `${data.model.length_unit}/s` : "";
  drawTimes(records, clock, colours);
  drawHealth(record, clock, colours);
  drawFooter(clock);
}

function drawLegend() {
  const svg = (inner) => `<svg width="22" height="16" viewBox="0 0 22 16" aria-hidden="true">${inner}</svg>`;
  const entries = [
    [svg('<circle cx="11" cy="8" r="5" fill="currentColor"/>'), "decoded position"],
    [svg('<ellipse cx="11" cy="8" rx="10" ry="7" fill="currentColor" opacity=".25"/><ellipse cx="11" cy="8" rx="5" ry="3.5" fill="currentColor" opacity=".5"/>'), "holds it with 50 %, 90 %"],
    [svg('<path d="M2 12 L16 5" stroke="currentColor" stroke-width="2.5"/><path d="M21 3 l-8 .5 3 5z" fill="currentColor"/>'), "velocity (0.1 s)"],
    [svg('<circle cx="11" cy="8" r="7" fill="none" stroke="#0072b2" stroke-width="1.5"/><circle cx="11" cy="8" r="4" fill="#0072b2"/>'), "target, filled as it is probable"],
    [svg('<circle cx="11" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 3"/>'), "announced"],
    [svg('<path d="M1 14 Q10 2 21 3" fill="none" stroke="#0072b2" opacity=".45" stroke-width="1.5"/>'), "learned course"],
    [svg('<path d="M6 3 L16 13 M6 13 L16 3" class="truth" stroke-width="2.5"/>'), "true position"],
  ];
  $("legend").innerHTML = entries.map(([icon, words]) => `<li>${icon}${words}</li>`).join("");
}

// --- hands ------------------------------------------------------------------------------------------------------

function freeze(clock) {
  const newest = clockNow(), oldest = data.records[0]?.clock ?? newest;
  view.frozenAt = clock === null || !Number.isFinite(newest) ? null : Math.min(newest, Math.max(oldest, clock));
  view.dirty = true;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* a browser may keep nothing */ }
  view.dirty = true;
}

function order(request) {
  if (data.hello?.orders && data.connected) socket.send(JSON.stringify({ id: ++orderId, request }));
}

function setPrior(target) {
  const n = data.model?.targets.length ?? 0;
  if (target >= n || n < 1) return;
  const rest = n > 1 ? 0.2 / (n - 1) : 0;
  order({ cmd: "prior", prob: Array.from({ length: n }, (_, i) => target < 0 ? 1 / n : i === target ? 1 - rest * (n - 1) : rest) });
}

const paused = () => recordAt(clockNow())?.intent?.flags.includes("paused") ?? false;
const orders = {
  start: () => order({ cmd: "trial", action: "start" }),
  go: () => order({ cmd: "trial", action: "go" }),
  stop: () => order({ cmd: "trial", action: "stop" }),
  hold: () => order({ cmd: "pause", on: true }),
  release: () => order({ cmd: "pause", on: false }),
  even: () => setPrior(-1),
  rollback: () => order({ cmd: "model", action: "rollback" }),
};

function widen(by) {
  view.span = SPANS[Math.min(SPANS.length - 1, Math.max(0, SPANS.indexOf(view.span) + by))];
  view.dirty = true;
}

const keys = {
  " ": () => freeze(view.frozenAt === null ? clockNow() : null),
  ArrowLeft: (shift) => freeze(viewTime() - (shift ? 1 : 0.1)),
  ArrowRight: (shift) => freeze(viewTime() + (shift ? 1 : 0.1) >= clockNow() ? null : viewTime() + (shift ? 1 : 0.1)),
  Home: () => freeze(0),
  End: () => freeze(null),
  "[": () => widen(-1),
  "]": () => widen(1),
  d: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  "?": () => $("help").showModal(),
  s: orders.start, g: orders.go, x: orders.stop, 0: orders.even,
  p: () => order({ cmd: "pause", on: !paused() }),
};
for (let digit = 1; digit <= 9; digit++) keys[digit] = () => setPrior(digit - 1);

function listen() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=range])"), onButton = event.target.matches("button, input") && event.key === " ";
    if (typing || onButton || event.ctrlKey || event.metaKey || event.altKey || $("help").open || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key](event.shiftKey);
  });
  $("pause").onclick = keys[" "];
  $("theme").onclick = keys.d;
  $("help-open").onclick = keys["?"];
  $("live").onclick = keys.End;
  $("scrub").oninput = (event) => {
    const newest = clockNow(), kept = Math.max(1, Math.min(KEEP_S, newest - (data.records[0]?.clock ?? newest)));
    const share = Number(event.target.value);
    freeze(share >= 0.999 ? null : newest - (1 - share) * kept);
  };
  $("workspace").onclick = (event) => {
    const target = data.hello?.orders ? workspace.hit(event.offsetX, event.offsetY) : -1;
    if (target >= 0) setPrior(target);
  };
  for (const button of document.querySelectorAll("[data-order]")) button.onclick = orders[button.dataset.order];
  $("load").onsubmit = (event) => {
    event.preventDefault();
    if ($("path").value) order({ cmd: "model", action: "load", path: $("path").value });
  };
  window.addEventListener("resize", () => { view.dirty = true; });
}

let stored = null;
try { stored = localStorage.getItem("theme"); } catch { /* as above */ }
setTheme(stored === "dark" || stored === "light" ? stored : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
drawLegend();
listen();
connect();
requestAnimationFrame(draw);
