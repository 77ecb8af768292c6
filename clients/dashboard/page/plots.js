// SPDX-License-Identifier: GPL-3.0-or-later
// Drawing on canvases.  Debian has no package of a plotting library that would do; what is needed here (stacked
// ribbons, a raster, ellipses) is less code than such a library's configuration.

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

// Axes of a plot over time: where its drawing area is, and the seconds below it.
export function timeAxes(p, span, end, colours, labelled, right = 58) {
  const area = { left: 42, right: p.width - right, top: 4, bottom: p.height - (labelled ? 16 : 4) };
  area.x = (clock) => area.right + (clock - end) / span * (area.right - area.left);
  const step = nice(span / 6), g = p.g;
  g.strokeStyle = colours.line;
  g.fillStyle = colours.soft;
  g.lineWidth = 1;
  g.strokeRect(area.left - .5, area.top - .5, area.right - area.left + 1, area.bottom - area.top + 1);
  if (labelled) {
    g.textAlign = "center";
    for (let s = 0; s <= span + 1e-9; s += step) {
      const x = area.right - s / span * (area.right - area.left);
      if (x > area.left - 1) g.fillText(s === 0 ? "now" : `−${+s.toFixed(2)} s`, x, p.height - 7);
    }
    g.textAlign = "left";
  }
  return area;
}

function yLabels(g, area, labels, colours) {
  g.fillStyle = colours.soft;
  g.textAlign = "right";
  for (const [y, text] of labels) g.fillText(text, area.left - 4, Math.min(Math.max(y, area.top + 6), area.bottom - 5));
  g.textAlign = "left";
}

// The picture of each record reaches until the next one, but no further than a gap allows.
function* steps(records, area, end) {
  const stride = Math.max(1, Math.floor(records.length / Math.max(200, area.right - area.left)));
  for (let i = 0; i < records.length; i += stride) {
    const next = i + stride < records.length ? records[i + stride].clock : Math.min(end, records[i].clock + 0.1);
    const silent = records[Math.min(records.length - 1, i + stride)].silent !== null;
    const until = Math.min(next, records[i].clock + (silent ? 0.05 : 0.5 * stride));
    // Whole pixels, or the seams between neighbours would shine through.
    const x0 = Math.round(Math.max(area.left, area.x(records[i].clock)));
    const x1 = Math.round(Math.min(area.right, area.x(until)));
    if (x1 > x0) yield [records[i], x0, x1];
  }
}

// Probabilities on top of each other: layers(record) gives [[share, colour], ...] or null.
export function ribbons(p, records, span, end, layers, names, colours, labelled) {
  const area = timeAxes(p, span, end, colours, labelled), g = p.g, height = area.bottom - area.top;
  let last = null, run = null;
  const runs = [];
  for (const [record, x0, x1] of steps(records, area, end)) {
    const list = layers(record, colours);
    last = list;
    if (!list) { run = null; continue; }
    let y = area.bottom;
    list.forEach(([share, colour], i) => {
      const h = share * height;
      if (h > 0.2) {
        g.fillStyle = colour;
        g.fillRect(x0, y - h, x1 - x0, h);
      }
      if (share > 0.5) {
        if (run?.layer !== i || run.x1 < x0 - 1) runs.push(run = { layer: i, x0, x1, middle: 0, width: 0 });
        run.x1 = x1;
        run.middle += (y - h / 2) * (x1 - x0);
        run.width += x1 - x0;
      }
      y -= h;
    });
  }
  // What prevails for a while has its name written on it.
  g.textAlign = "center";
  g.lineWidth = 3;
  for (const { layer, x0, x1, middle, width } of runs) {
    if (x1 - x0 < g.measureText(names[layer]).width + 8) continue;
    g.strokeStyle = colours.panel;
    g.fillStyle = colours.ink;
    g.strokeText(names[layer], (x0 + x1) / 2, middle / width);
    g.fillText(names[layer], (x0 + x1) / 2, middle / width);
  }
  g.textAlign = "left";
  g.lineWidth = 1;
  yLabels(g, area, [[area.top, "100 %"], [(area.top + area.bottom) / 2, "50"], [area.bottom, "0"]], colours);
  if (last) {
    let y = area.bottom;
    last.forEach(([share], i) => {
      const h = share * height;
      if (h > 11) {
        g.fillStyle = colours.ink;
        g.fillText(names[i], area.right + 5, y - h / 2, p.width - area.right - 6);
      }
      y -= h;
    });
  }
  return area;
}

export function line(p, records, span, end, value, colours, colour, labelled) {
  const area = timeAxes(p, span, end, colours, labelled), g = p.g;
  let top = 0;
  for (const record of records) top = Math.max(top, value(record) ?? 0);
  top = nice(top * 1.05 || 1);
  const y = (v) => area.bottom - v / top * (area.bottom - area.top);
  g.strokeStyle = colours.faint;
  g.beginPath(); g.moveTo(area.left, y(top / 2)); g.lineTo(area.right, y(top / 2)); g.stroke();
  g.strokeStyle = colour;
  g.lineWidth = 1.6;
  g.beginPath();
  let before = null;
  for (const record of records) {
    const v = value(record);
    if (v === null || area.x(record.clock) < area.left) { before = null; continue; }
    const x = area.x(record.clock);
    if (before === null || record.clock - before > 0.5) g.moveTo(x, y(v)); else g.lineTo(x, y(v));
    before = record.clock;
  }
  g.stroke();
  yLabels(g, area, [[area.top, +top.toPrecision(3)], [y(top / 2), +(top / 2).toPrecision(3)], [area.bottom, "0"]], colours);
  return area;
}

// Spikes: a row a unit, or where there are more units than rows, the mean of neighbours.
export function raster(p, records, span, end, units, colours, labelled) {
  const area = timeAxes(p, span, end, colours, labelled), g = p.g;
  const width = Math.max(1, Math.floor(area.right - area.left)), rows = Math.min(units, Math.floor(area.bottom - area.top));
  if (rows < 1) return area;
  const image = g.createImageData(width, rows), data = image.data;
  const [r, gr, b] = colours.region.split(",").map(Number);
  let sum = 0, frames = 0;
  for (const record of records) { sum += record.spikeSum; frames += record.frames; }
  const scale = Math.max(1, 5 * sum / Math.max(1, frames * units));
  for (const [record, x0, x1] of steps(records, area, end)) {
    const spikes = record.spikes;
    if (!spikes || !record.frames) continue;
    const from = Math.max(0, Math.round(x0 - area.left)), to = Math.min(width, Math.round(x1 - area.left));
    for (let row = 0; row < rows; row++) {
      const first = Math.floor(row * units / rows), past = Math.max(first + 1, Math.floor((row + 1) * units / rows));
      let most = 0;
      for (let n = first; n < past; n++) most += spikes[n] === 255 ? 0 : spikes[n];
      const alpha = Math.min(255, 255 * most / (past - first) / (scale * record.frames) * (past - first > 1 ? 2 : 1));
      if (alpha < 4) continue;
      for (let x = from; x < to; x++) {
        const at = 4 * (row * width + x);
        data[at] = r; data[at + 1] = gr; data[at + 2] = b; data[at + 3] = alpha;
      }
    }
  }
  raster.canvas ??= document.createElement("canvas");
  raster.canvas.width = width;
  raster.canvas.height = rows;
  raster.canvas.getContext("2d").putImageData(image, 0, 0);
  g.imageSmoothingEnabled = false;
  g.drawImage(raster.canvas, area.left, area.top, width, area.bottom - area.top);
  yLabels(g, area, [[area.top, "1"], [area.bottom, String(units)]], colours);
  return area;
}

// Beside the raster, what each unit says about the leading target: to the right for it, to the left against it.
export function speakers(p, area, evidence, colours) {
  const g = p.g, left = area.right + 4, right = p.width - 4, middle = (left + right) / 2, height = area.bottom - area.top;
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
  g.beginPath(); g.moveTo(middle, area.top); g.lineTo(middle, area.bottom); g.stroke();
}

// Where no frames came: shaded, and said where there is room.
export function silences(p, area, records, end, colours, words) {
  const g = p.g;
  let from = null;
  const shade = (a, b) => {
    const x0 = Math.max(area.left, area.x(a)), x1 = Math.min(area.right, area.x(b));
    if (x1 - x0 < 2) return;
    g.globalAlpha = .16;
    g.fillStyle = colours.bad;
    g.fillRect(x0, area.top, x1 - x0, area.bottom - area.top);
    g.globalAlpha = 1;
    g.textAlign = "center";
    if (words && x1 - x0 > 70) g.fillText("no frames", (x0 + x1) / 2, (area.top + area.bottom) / 2);
    g.textAlign = "left";
  };
  for (const record of records) {
    if (record.silent !== null) from ??= record.clock - record.silent;
    else if (from !== null) { shade(from, record.clock); from = null; }
  }
  if (from !== null) shade(from, end);
}

// Vertical lines where a trial began, was cued or ended; words on the plot that asks for them.
export function marks(p, area, list, colours, words) {
  const g = p.g;
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

// Counts by latency over decades; returns median and 99th percentile in seconds, or null.
export function histogram(p, counts, first, perDecade, colours) {
  const g = p.g, area = { left: 6, right: p.width - 6, top: 30, bottom: p.height - 16 };
  const total = counts.reduce((a, b) => a + b, 0), most = Math.max(...counts, 1), n = counts.length;
  const x = (seconds) => area.left + Math.log10(seconds / first) * perDecade / n * (area.right - area.left);
  g.strokeStyle = colours.line;
  g.beginPath(); g.moveTo(area.left, area.bottom + .5); g.lineTo(area.right, area.bottom + .5); g.stroke();
  g.fillStyle = colours.soft;
  g.textAlign = "center";
  for (const [seconds, text] of [[1e-4, "0.1"], [1e-3, "1"], [1e-2, "10"], [1e-1, "100 ms"]]) {
    g.fillText(text, x(seconds), p.height - 7);
    g.fillRect(x(seconds), area.bottom, 1, 4);
  }
  g.textAlign = "left";
  if (!total) { g.fillText("no intents", area.left, area.top); return null; }
  g.fillStyle = colourOf(0);
  const w = (area.right - area.left) / n;
  counts.forEach((c, i) => {
    const h = c / most * (area.bottom - area.top);
    if (c > 0) g.fillRect(area.left + i * w, area.bottom - Math.max(h, 1.5), w - 1, Math.max(h, 1.5));
  });
  const quantile = (q) => {
    let below = 0;
    for (let i = 0; i < n; i++) { below += counts[i]; if (below >= q * total) return first * 10 ** ((i + 1) / perDecade); }
    return first * 10 ** (n / perDecade);
  };
  const result = { median: quantile(0.5), p99: quantile(0.99) };
  g.fillStyle = colours.ink;
  const ms = (s) => `${(1e3 * s).toPrecision(2)} ms`;
  g.fillText(`half within ${ms(result.median)}`, area.left, 8);
  g.fillText(`99 % within ${ms(result.p99)}`, area.left, 22);
  for (const q of [result.median, result.p99]) {
    g.strokeStyle = colours.ink;
    g.setLineDash([3, 2]);
    g.beginPath(); g.moveTo(x(q), area.top); g.lineTo(x(q), area.bottom); g.stroke();
    g.setLineDash([]);
  }
  return result;
}
