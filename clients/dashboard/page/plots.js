// SPDX-License-Identifier: GPL-3.0-or-later
// The plots over time and the histogram.  Scales, axes, lines, stacked areas and what is read off under the pointer are
// dygraphs' (dygraph.js, served beside this file); spikes, evidence, silences and marks of trials are drawn into them.
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8ac00", "#7b61c9"];
// Rest and "elsewhere" are nothing in particular and have the theme's greys.
export const STATE_COLOUR = { plan: "#e69f00", move: "#0072b2", hold: "#009e73", return: "#cc79a7" };

// Okabe and Ito's colours, which the colour-blind tell apart; from the ninth target on they come again, and the
// name beside each target tells.
export const colourOf = (i) => PALETTE[i % PALETTE.length];

export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue("--" + name).trim();
  return { ink: get("ink"), soft: get("soft"), line: get("line"), faint: get("faint"), panel: get("panel"),
    bad: get("bad"), warn: get("warn"), region: get("region"), rest: get("rest"), free: get("free") };
}

// A canvas as sharp as the screen; null where it is not to be seen.
export function begin(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
  if (width < 8 || height < 8) return null;
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  g.textBaseline = "middle";
  g.textAlign = "left";
  return { g, width, height, ratio };
}

// 1, 2 or 5 times a power of ten, at least x.
export function nice(x) {
  const power = 10 ** Math.floor(Math.log10(Math.max(x, 1e-12)));
  for (const m of [1, 2, 5, 10]) if (m * power >= x * 0.999) return m * power;
  return 10 * power;
}

const WORDS_PX = 58; // to the right of each plot over time
const FONT = "12px system-ui, 'DejaVu Sans', sans-serif";

// The library leaves out a label at the very end of an axis.
const WITHIN = 1 - 1e-6;
// Its legend is left out: it writes styles into elements, which the page's policy forbids.
Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);

// What the moment that is looked at is called.
let newestWord = "now";
export function nameNewest(word) { newestWord = word; }

// Seconds before that moment, at round numbers.
function timeTicks(from, to) {
  const step = nice((to - from) / 6), list = [];
  for (let s = 0; s <= to - from + 1e-9; s += step) list.push({ v: -s || to - 1e-6, label: s === 0 ? newestWord : `−${+s.toFixed(2)} s` });
  return list;
}

const fixedTicks = (list) => () => list.map(([v, label]) => ({ v, label }));
const PERCENT = [[0, "0"], [0.5, "50"], [WITHIN, "100 %"]];

// Makes a plot when it is first to be seen, and as large as its box; false where there is no room.
function fit(plot) {
  const { clientWidth: width, clientHeight: height } = plot.box;
  if (width < 8 || height < 8) return false;
  if (!plot.graph) plot.graph = plot.make();
  else if (width !== plot.width || height !== plot.height) plot.graph.resize();
  Object.assign(plot, { width, height });
  return true;
}

// What the values are at a moment, those that matter first.
const readOff = (points, words) => points.filter(({ yval }) => yval >= 0.05).sort((a, b) => b.yval - a.yval)
  .map(({ name, yval }) => words(name, yval)).join(" · ");

// One plot over the last seconds.  Its rows are [seconds before the end, value, ...]; paint draws over them.
class TimePlot {
  constructor(id, labels, options) {
    this.box = document.getElementById(id);
    this.labels = labels;
    this.paint = () => {};
    this.make = () => new Dygraph(this.box, [labels.map(() => 0)], {
      labels, dateWindow: [-10, 0], rightGap: WORDS_PX, interactionModel: {}, axisLabelFontSize: 12,
      drawGrid: false, highlightCircleSize: 0, ...options,
      plotter: [...options.plotter, (e) => { if (e.seriesIndex === 0 && !e.singleSeriesName) this.overlay(e); }],
      axes: {
        x: { ticker: timeTicks, axisLabelWidth: 60, drawAxis: false },
        y: { axisLabelWidth: 38, ...options.y },
      },
      highlightCallback: (event, x, points) => {
        this.read.textContent = this.words ? [`${x.toFixed(2)} s`, readOff(points, this.words)].join(": ") : "";
      },
      unhighlightCallback: () => { this.read.textContent = ""; },
    });
    this.read = document.createElement("output"); // shown by the style sheet while the picture is frozen
    this.read.className = "read";
    this.box.after(this.read);
  }

  overlay({ drawingContext: g, plotArea: { x, y, w, h } }) {
    g.font = FONT;
    g.textBaseline = "middle";
    g.textAlign = "left";
    this.paint(g, this.area = { left: x, right: x + w, top: y, bottom: y + h, x: (clock) => x + w + (clock - this.end) / this.span * w });
  }

  // Options go to the library only as they change: it looks at all of them anew each time.
  change(options) {
    const known = JSON.stringify(options);
    if (known === this.known) return {};
    this.known = known;
    return options;
  }

  update(rows, span, end, paint, colours, options, file = rows) {
    Object.assign(this, { span, end, paint });
    if (!fit(this)) return false;
    this.graph.updateOptions({ file, dateWindow: [-span, 0],
      ...this.change({ axisLineColor: colours.line, gridLineColor: colours.faint, ...options }) });
    return true;
  }
}

// The records that a plot has pixels for, each with how long its picture lasts: until the next one, but no further than a
// gap allows.
function* steps(records, span, width, end) {
  const stride = Math.max(1, Math.floor(records.length / Math.max(200, width)));
  for (let i = 0; i < records.length; i += stride) {
    const next = i + stride < records.length ? records[i + stride].clock : Math.min(end, records[i].clock + 0.1);
    const silent = records[Math.min(records.length - 1, i + stride)].silent !== null;
    yield [records[i], records[i].clock - end, Math.min(next, records[i].clock + (silent ? 0.05 : 0.5 * stride)) - end];
  }
}

// Probabilities on top of each other: layers(record) gives [[share, colour], ...] or null.
export class Ribbons extends TimePlot {
  constructor(id, labelled) {
    super(id, ["t", "0"], { plotter: [Dygraph.Plotters.fillPlotter], stackedGraph: true, fillGraph: true, stepPlot: true,
      fillAlpha: 1, strokeWidth: 0, valueRange: [0, 1],
      y: { ticker: fixedTicks(PERCENT) } });
    this.words = (name, share) => `${name} ${Math.round(100 * share)} %`;
    this.now = document.createElement("div");
    this.now.className = "now";
    this.box.after(this.now);
  }

  draw(records, span, end, layers, names, colours, over) {
    const rows = [], runs = [];
    let run = null, last = null, colour = null;
    const nothing = names.map(() => 0);
    for (const [record, from, until] of steps(records, span, this.box.clientWidth, end)) {
      const list = last = layers(record, colours);
      if (!list) { run = null; continue; }
      colour ??= list.map(([, c]) => c);
      if (rows.length && rows.at(-1)[0] >= from) rows.pop();
      // The library stacks the last series lowest.
      rows.push([from, ...list.map(([share]) => share).reverse()], [until, ...nothing]);
      let below = 0;
      list.forEach(([share], layer) => {
        if (share > 0.5) {
          if (run?.layer !== layer || run.until < from - 0.02) runs.push(run = { layer, from, until, middle: 0, width: 0 });
          run.until = until;
          run.middle += (below + share / 2) * (until - from);
          run.width += until - from;
        }
        below += share;
      });
    }
    if (!rows.length) rows.push([0, ...nothing]);
    const paint = (g, area) => {
      this.nameRuns(g, area, runs, names, colours);
      over(g, area);
    };
    const options = { labels: ["t", ...names.toReversed()], colors: (colour ?? names.map(() => colours.free)).toReversed() };
    if (this.update(rows, span, end, paint, colours, options)) this.nameNow(last, names);
  }

  // What prevails for a while has its name written on it.
  nameRuns(g, area, runs, names, colours) {
    g.textAlign = "center";
    g.lineWidth = 3;
    g.strokeStyle = colours.panel;
    g.fillStyle = colours.ink;
    for (const { layer, from, until, middle, width } of runs) {
      const x0 = Math.max(area.left, area.x(this.end + from)), x1 = area.x(this.end + until);
      if (x1 - x0 < g.measureText(names[layer]).width + 8) continue;
      const y = area.bottom - middle / width * (area.bottom - area.top);
      g.strokeText(names[layer], (x0 + x1) / 2, y);
      g.fillText(names[layer], (x0 + x1) / 2, y);
    }
    g.textAlign = "left";
    g.lineWidth = 1;
  }

  // Beside the newest shares, their names.
  nameNow(list, names) {
    const height = this.area.bottom - this.area.top, words = [];
    let below = 0;
    list?.forEach(([share], i) => {
      if (share * height > 11) {
        const word = document.createElement("span");
        word.textContent = names[i];
        word.style.top = `${this.area.bottom - (below + share / 2) * height}px`;
        words.push(word);
      }
      below += share;
    });
    this.now.replaceChildren(...words);
  }
}

export class Line extends TimePlot {
  constructor(id) {
    super(id, ["t", "speed"], { plotter: [Dygraph.Plotters.linePlotter], strokeWidth: 1.6, includeZero: true,
      y: { drawGrid: true, ticker: (from, to) => [0, to / 2, to].map((v) => ({ v: v * WITHIN, label: String(+v.toPrecision(3)) })) } });
    this.words = (name, value) => value.toPrecision(3);
  }

  draw(records, span, end, value, colours, colour, labelled, over) {
    const rows = [];
    let top = 0, before = null;
    for (const record of records) {
      const v = value(record);
      if (before !== null && record.clock - before > 0.5) rows.push([(before + record.clock) / 2 - end, null]);
      rows.push([record.clock - end, v]);
      top = Math.max(top, v ?? 0);
      before = record.clock;
    }
    if (!rows.length) rows.push([0, null]);
    this.update(rows, span, end, over, colours,
      { colors: [colour], valueRange: [0, nice(top * 1.05 || 1)], axes: { x: { drawAxis: labelled } } });
  }
}

// Spikes: a row a unit, or where there are more units than rows, the mean of neighbours; draw returns of how many.
export class Raster extends TimePlot {
  constructor(id) {
    super(id, ["t", "spikes"], { plotter: [(e) => { if (e.seriesIndex === 0 && !e.singleSeriesName) this.spikes(e); }],
      valueRange: [0, 1], y: { ticker: () => [{ v: 0, label: String(this.units ?? "") }, { v: WITHIN, label: "1" }] } });
    this.image = document.createElement("canvas");
  }

  draw(records, span, end, units, colours, over) {
    Object.assign(this, { records, units, colours });
    this.update([], span, end, over, colours, { axes: { x: { drawAxis: true } } }, [[-span, 0], [0, 0]]);
    return this.area ? Math.ceil(units / Math.max(1, Math.floor(this.area.bottom - this.area.top))) : 1;
  }

  spikes({ drawingContext: g, plotArea: { x, y, w, h } }) {
    const { records, units, colours } = this;
    const width = Math.max(1, Math.floor(w)), rows = Math.min(units, Math.floor(h));
    if (!(rows >= 1)) return;
    const image = g.createImageData(width, rows), data = new Uint32Array(image.data.buffer);
    const [red, green, blue] = colours.region.split(",").map(Number), colour = (blue << 16) | (green << 8) | red;
    let sum = 0, frames = 0;
    for (const record of records) { sum += record.spikeSum ?? 0; frames += record.frames; }
    const scale = Math.max(1, 5 * sum / Math.max(1, frames * units));
    const at = (s) => Math.round(width * (1 + s / this.span));
    for (const [record, from, until] of steps(records, this.span, width, this.end)) {
      const spikes = record.spikes, left = Math.max(0, at(from)), right = Math.min(width, at(until));
      if (!spikes || !record.frames || right <= left) continue;
      for (let row = 0; row < rows; row++) {
        const first = Math.floor(row * units / rows), past = Math.max(first + 1, Math.floor((row + 1) * units / rows));
        let most = 0;
        for (let n = first; n < past; n++) most += spikes[n] === 255 ? 0 : spikes[n];
        const alpha = Math.min(255, 255 * most / (past - first) / (scale * record.frames) * (past - first > 1 ? 2 : 1));
        if (alpha >= 4) data.fill((alpha << 24) | colour, row * width + left, row * width + right);
      }
    }
    this.image.width = width;
    this.image.height = rows;
    this.image.getContext("2d").putImageData(image, 0, 0);
    g.imageSmoothingEnabled = false;
    g.drawImage(this.image, x, y, w, h);
  }
}

// Beside the raster, what each unit says about the leading target: to the right for it, to the left against it.
export function speakers(p, area, evidence, colours) {
  const g = p.g, left = 4, right = p.width - 4, middle = (left + right) / 2, height = area.bottom - area.top;
  const rows = Math.min(evidence.length, Math.floor(height / 2)), each = height / rows;
  let most = 1;
  const sums = Array.from({ length: rows }, (_, row) => {
    const first = Math.floor(row * evidence.length / rows), past = Math.floor((row + 1) * evidence.length / rows);
    let sum = 0;
    for (let n = first; n < past; n++) sum += evidence[n];
    most = Math.max(most, Math.abs(sum));
    return sum;
  });
  sums.forEach((sum, row) => {
    const w = sum / most * (right - left) / 2;
    g.fillStyle = sum > 0 ? colourOf(1) : colourOf(0);
    g.fillRect(Math.min(middle, middle + w), area.top + row * each, Math.abs(w), Math.max(0.8, each - 0.4));
  });
  g.strokeStyle = colours.soft;
  g.lineWidth = 1;
  g.beginPath(); g.moveTo(middle, area.top); g.lineTo(middle, area.bottom); g.stroke();
}

// Where no frames came: shaded, and said where there is room.
export function silences(g, area, records, end, colours, words) {
  let from = null;
  const shade = (a, b) => {
    const x0 = Math.max(area.left, area.x(a)), x1 = Math.min(area.right, area.x(b));
    if (x1 - x0 < 2) return;
    g.globalAlpha = .16;
    g.fillStyle = colours.bad;
    g.fillRect(x0, area.top, x1 - x0, area.bottom - area.top);
    g.globalAlpha = 1;
    g.textAlign = "center";
    const word = x1 - x0 > 70 ? "no frames" : x1 - x0 > 28 ? "gap" : "";
    if (words) g.fillText(word, (x0 + x1) / 2, (area.top + area.bottom) / 2);
    g.textAlign = "left";
  };
  for (const record of records) {
    if (record.silent !== null) from ??= record.clock - record.silent;
    else if (from !== null) { shade(from, record.clock); from = null; }
  }
  if (from !== null) shade(from, end);
}

// Vertical lines where a trial began, was cued or ended; words on the plot that asks for them.
export function marks(g, area, list, colours, words) {
  list.forEach(({ clock, word }, i) => {
    const x = area.x(clock), next = i + 1 < list.length ? area.x(list[i + 1].clock) : area.right;
    if (x < area.left || x > area.right) return;
    g.strokeStyle = colours.ink;
    g.lineWidth = 1;
    g.setLineDash(word === "trial ends" ? [2, 3] : []);
    g.beginPath(); g.moveTo(x, area.top); g.lineTo(x, area.bottom); g.stroke();
    g.setLineDash([]);
    const w = g.measureText(word).width + 6;
    if (words && x + w <= next + 1) {
      g.fillStyle = colours.panel;
      g.globalAlpha = .85;
      g.fillRect(x + 1, area.top + 1, w, 14);
      g.globalAlpha = 1;
      g.fillStyle = colours.ink;
      g.fillText(word, x + 4, area.top + 8);
    }
  });
}

// Counts by latency over decades, and in words where half and nearly all of them lie.
export class Histogram {
  constructor(id, first, perDecade, bins) {
    this.box = document.getElementById(id);
    Object.assign(this, { first, perDecade, bins });
    const decades = [[1e-4, "0.1"], [1e-3, "1"], [1e-2, "10"], [1e-1, "100 ms"]];
    this.make = () => new Dygraph(this.box, [[0, 0]], {
      labels: ["bin", "intents"], dateWindow: [0, bins], interactionModel: {}, axisLabelFontSize: 12,
      drawGrid: false, highlightCircleSize: 0, plotter: [(e) => this.bars(e)],
      axes: { x: { ticker: fixedTicks(decades.map(([s, label]) => [this.at(s), label])), axisLabelWidth: 50 },
        y: { drawAxis: false } },
    });
  }

  at(seconds) { return Math.log10(seconds / this.first) * this.perDecade; }

  bars({ drawingContext: g, plotArea: { y, h }, points, dygraph, singleSeriesName }) {
    if (singleSeriesName || !this.colours) return;
    const each = dygraph.toDomXCoord(1) - dygraph.toDomXCoord(0), bottom = y + h;
    g.fillStyle = colourOf(0);
    for (const { xval, yval } of points) {
      const height = Math.max(bottom - dygraph.toDomYCoord(yval), 1.5);
      if (yval > 0) g.fillRect(dygraph.toDomXCoord(xval), bottom - height, each - 1, height);
    }
    g.strokeStyle = this.colours.ink;
    g.setLineDash([3, 2]);
    for (const bin of this.quantiles) {
      const x = dygraph.toDomXCoord(bin);
      g.beginPath(); g.moveTo(x, y); g.lineTo(x, bottom); g.stroke();
    }
    g.setLineDash([]);
  }

  // The end of the bin by which a share of all is reached.
  quantile(counts, total, share) {
    let below = 0;
    const bin = counts.findIndex((c) => (below += c) >= share * total);
    return (bin < 0 ? counts.length : bin) + 1;
  }

  draw(counts, colours) {
    const total = counts.reduce((a, b) => a + b, 0);
    this.colours = colours;
    this.quantiles = total ? [0.5, 0.99].map((share) => this.quantile(counts, total, share)) : [];
    if (!fit(this)) return "";
    this.graph.updateOptions({ file: counts.map((c, i) => [i, c]), valueRange: [0, Math.max(...counts, 1)],
      axisLineColor: colours.line });
    const [half, most] = this.quantiles.map((bin) => `${+(1e3 * this.first * 10 ** (bin / this.perDecade)).toPrecision(2)} ms`);
    return total ? `half within ${half}\n99 % within ${most}` : "no intents";
  }
}
