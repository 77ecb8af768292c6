// SPDX-License-Identifier: GPL-3.0-or-later
// The workspace from above: targets, courses, and the posterior of the position.
import { colourOf, nice } from "./plots.js";

const TRAIL_S = 1.5, GAP_S = 0.25; // a line leads over no longer gap
const HALF = 1.3863, NINETY = 4.6052; // chi-squared with two degrees of freedom

// Half axes and turn of the region in which a covariance [a b; b c] holds a share of the probability.
export function ellipse(cov, level) {
  const [a, b, , c] = cov, mean = (a + c) / 2, half = Math.hypot((a - c) / 2, b);
  return { major: Math.sqrt(Math.max(0, level * (mean + half))), minor: Math.sqrt(Math.max(0, level * (mean - half))),
    turn: 0.5 * Math.atan2(2 * b, a - c) };
}

// The first two dimensions; a workspace of one dimension lies on a line.
const planar = (x) => [x[0], x.length > 1 ? x[1] : 0];
const planarCov = (cov, dim) => dim > 1 ? [cov[0], cov[1], cov[dim], cov[dim + 1]] : [cov[0], 0, 0, 0];

export class Workspace {
  constructor() {
    this.box = null; // what has to be seen: [x0, y0, x1, y1]
    this.discs = []; // on the screen, for clicks
  }

  forget() { this.box = null; }

  include(x, y, margin = 0) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    const b = this.box ??= [x, y, x, y];
    b[0] = Math.min(b[0], x - margin); b[1] = Math.min(b[1], y - margin);
    b[2] = Math.max(b[2], x + margin); b[3] = Math.max(b[3], y + margin);
  }

  targetRadius(model) {
    let least = Infinity, extent = 0;
    const at = model.targets.map((t) => planar(t.position));
    at.forEach((a, i) => at.slice(i + 1).forEach((b) => {
      const d = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (d > 0) least = Math.min(least, d);
      extent = Math.max(extent, d);
    }));
    return Math.min(0.36 * least, 0.11 * (extent || 1));
  }

  draw(p, view) {
    const { model, record, records, colours } = view, g = p.g;
    if (model) {
      const r = model.targets.length > 1 ? this.targetRadius(model) : 0;
      for (const t of model.targets) this.include(...planar(t.position), 1.9 * r);
      for (const c of model.courses) for (const x of c.points) this.include(...planar(x));
    }
    const position = record?.intent?.position;
    if (position) this.include(...planar(position));
    if (!this.box) return;
    const [x0, y0, x1, y1] = this.box, pad = 14;
    const scale = Math.min((p.width - 2 * pad) / Math.max(x1 - x0, 1e-9), (p.height - 2 * pad) / Math.max(y1 - y0, 1e-9));
    this.x = (x) => p.width / 2 + (x - (x0 + x1) / 2) * scale;
    this.y = (y) => p.height / 2 - (y - (y0 + y1) / 2) * scale;
    this.scale = scale;
    if (model) this.drawCourses(g, model, view);
    this.drawScale(p, view);
    if (model) this.drawTargets(g, model, view);
    this.drawTruth(g, records, view);
    if (position) this.drawPosterior(g, record, records, view);
    if (view.dimmed) this.drawOld(p, view);
  }

  // A picture that nothing renews any more says so itself.
  drawOld(p, { colours }) {
    const g = p.g;
    g.font = "bold 15px system-ui, 'DejaVu Sans', sans-serif";
    g.fillStyle = colours.bad;
    g.textAlign = "center";
    g.fillText("old: the last that was decoded", p.width / 2, 12);
    g.textAlign = "left";
  }

  drawCourses(g, model) {
    g.lineWidth = 1.5;
    g.globalAlpha = 0.3;
    for (const course of model.courses) {
      g.strokeStyle = colourOf(course.target);
      g.beginPath();
      course.points.forEach((x, i) => {
        const [px, py] = planar(x);
        if (i) g.lineTo(this.x(px), this.y(py)); else g.moveTo(this.x(px), this.y(py));
      });
      g.stroke();
    }
    g.globalAlpha = 1;
  }

  drawScale(p, { model, colours }) {
    const g = p.g, length = nice((this.box[2] - this.box[0]) / 10), y = p.height - 8;
    g.strokeStyle = colours.soft;
    g.fillStyle = colours.soft;
    g.lineWidth = 2;
    g.beginPath(); g.moveTo(8, y); g.lineTo(8 + length * this.scale, y); g.stroke();
    g.fillText(`${+length.toPrecision(3)} ${model?.length_unit ?? ""}`, 8, y - 10);
  }

  drawTargets(g, model, { record, prior, colours }) {
    const radius = Math.max(9, this.targetRadius(model) * this.scale) || 16;
    const p = record?.intent?.target_prob;
    this.discs = model.targets.map((target, i) => {
      const [tx, ty] = planar(target.position), x = this.x(tx), y = this.y(ty), share = p ? p[i] : 0;
      const top = p && p.every((other) => other <= share) && share >= 0.2;
      g.fillStyle = colours.panel;
      g.strokeStyle = colourOf(i);
      g.lineWidth = top ? 3.5 : 1.8;
      g.beginPath(); g.arc(x, y, radius, 0, 2 * Math.PI); g.fill(); g.stroke();
      // The area that is filled is the probability.
      g.fillStyle = colourOf(i);
      g.beginPath(); g.arc(x, y, radius * Math.sqrt(share), 0, 2 * Math.PI); g.fill();
      this.drawTargetWords(g, { x, y, radius, share, top, name: target.id, colours, announced: prior?.[i], prior });
      return { x, y, radius };
    });
  }

  drawTargetWords(g, { x, y, radius, share, top, name, colours, announced, prior }) {
    if (prior && announced > 1.2 / prior.length) {
      g.strokeStyle = colours.ink;
      g.lineWidth = 1 + 2.5 * announced;
      g.setLineDash([5, 4]);
      g.beginPath(); g.arc(x, y, radius + 5, 0, 2 * Math.PI); g.stroke();
      g.setLineDash([]);
    }
    const big = radius > 15;
    g.textAlign = "center";
    g.font = `${top ? "bold " : ""}${big ? 13 : 11}px system-ui, 'DejaVu Sans', sans-serif`;
    g.lineWidth = 3;
    g.strokeStyle = colours.panel;
    const write = (text, at) => { g.strokeText(text, x, at); g.fillStyle = colours.ink; g.fillText(text, x, at); };
    write(name, big ? y : y - radius - 8);
    if (share >= 0.05) write(`${Math.round(100 * share)} %`, y + radius + 10);
    if (prior && announced > 1.2 / prior.length) write(`announced ${Math.round(100 * announced)} %`, y - radius - 14);
    g.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    g.textAlign = "left";
  }

  drawTruth(g, records, { record, colours }) {
    if (!record?.truth) return;
    g.strokeStyle = colours.warn;
    g.lineWidth = 1.6;
    g.setLineDash([2, 3]);
    g.beginPath();
    records.forEach((r, i) => {
      if (!r.truth || r.clock < record.clock - TRAIL_S) return;
      const [x, y] = planar(r.truth);
      const joined = i && r.clock - records[i - 1].clock < GAP_S;
      if (joined) g.lineTo(this.x(x), this.y(y)); else g.moveTo(this.x(x), this.y(y));
    });
    g.stroke();
    g.setLineDash([]);
    const [x, y] = planar(record.truth);
    const a = this.x(x), b = this.y(y);
    g.lineWidth = 2.5;
    g.beginPath(); g.moveTo(a - 7, b - 7); g.lineTo(a + 7, b + 7); g.moveTo(a - 7, b + 7); g.lineTo(a + 7, b - 7); g.stroke();
  }

  drawPosterior(g, record, records, { colours, dimmed }) {
    const { position, position_cov: cov, velocity } = record.intent, [mx, my] = planar(position);
    const x = this.x(mx), y = this.y(my);
    const region = (alpha) => `rgba(${colours.region},${dimmed ? alpha / 2 : alpha})`;
    for (const [level, alpha] of cov ? [[NINETY, 0.13], [HALF, 0.22]] : []) {
      const e = ellipse(planarCov(cov, position.length), level);
      g.beginPath();
      g.ellipse(x, y, Math.max(1, e.major * this.scale), Math.max(1, e.minor * this.scale), -e.turn, 0, 2 * Math.PI);
      g.fillStyle = region(alpha); g.fill();
      g.strokeStyle = region(alpha + 0.25); g.lineWidth = 1; g.stroke();
    }
    const trail = records.filter((r) => r.clock > record.clock - TRAIL_S && r.intent?.position);
    for (let i = 1; i < trail.length; i++) {
      if (trail[i].clock - trail[i - 1].clock > GAP_S) continue;
      const [ax, ay] = planar(trail[i - 1].intent.position), [bx, by] = planar(trail[i].intent.position);
      g.strokeStyle = region(0.15 + 0.75 * i / trail.length);
      g.lineWidth = 2.5;
      g.beginPath(); g.moveTo(this.x(ax), this.y(ay)); g.lineTo(this.x(bx), this.y(by)); g.stroke();
    }
    if (velocity && !dimmed) this.drawArrow(g, x, y, planar(velocity), colours);
    g.fillStyle = dimmed ? colours.soft : colours.ink;
    g.strokeStyle = colours.panel;
    g.lineWidth = 2;
    g.beginPath(); g.arc(x, y, 6.5, 0, 2 * Math.PI); g.fill(); g.stroke();
  }

  // Where the movement would be a tenth of a second later.
  drawArrow(g, x, y, [vx, vy], colours) {
    const dx = vx * this.scale * 0.1, dy = -vy * this.scale * 0.1, length = Math.hypot(dx, dy);
    if (length < 9) return;
    const ux = dx / length, uy = dy / length, ex = x + dx, ey = y + dy;
    g.strokeStyle = g.fillStyle = colours.ink;
    g.lineWidth = 2.5;
    g.beginPath(); g.moveTo(x, y); g.lineTo(ex - 6 * ux, ey - 6 * uy); g.stroke();
    g.beginPath(); g.moveTo(ex, ey); g.lineTo(ex - 10 * ux + 5 * uy, ey - 10 * uy - 5 * ux);
    g.lineTo(ex - 10 * ux - 5 * uy, ey - 10 * uy + 5 * ux); g.fill();
  }

  // Which target a click or a finger meant; -1 = none.
  hit(x, y) {
    let best = -1, nearest = Infinity;
    this.discs.forEach((d, i) => {
      const distance = Math.hypot(d.x - x, d.y - y);
      if (distance < Math.max(22, d.radius * 1.3) && distance < nearest) { best = i; nearest = distance; }
    });
    return best;
  }
}
