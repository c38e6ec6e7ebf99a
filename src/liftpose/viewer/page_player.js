// Part 3 of the page's script: what buttons, mouse, fingers and keys do.

// ------------------------------------------------------------------------------------------------------------ player
const controls = { scrub: element("scrub"), frame: element("frame"), time: element("time"), error: element("error") };
const digits = String(frames - 1).length;
let waiting = false;
let drawn = -1;

function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(paint);
}

function paint(now) {
  waiting = false;
  if (state.playing) advance(now);
  const at = frame();
  if (at !== drawn) {
    drawn = at;
    controls.scrub.value = String(at);
    const time = `${(at / data.fps).toFixed(2)} s`;
    const error = errors ? `${errors[at].toFixed(1)} mm` : "";
    controls.frame.textContent = pictures.length ? `person ${at + 1} / ${frames}` : `frame ${String(at).padStart(digits, "0")} / ${frames - 1}`;
    controls.time.textContent = pictures.length ? "" : time;
    if (pictures.length) element("flat-note").textContent = pictures[at].name;
    controls.error.textContent = error;
    controls.scrub.setAttribute("aria-valuetext", [`frame ${at}`, time, error].filter(Boolean).join(", "));
  }
  drawSpace();
  drawFlat();
  drawCurve();
  if (state.playing) draw();
}

let before = 0;

function advance(now) {
  const passed = Math.min(0.25, Math.max(0, (now - before) / 1000));
  before = now;
  state.position += passed * data.fps * state.speed;
  if (state.position < frames) return;
  if (element("loop").checked && frames > 1) {
    state.position %= frames;
  } else {
    state.position = frames - 1;
    play(false);
  }
}

function play(start) {
  state.playing = start;
  if (start && frame() >= frames - 1) state.position = 0;
  before = performance.now();
  element("play").setAttribute("aria-label", start ? "Pause" : "Play");
  element("play-shape").setAttribute("d", start ? "M4 2.5h3v11H4zM9.5 2.5h3v11h-3z" : "M4 2.5v11l9-5.5z");
  draw();
}

function seek(number) {
  state.position = Math.max(0, Math.min(frames - 1, Math.round(number)));
  draw();
}

function step(count) {
  play(false);
  seek(frame() + count);
}

element("play").addEventListener("click", () => play(!state.playing));
element("back").addEventListener("click", () => step(-1));
element("forward").addEventListener("click", () => step(1));
controls.scrub.addEventListener("input", () => seek(Number(controls.scrub.value)));
element("speed").addEventListener("change", (event) => { state.speed = Number(event.target.value); });
element("follow").addEventListener("change", (event) => { state.follow = event.target.checked; draw(); });

function lay(beside) {
  state.beside = beside;
  element("together").setAttribute("aria-pressed", String(!beside));
  element("beside").setAttribute("aria-pressed", String(beside));
  element("ghost-legend").hidden = beside || !(prediction && truth);
  draw();
}

element("together").addEventListener("click", () => lay(false));
element("beside").addEventListener("click", () => lay(true));

function look(azimuth, elevation) {
  Object.assign(eye, { azimuth, elevation, distance: home.distance });
  draw();
}

element("from-camera").addEventListener("click", () => look(data.azimuth, Math.PI / 36));
element("from-side").addEventListener("click", () => look(data.azimuth + Math.PI / 2, Math.PI / 36));
element("from-top").addEventListener("click", () => look(data.azimuth, Math.PI / 2));

function orbit(right, up) {
  eye.azimuth -= right;
  eye.elevation = Math.max(-0.05, Math.min(Math.PI / 2, eye.elevation + up));
  draw();
}

function zoom(factor) {
  eye.distance = Math.max(0.35 * home.distance, Math.min(4 * home.distance, eye.distance * factor));
  draw();
}

// ---------------------------------------------------------------------------------------------- mouse, touch, keyboard
const fingers = new Map();
const spread = () => {
  const [one, other] = [...fingers.values()];
  return Math.hypot(one.x - other.x, one.y - other.y);
};

space.canvas.addEventListener("pointerdown", (event) => {
  space.canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
space.canvas.addEventListener("pointermove", (event) => {
  const finger = fingers.get(event.pointerId);
  if (!finger) return;
  const wide = fingers.size === 2 ? spread() : 0;
  const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
  Object.assign(finger, { x: event.clientX, y: event.clientY });
  if (fingers.size === 1) orbit(0.008 * dx, 0.008 * dy);
  else if (fingers.size === 2 && wide) zoom(wide / Math.max(spread(), 1));
});
for (const end of ["pointerup", "pointercancel"]) {
  space.canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
}
space.canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(Math.max(-0.5, Math.min(0.5, 0.0015 * event.deltaY))));
}, { passive: false });

function seekAt(event) {
  const box = curve.canvas.getBoundingClientRect();
  const share = (event.clientX - box.left - margin.left) / (box.width - margin.left - margin.right);
  seek(share * (frames - 1));
}

curve.canvas.addEventListener("pointerdown", (event) => {
  curve.canvas.setPointerCapture(event.pointerId);
  seekAt(event);
});
curve.canvas.addEventListener("pointermove", (event) => {
  if (event.buttons) seekAt(event);
});

const keys = {
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  Home: () => seek(0),
  End: () => seek(frames - 1),
  a: () => orbit(0.1, 0),
  d: () => orbit(-0.1, 0),
  w: () => orbit(0, 0.1),
  s: () => orbit(0, -0.1),
  "+": () => zoom(0.9),
  "=": () => zoom(0.9),
  "-": () => zoom(1 / 0.9),
  " ": () => { if (!pictures.length) play(!state.playing); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const kind = event.target.tagName;
  // Lists use the keys themselves, and the space bar presses the button or box that has the focus.
  if (kind === "SELECT" || (event.key === " " && (kind === "BUTTON" || event.target.type === "checkbox"))) return;
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
});

// ------------------------------------------------------------------------------------------------------------- start
const main = document.querySelector("main");
const parts = { space: roots, flat: keypoints, curve: errors };
for (const [name, there] of Object.entries(parts)) {
  element(`${name}-panel`).hidden = !there;
  main.classList.toggle(`no-${name}`, !there);
}
controls.scrub.max = String(frames - 1);
if (data.imageSize) element("flat-note").textContent = `picture of ${data.imageSize.join(" × ")} pixels`;
if (pictures.length) {
  element("flat-heading").textContent = "Picture";
  flat.canvas.setAttribute("aria-label", "The picture with the joints that were seen in it.");
  for (const id of ["buttons", "scrub", "now"]) element(id).hidden = frames === 1;
  for (const id of ["play", "speed-label", "loop-label"]) element(id).hidden = true;
  for (const id of ["keys-play", frames === 1 ? "keys-step" : ""].filter(Boolean)) element(id).hidden = true;
}
element("layout").hidden = !(prediction && truth);
measure();
measureKeypoints();
measureErrors();
element("follow").checked = state.follow;
element("follow-label").hidden = !state.follow;
readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); draw(); });
lay(false);
