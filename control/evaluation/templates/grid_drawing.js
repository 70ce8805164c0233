// The grid on a canvas, for every page that shows one. Expects D, $, S and `allowed(i)`, percent of rating A that circuit i may
// carry; of a player's arrays only voltages, loadings and what is in service have to be there.
const INK = "#222", FAINT = "#767676", MISSING = -32768;
// Viridis: lightness rises all the way, so that a grey print keeps the order.
const STOPS = [[68,1,84],[72,40,120],[62,74,137],[49,104,142],[38,130,142],[31,158,137],[53,183,121],[109,205,89],[180,222,44],[253,231,37]];
const colourAt = u => {
  const x = Math.min(Math.max(u, 0), 1) * (STOPS.length - 1), i = Math.min(Math.floor(x), STOPS.length - 2), f = x - i;
  return "rgb(" + STOPS[i].map((c, k) => Math.round(c + (STOPS[i + 1][k] - c) * f)).join(",") + ")";
};
// Arrays come as differences of 16-bit integers along time, compressed; [column][interval].
const unpack = async a => {
  const raw = Uint8Array.from(atob(a.z), c => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const whole = new Int16Array(await new Response(stream).arrayBuffer()), T = D.n;
  const out = [];
  for (let k = 0; k < a.n; k++) {
    const row = new Float32Array(T);
    let sum = 0;
    for (let t = 0; t < T; t++) {
      sum = ((sum + whole[k * T + t] + 32768) & 65535) - 32768;
      row[t] = sum === MISSING ? NaN : sum * a.scale;
    }
    out.push(row);
  }
  return out;
};
for (const p of D.players) for (const name of Object.keys(p.arrays)) p[name] = await unpack(p.arrays[name]);

const fmt = (x, d = 1) => Number.isFinite(x) ? x.toFixed(d) : "–";

// The range of a colour scale is that of everything ever shown (a bus without voltage has no colour), so that it does not change while one looks.
const range = name => {
  let low = Infinity, high = -Infinity;
  for (const p of D.players) for (const row of p[name]) for (const x of row) { if (name === "vm" && x === 0) continue; if (x < low) low = x; if (x > high) high = x; }
  return [low, high];
};
const scales = {};
if (D.players[0].df) { const [low, high] = range("df"), most = Math.max(50, Math.abs(low), Math.abs(high));
  scales.df = {low: -most, high: most, middle: 0, unit: "mHz", words: "frequency deviation of the bus", digits: 1}; }
{ const [low, high] = range("vm"), most = Math.max(0.05, 1 - low, high - 1);
  scales.vm = {low: 1 - most, high: 1 + most, middle: 1, unit: "pu", words: "voltage of the bus", digits: 3}; }

// Drawing units of the case to pixels, the same in every map.
const xs = D.bus.x.concat(D.badge.x), ys = D.bus.y.concat(D.badge.y);
const box = {x0: Math.min(...xs), x1: Math.max(...xs), y0: Math.min(...ys), y1: Math.max(...ys)};
const margin = 1.6 * D.radius; box.x0 -= margin; box.x1 += margin; box.y0 -= margin; box.y1 += margin;
const maps = [];
const fit = (canvas, height) => {
  const w = canvas.clientWidth || 300, r = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * r) || canvas.height !== Math.round(height * r)) {
    canvas.width = Math.round(w * r); canvas.height = Math.round(height * r); canvas.style.height = height + "px";
  }
  const c = canvas.getContext("2d");
  c.setTransform(r, 0, 0, r, 0, 0); c.clearRect(0, 0, w, height);
  return [c, w];
};
const layoutOf = canvas => {
  const w = canvas.clientWidth || 300, k = w / (box.x1 - box.x0);
  return {k, h: Math.max(120, Math.round(k * (box.y1 - box.y0))), x: v => (v - box.x0) * k, y: v => (box.y1 - v) * k};
};
const drawMap = (canvas, p) => {
  const L = layoutOf(canvas), [c] = fit(canvas, L.h), t = S.t, scale = scales[S.colour];
  const B = D.branch, R = Math.max(2.5, D.radius * L.k * .8);
  for (let i = 0; i < B.from.length; i++) {
    const x0 = L.x(D.bus.x[B.from[i]]), y0 = L.y(D.bus.y[B.from[i]]), x1 = L.x(D.bus.x[B.to[i]]), y1 = L.y(D.bus.y[B.to[i]]);
    const length = Math.hypot(x1 - x0, y1 - y0) || 1, off = B.offset[i] * Math.min(5, R * .55);
    const dx = -(y1 - y0) / length * off, dy = (x1 - x0) / length * off;
    const on = p.on[i][t] > .5, load = Number.isFinite(p.loading[i][t]) ? p.loading[i][t] : 0, share = Math.min(Math.max(load / 100, 0), 1);
    const picked = S.chosen && S.chosen.kind === "branch" && S.chosen.at === i;
    c.beginPath(); c.moveTo(x0 + dx, y0 + dy); c.lineTo(x1 + dx, y1 + dy);
    c.setLineDash(on ? [] : [3, 4]);
    c.lineWidth = on ? .8 + 2.6 * share : .8;
    const g = Math.round(205 - 190 * share);
    c.strokeStyle = picked ? "#d55e00" : on ? (load > allowed(i) + 1e-6 ? "#7a0010" : `rgb(${g},${g},${g})`) : FAINT;
    if (picked) c.lineWidth += 2;
    c.stroke(); c.setLineDash([]);
    if (!on) cross(c, (x0 + x1) / 2 + dx, (y0 + y1) / 2 + dy, 5, INK);
  }
  const A = D.badge;
  for (let i = 0; i < A.x.length; i++) {
    const x = L.x(A.x[i]), y = L.y(A.y[i]), r = R * .62, kind = A.kind[i], row = A.row[i];
    const chosen = S.chosen && S.chosen.kind === "plant" && S.chosen.at === i;
    c.beginPath();
    if (kind === "bess") c.rect(x - r, y - r, 2 * r, 2 * r);
    else if (kind === "gas") { c.moveTo(x, y - r * 1.15); c.lineTo(x + r * 1.1, y + r * .85); c.lineTo(x - r * 1.1, y + r * .85); c.closePath(); }
    else if (kind === "dr") { c.moveTo(x, y - r * 1.25); c.lineTo(x + r * 1.25, y); c.lineTo(x, y + r * 1.25); c.lineTo(x - r * 1.25, y); c.closePath(); }
    else c.arc(x, y, r * (kind === "machine" ? .95 : .7), 0, 7);
    c.fillStyle = kind === "wind" || kind === "pv" ? "#e6e6e6" : "#fff"; c.fill();
    c.lineWidth = chosen ? 2.5 : .9; c.strokeStyle = chosen ? "#d55e00" : INK; c.stroke();
    if (kind === "bess" && p.charge) {
      const share = p.charge[D.battery[row]][t];
      if (share >= 0) { c.fillStyle = "#8a8a8a"; c.fillRect(x - r + 1, y + r - 1 - (2 * r - 2) * share, 2 * r - 2, (2 * r - 2) * share); }
    }
    if (p.plant && (kind === "bess" || kind === "gas" || kind === "dr")) {
      const v = p.plant[row][t] / D.resource.range[row];
      c.fillStyle = INK; const h = -v * R * 1.3;
      if (Number.isFinite(h)) c.fillRect(x + r + 1.5, y, 2.2, h);
    }
    if (kind === "machine" && !(p.running[row][t] > .5)) cross(c, x, y, r, INK);
  }
  for (let b = 0; b < D.bus.x.length; b++) {
    const x = L.x(D.bus.x[b]), y = L.y(D.bus.y[b]), v = p[S.colour][b][t], live = p.vm[b][t] > 0;
    if (!live) { cross(c, x, y, R * .8, INK); continue; }
    c.beginPath(); c.arc(x, y, R, 0, 7);
    c.fillStyle = colourAt((v - scale.low) / (scale.high - scale.low)); c.fill();
    const chosen = S.chosen && S.chosen.kind === "bus" && S.chosen.at === b;
    c.lineWidth = chosen ? 3 : .8; c.strokeStyle = chosen ? "#d55e00" : INK; c.stroke();
  }
};
const cross = (c, x, y, r, colour) => {
  c.beginPath(); c.moveTo(x - r, y - r); c.lineTo(x + r, y + r); c.moveTo(x - r, y + r); c.lineTo(x + r, y - r);
  c.lineWidth = 1.6; c.strokeStyle = colour; c.setLineDash([]); c.stroke();
};
const drawScale = () => {
  const canvas = $("scale"), [c, w] = fit(canvas, 31), s = scales[S.colour], x0 = 10, x1 = w - 10;
  for (let x = x0; x < x1; x++) { c.fillStyle = colourAt((x - x0) / (x1 - x0)); c.fillRect(x, 2, 1.5, 12); }
  c.strokeStyle = INK; c.lineWidth = .8; c.strokeRect(x0, 2, x1 - x0, 12);
  c.fillStyle = INK; c.font = "12px system-ui, sans-serif"; c.textBaseline = "top";
  for (const [u, align] of [[0, "left"], [.5, "center"], [1, "right"]]) {
    c.textAlign = align; c.fillText(fmt(s.low + u * (s.high - s.low), s.digits === 3 ? 2 : 0), x0 + u * (x1 - x0), 17);
  }
  $("scale-words").textContent = `${s.words} [${s.unit}]; the same scale in every map and at every moment`;
};

const nearest = (canvas, x, y) => {
  const L = layoutOf(canvas); let best = null, least = Math.max(9, D.radius * L.k * 1.1);
  D.bus.x.forEach((bx, i) => { const d = Math.hypot(L.x(bx) - x, L.y(D.bus.y[i]) - y); if (d < least) { least = d; best = {kind: "bus", at: i}; } });
  D.badge.x.forEach((bx, i) => { const d = Math.hypot(L.x(bx) - x, L.y(D.badge.y[i]) - y) * 1.01; if (d < least) { least = d; best = {kind: "plant", at: i}; } });
  if (best) return best;
  least = 6;
  D.branch.from.forEach((f, i) => {
    const x0 = L.x(D.bus.x[f]), y0 = L.y(D.bus.y[f]), dx = L.x(D.bus.x[D.branch.to[i]]) - x0, dy = L.y(D.bus.y[D.branch.to[i]]) - y0;
    const u = Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0), 1), d = Math.hypot(x0 + u * dx - x, y0 + u * dy - y);
    if (d < least) { least = d; best = {kind: "branch", at: i}; }
  });
  return best;
};
S.place = name => { const hit = names.get(name); if (!hit || !maps.length) return null; const L = layoutOf(maps[0].canvas);
  return hit.kind === "bus" ? [L.x(D.bus.x[hit.at]), L.y(D.bus.y[hit.at])] : hit.kind === "plant" ? [L.x(D.badge.x[hit.at]), L.y(D.badge.y[hit.at])] : null; };
const names = new Map();
D.bus.name.forEach((n, i) => names.set("bus " + n, {kind: "bus", at: i}));
D.badge.kind.forEach((k, i) => { const row = D.badge.row[i];
  names.set(k === "machine" ? D.machine.name[row] : k === "wind" || k === "pv" ? D.renewable.name[row] : D.resource.name[row], {kind: "plant", at: i}); });
D.branch.name.forEach((n, i) => names.set("circuit " + n, {kind: "branch", at: i}));
for (const n of names.keys()) { const o = document.createElement("option"); o.value = n; $("names").append(o); }
