// Part 2 of the page's script: the pose in the room, the keypoints in their picture, the error over time.

// --------------------------------------------------------------------------------------------------------------- 3D
// Where the picture's middle is on the floor in every frame, along the path of the root: smoothed over a second.
function smoothPath() {
  const path = new Float32Array(2 * frames);
  const reach = Math.min(Math.round(data.fps / 2), frames - 1);
  for (const axis of [0, 1]) {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < reach; i += 1) { sum += roots[3 * i + axis]; count += 1; }
    for (let i = 0; i < frames; i += 1) {
      if (i + reach < frames) { sum += roots[3 * (i + reach) + axis]; count += 1; }
      if (i - reach - 1 >= 0) { sum -= roots[3 * (i - reach - 1) + axis]; count -= 1; }
      path[2 * i + axis] = sum / count;
    }
  }
  return path;
}

const path = roots ? smoothPath() : null;
const middle = { x: 0, y: 0, reach: 1, height: 1.7 };

function measure() {
  if (!roots) return;
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (let i = 0; i < frames; i += 1) {
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], roots[3 * i + axis]);
      high[axis] = Math.max(high[axis], roots[3 * i + axis]);
    }
  }
  middle.x = (low[0] + high[0]) / 2;
  middle.y = (low[1] + high[1]) / 2;
  middle.reach = Math.max(high[0] - low[0], high[1] - low[1]);
  state.follow = middle.reach > 1;
  const shown = truth || prediction;
  let top = 0;
  for (let i = 0; i < frames; i += 1) {
    for (let j = 0; j < joints; j += 1) {
      top = Math.max(top, shown[3 * (i * joints + j) + 2] + roots[3 * i + 2]);
    }
  }
  middle.height = Math.min(Math.max(top, 1), 3);
  home.distance = eye.distance = 2.5 * Math.max(middle.height, 1.7);
}

function viewer(left, width) {
  const at = frame();
  const target = state.follow ? [path[2 * at], path[2 * at + 1]] : [middle.x, middle.y];
  const wide = state.follow ? 0 : middle.reach;
  const distance = eye.distance + wide;
  const [ca, sa] = [Math.cos(eye.azimuth), Math.sin(eye.azimuth)];
  const [ce, se] = [Math.cos(eye.elevation), Math.sin(eye.elevation)];
  const focal = 1.95 * Math.min(space.height, 1.25 * width);
  const height = 0.49 * middle.height;
  return {
    target,
    focal,
    // Pixels, and the distance in front of the eye in metres.
    see(x, y, z) {
      const dx = x - target[0];
      const dy = y - target[1];
      const dz = z - height;
      const ahead = ca * dy - sa * dx;
      const depth = distance + ce * ahead - se * dz;
      const scale = focal / Math.max(depth, NEAREST);
      return [
        left + width / 2 + scale * (ca * dx + sa * dy),
        space.height / 2 - scale * (ce * dz + se * ahead),
        depth,
      ];
    },
  };
}

function floorLines(view) {
  const radius = Math.max(3, 0.75 * eye.distance + (state.follow ? 0 : middle.reach / 2));
  const pen = space.pen;
  pen.strokeStyle = colours.floor;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const axis of [0, 1]) {
    const [centre, along] = [view.target[axis], view.target[1 - axis]];
    for (let k = Math.ceil((centre - radius) / TILE); k <= Math.floor((centre + radius) / TILE); k += 1) {
      const reach = Math.sqrt(Math.max(0, radius ** 2 - (k * TILE - centre) ** 2));
      const ends = [along - reach, along + reach].map((b) => (axis ? view.see(b, k * TILE, 0) : view.see(k * TILE, b, 0)));
      if (ends[0][2] < NEAREST || ends[1][2] < NEAREST) continue;
      pen.moveTo(ends[0][0], ends[0][1]);
      pen.lineTo(ends[1][0], ends[1][1]);
    }
  }
  pen.stroke();
}

function jointPlaces(view, poses, onFloor) {
  const at = frame();
  const places = [];
  for (let j = 0; j < joints; j += 1) {
    const i = 3 * (at * joints + j);
    const z = onFloor ? 0 : poses[i + 2] + roots[3 * at + 2];
    places.push(view.see(poses[i] + roots[3 * at], poses[i + 1] + roots[3 * at + 1], z));
  }
  return places;
}

function drawShadow(view, poses) {
  const places = jointPlaces(view, poses, true);
  for (const [a, b] of bones) {
    const width = (0.046 * view.focal) / Math.max(places[b][2], NEAREST);
    space.line(places[a][0], places[a][1], places[b][0], places[b][1], colours.shadow, width);
  }
}

function drawPerson(view, poses, ghost) {
  const places = jointPlaces(view, poses, false);
  const order = bones.map(([a, b]) => [a, b, (places[a][2] + places[b][2]) / 2]).sort((one, other) => other[2] - one[2]);
  for (const [a, b, depth] of order) {
    if (depth < NEAREST) continue;
    const [p, q] = [places[a], places[b]];
    const width = (0.036 * view.focal) / depth;
    if (ghost) {
      space.line(p[0], p[1], q[0], q[1], colours.ghost, 1.8 * width);
      continue;
    }
    if (!state.overlaid) {
      const cut = (s) => [p[0] + s * (q[0] - p[0]), p[1] + s * (q[1] - p[1])];
      const [m, n] = [cut(0.15), cut(0.85)];
      space.line(m[0], m[1], n[0], n[1], colours.panel, 1.7 * width);
    }
    space.line(p[0], p[1], q[0], q[1], colours[data.sides[b]], width);
  }
}

function drawSpace() {
  if (!space.width || !roots) return;
  space.clear();
  const pen = space.pen;
  pen.lineCap = "round";
  const both = prediction && truth;
  const split = both && state.beside;
  const views = split
    ? [["Prediction", prediction, null, 0], ["Truth", truth, null, 1]]
    : [[both ? "" : prediction ? "Prediction" : "Truth", prediction || truth, both ? truth : null, 0]];
  const width = space.width / views.length;
  state.overlaid = both && !state.beside;
  for (const [name, poses, under, place] of views) {
    const view = viewer(place * width, width);
    pen.save();
    pen.beginPath();
    pen.rect(place * width, 0, width, space.height);
    pen.clip();
    floorLines(view);
    drawShadow(view, poses);
    if (under) drawPerson(view, under, true);
    drawPerson(view, poses, false);
    pen.restore();
    if (split && place) space.line(width, 0, width, space.height, colours.edge, 1);
    space.words(name, place * width + 12, 16, colours.ink, "left", true);
  }
}

// --------------------------------------------------------------------------------------------------------------- 2D
const shown = { left: 0, top: 0, width: 1, height: 1 };

function measureKeypoints() {
  if (!keypoints) return;
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < keypoints.length; i += 2) {
    const [x, y] = [keypoints[i], keypoints[i + 1]];
    if (Number.isNaN(x)) continue;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  if (left > right) return;
  const [width, height] = [Math.max(1, 1.2 * (right - left)), Math.max(1, 1.2 * (bottom - top))];
  Object.assign(shown, { left: (left + right - width) / 2, top: (top + bottom - height) / 2, width, height });
}

function drawFlat() {
  if (!flat.width || !keypoints) return;
  flat.clear();
  const picture = pictures[frame()];
  if (picture) {
    const [left, top, right, bottom] = picture.place;
    Object.assign(shown, { left, top, width: right - left, height: bottom - top });
  }
  const scale = Math.min(flat.width / shown.width, flat.height / shown.height);
  const x0 = (flat.width - scale * shown.width) / 2 - scale * shown.left;
  const y0 = (flat.height - scale * shown.height) / 2 - scale * shown.top;
  if (data.imageSize) {
    flat.pen.strokeStyle = colours.edge;
    flat.pen.lineWidth = 1;
    flat.pen.strokeRect(x0 - scale / 2, y0 - scale / 2, scale * data.imageSize[0], scale * data.imageSize[1]);
  }
  if (picture && picture.image.complete && picture.image.naturalWidth) {
    flat.pen.imageSmoothingQuality = "high";
    flat.pen.drawImage(picture.image, x0 + scale * shown.left, y0 + scale * shown.top, scale * shown.width, scale * shown.height);
    const [left, top, right, bottom] = picture.box;
    flat.pen.setLineDash([6, 5]);
    for (const [colour, width] of [["#000000", 3], ["#ffffff", 1.5]]) {
      flat.pen.strokeStyle = colour;
      flat.pen.lineWidth = width;
      flat.pen.strokeRect(x0 + scale * left, y0 + scale * top, scale * (right - left), scale * (bottom - top));
    }
    flat.pen.setLineDash([]);
  }
  flat.pen.lineCap = "round";
  const thick = Math.max(2.5, Math.min(flat.width, flat.height) / (picture ? 110 : 75));
  const at = 2 * data.keypointParents.length * frame();
  for (const [a, b] of keypointBones) {
    const [i, j] = [at + 2 * a, at + 2 * b];
    if (Number.isNaN(keypoints[i]) || Number.isNaN(keypoints[j])) continue;
    const ends = [keypoints[i] * scale + x0, keypoints[i + 1] * scale + y0, keypoints[j] * scale + x0, keypoints[j + 1] * scale + y0];
    if (picture) flat.line(...ends, "#ffffff", 1.8 * thick); // a rim, so that every bone is seen on any picture
    flat.line(...ends, (picture ? data.colours.light : colours)[data.keypointSides[b]], thick);
  }
}

// ------------------------------------------------------------------------------------------------------ error curve
const margin = { left: 46, right: 14, top: 8, bottom: 24 };
let statistics = null;

function measureErrors() {
  if (!errors) return;
  let [sum, low, high] = [0, Infinity, 0];
  for (const value of errors) {
    sum += value;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  statistics = { mean: sum / frames, low, high };
  const text = `mean ${statistics.mean.toFixed(1)} mm, from ${low.toFixed(1)} to ${high.toFixed(1)} mm`;
  element("curve-note").textContent = `${text}; click or drag to go to a frame`;
  curve.canvas.setAttribute("aria-label", `Error over time: ${text}.`);
}

function niceStep(span, count) {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}

function drawCurve() {
  if (!curve.width || !errors) return;
  curve.clear();
  const pen = curve.pen;
  const [width, height] = [curve.width - margin.left - margin.right, curve.height - margin.top - margin.bottom];
  const top = 1.08 * Math.max(statistics.high, 1);
  const last = Math.max(frames - 1, 1);
  const x = (i) => margin.left + (width * i) / last;
  const y = (value) => margin.top + height * (1 - value / top);
  const step = niceStep(top, Math.max(2, height / 26));
  for (let value = 0; value <= top; value += step) {
    curve.line(margin.left, y(value), margin.left + width, y(value), colours.edge, 1);
    curve.words(value ? String(Math.round(value)) : "0 mm", margin.left - 6, y(value) + 4, colours.muted, "right");
  }
  const duration = last / data.fps;
  const seconds = niceStep(duration, Math.max(2, width / 90));
  const digits = Math.max(0, -Math.floor(Math.log10(seconds) + 1e-9));
  for (let time = 0; time <= duration + 1e-9; time += seconds) {
    const place = x(time * data.fps);
    curve.words(`${time.toFixed(digits)} s`, place, curve.height - 7, colours.muted, time && place > margin.left + width - 20 ? "right" : time ? "center" : "left");
  }
  pen.setLineDash([5, 4]);
  curve.line(margin.left, y(statistics.mean), margin.left + width, y(statistics.mean), colours.muted, 1);
  pen.setLineDash([]);
  // Of the frames that share a column of pixels, the smallest and the largest error are drawn.
  const block = Math.max(1, Math.floor(frames / (2 * width)));
  pen.beginPath();
  for (let i = 0; i < frames; i += block) {
    let [low, high] = [errors[i], errors[i]];
    for (let j = i; j < Math.min(i + block, frames); j += 1) {
      low = Math.min(low, errors[j]);
      high = Math.max(high, errors[j]);
    }
    pen.lineTo(x(i), y(low));
    if (block > 1) pen.lineTo(x(i), y(high));
  }
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 1.6;
  pen.lineJoin = "round";
  pen.stroke();
  const at = frame();
  curve.line(x(at), margin.top, x(at), margin.top + height, colours.ink, 1.2);
  pen.fillStyle = colours.ink;
  pen.beginPath();
  pen.arc(x(at), y(errors[at]), 4, 0, 2 * Math.PI);
  pen.fill();
}
