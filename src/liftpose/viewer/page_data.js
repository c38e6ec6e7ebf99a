// Part 1 of the page's script: the poses, what is shown of them, and sheets to draw on.

// ------------------------------------------------------------------------------------------------------------- data
const MISSING = -32768;
const TILE = 0.5; // metres between the lines of the floor
const NEAREST = 0.4; // metres: what is closer to the eye is not drawn
const element = (id) => document.getElementById(id);
const data = JSON.parse(element("poses").textContent);
const frames = data.frames;
const bonesOf = (parents) => parents.map((parent, joint) => [parent, joint]).filter(([parent]) => parent >= 0);
const bones = bonesOf(data.parents);
const keypointBones = bonesOf(data.keypointParents); // a detector may know other joints than the poses have

function bytes(text) {
  const raw = atob(text);
  const array = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) array[i] = raw.charCodeAt(i);
  return array.buffer;
}

// Whole numbers of 16 bits times a scale, as many per frame as joints and channels.
function unpack(packed) {
  if (!packed) return null;
  const whole = new Int16Array(bytes(packed.data));
  const values = new Float32Array(whole.length);
  for (let i = 0; i < whole.length; i += 1) {
    values[i] = whole[i] === MISSING ? NaN : whole[i] * packed.scale + packed.offset;
  }
  return values;
}

const keypoints = unpack(data.keypoints);
const prediction = unpack(data.prediction);
const truth = unpack(data.truth);
const roots = data.roots ? new Float32Array(bytes(data.roots)) : null;
const errors = data.errors ? new Float32Array(bytes(data.errors)) : null;
const joints = data.parents.length;
const pictures = (data.pictures || []).map((picture) => {
  const image = new Image();
  image.addEventListener("load", () => draw());
  image.src = picture.source;
  return { ...picture, image };
});

// ------------------------------------------------------------------------------------------------------------ state
const state = { position: 0, playing: false, speed: 1, beside: false, follow: false };
const home = { azimuth: data.azimuth + Math.PI / 6, elevation: Math.PI / 12, distance: 4.5 };
const eye = { ...home };
const frame = () => Math.min(frames - 1, Math.floor(state.position + 1e-6));
let colours = {};

function readColours() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const own = dark ? data.colours.dark : data.colours.light;
  for (const [name, value] of Object.entries(own)) document.documentElement.style.setProperty(`--${name}`, value);
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "panel", "edge", "floor", "shadow", "ink", "muted", "accent"];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  Object.assign(colours, own);
}

// ---------------------------------------------------------------------------------------------------------- canvases
class Sheet {
  constructor(id) {
    this.canvas = element(id);
    this.pen = this.canvas.getContext("2d");
    this.width = this.height = 0;
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const box = this.canvas.getBoundingClientRect();
    this.width = box.width;
    this.height = box.height;
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw();
  }

  clear() {
    this.pen.clearRect(0, 0, this.width, this.height);
  }

  line(x0, y0, x1, y1, colour, width) {
    this.pen.strokeStyle = colour;
    this.pen.lineWidth = width;
    this.pen.beginPath();
    this.pen.moveTo(x0, y0);
    this.pen.lineTo(x1, y1);
    this.pen.stroke();
  }

  words(text, x, y, colour, align = "left", bold = false) {
    this.pen.fillStyle = colour;
    this.pen.textAlign = align;
    this.pen.font = `${bold ? "600 " : ""}12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`;
    this.pen.fillText(text, x, y);
  }
}

const space = new Sheet("space");
const flat = new Sheet("flat");
const curve = new Sheet("curve");
