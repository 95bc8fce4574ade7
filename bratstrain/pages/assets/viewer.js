"use strict";
// The case viewer: sheets of planes (data URIs in #content) are drawn onto the canvases.
(() => {
  const ZOOM = 3; // canvas pixels for each voxel, so that outlines are finer than voxels
  const OUTLINE = "#ffffff";
  // Dark to bright, in equal steps of entropy; a reader of any colour vision sees the brightness.
  const RAMP = [[87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
  const content = JSON.parse(document.getElementById("content").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (name) => {
    const hex = style(name);
    return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  };
  const grouped = (n) => n.toLocaleString("en-US");

  async function picture(uri) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    return image;
  }

  // Values of every plane of a sheet, one byte a voxel, plane after plane.
  async function values(uri, view, step) {
    const image = await picture(uri);
    const [h, w] = view.size;
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const planes = view.planes.length;
    const out = new Uint8Array(planes * h * w);
    for (let s = 0; s < planes; s += 1) {
      const x = (s % view.columns) * w;
      const y = Math.floor(s / view.columns) * h;
      const pixels = context.getImageData(x, y, w, h).data;
      for (let i = 0; i < h * w; i += 1) {
        out[s * h * w + i] = Math.round(pixels[4 * i] / step);
      }
    }
    return out;
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      this.views = content.viewers[root.dataset.viewer];
      this.slider = root.querySelector("input[type=range]");
      this.status = root.querySelector("output");
      this.profile = root.querySelector(".profile");
      this.canvases = [...root.querySelectorAll("canvas[data-kind]")];
      this.errors = root.querySelector("input[name$=errors]");
      this.unsure = root.querySelector("input[name$=unsure]");
      this.select = root.querySelector("select[name$=case]");
      this.colours = [null, ...content.classes.map((_, k) => rgb(`--k${k + 1}`))];
      this.mistakes = { missed: rgb("--missed"), false: rgb("--false"), other: rgb("--other") };
      this.cache = new Map();
      this.turn = 0;
      this.bind();
      this.open();
    }

    chosen(name) {
      if (name === "case" && this.select) return Number(this.select.value);
      const found = this.root.querySelector(`input[name$="${name}"]:checked`);
      return found ? Number(found.value) : 0;
    }

    bind() {
      this.root.addEventListener("change", (event) => {
        const name = event.target.name || "";
        if (name.endsWith("case")) this.open();
        else if (name.endsWith("modality")) this.load();
        else if (name.endsWith("errors") || name.endsWith("unsure")) {
          const other = event.target === this.errors ? this.unsure : this.errors;
          if (other && event.target.checked) other.checked = false;
          this.draw();
        }
      });
      this.root.addEventListener("show-case", (event) => this.show(event.detail));
      for (const button of this.root.querySelectorAll("button[data-page]")) {
        button.addEventListener("click", () => this.show(this.chosen("case") + Number(button.dataset.page)));
      }
      this.slider.addEventListener("input", () => this.draw());
      for (const button of this.root.querySelectorAll("button[data-go]")) {
        button.addEventListener("click", () => this.go(button.dataset.go));
      }
      const again = () => this.ready && this.draw();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
      addEventListener("resize", again);
    }

    // Case of some place; beyond the last one comes the first.
    show(place) {
      const n = this.views.length;
      this.select.value = String((place + n) % n);
      this.open();
    }

    go(where) {
      if (where === "fullest") this.slider.value = String(this.fullest());
      else this.slider.value = String(Number(this.slider.value) + Number(where));
      this.draw();
    }

    fullest() {
      const [truth, ...others] = this.view.areas;
      const most = Math.max(...truth);
      if (most > 0) return truth.indexOf(most);
      const sums = truth.map((_, s) => others.reduce((sum, each) => sum + each[s], 0));
      const found = Math.max(...sums);
      return found > 0 ? sums.indexOf(found) : Math.floor(truth.length / 2);
    }

    // Take another case: its labels are unpacked once, its modalities when they are looked at.
    async open() {
      const turn = ++this.turn;
      const view = this.views[this.chosen("case")];
      const unpacked = await Promise.all(
        [view.truth, ...view.predicted].map((uri) => this.once(uri, () => values(uri, view, view.step))),
      );
      const entropy = view.entropy && (await this.once(view.entropy, () => values(view.entropy, view, 1)));
      if (turn !== this.turn) return;
      this.view = view;
      this.entropy = entropy;
      if (this.unsure) this.unsure.disabled = !entropy;
      this.root.dispatchEvent(new CustomEvent("case-shown", { bubbles: true, detail: view.case }));
      [this.truth, ...this.predicted] = unpacked;
      this.slider.max = String(view.planes.length - 1);
      this.slider.value = String(this.fullest());
      await this.load();
    }

    async load() {
      const turn = ++this.turn;
      const uri = this.view.images[this.chosen("modality")];
      const image = await this.once(uri, () => picture(uri));
      if (turn !== this.turn) return;
      this.image = image;
      this.ready = true;
      this.draw();
      this.root.dataset.ready = "yes";
    }

    once(key, make) {
      if (!this.cache.has(key)) this.cache.set(key, make());
      return this.cache.get(key);
    }

    plane(volume, s) {
      const [h, w] = this.view.size;
      return volume.subarray(s * h * w, (s + 1) * h * w);
    }

    draw() {
      if (!this.ready) return;
      const s = Number(this.slider.value);
      const truth = this.plane(this.truth, s);
      const predicted = this.predicted.map((each) => this.plane(each, s));
      const mistaken = Boolean(this.errors && this.errors.checked);
      const unsure = Boolean(this.unsure && this.unsure.checked && this.entropy);
      const mode = mistaken ? "errors" : unsure ? "unsure" : "classes";
      for (const canvas of this.canvases) {
        const label = predicted[Number(canvas.dataset.run || 0)];
        const context = this.background(canvas, s);
        const kind = mode !== "classes" && canvas.dataset.errors ? mode : canvas.dataset.kind;
        if (kind === "truth") this.paint(context, (i) => this.colours[truth[i]], 1);
        if (kind === "predicted") this.paint(context, (i) => this.colours[label[i]], 1);
        if (kind === "overlay") this.paint(context, (i) => this.colours[label[i]], 0.5);
        if (kind === "errors") this.paint(context, (i) => this.mistake(truth[i], label[i]), 0.9);
        if (kind === "unsure") this.paintEntropy(context, this.plane(this.entropy, s));
        if (["overlay", "errors", "unsure"].includes(kind)) this.outline(context, truth);
        if (kind === "original") this.sides(context);
        const caption = canvas.parentElement.querySelector("figcaption");
        if (canvas.dataset.errors) {
          const { errors, name } = canvas.dataset;
          caption.textContent = { errors, unsure: "Uncertainty", classes: name }[mode];
        }
      }
      for (const key of this.root.querySelectorAll("[data-when]")) {
        key.hidden = key.dataset.when !== mode;
      }
      this.tell(s, truth, predicted);
      this.trace(s);
    }

    // Black, then the grey plane; gives the context.
    background(canvas, s) {
      const view = this.view;
      const [h, w] = view.size;
      const width = w * ZOOM;
      const height = Math.round((h * ZOOM * view.spacing[1]) / view.spacing[0]);
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      const context = canvas.getContext("2d");
      const x = (s % view.columns) * w;
      const y = Math.floor(s / view.columns) * h;
      context.fillStyle = "#000000";
      context.fillRect(0, 0, width, height);
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.image, x, y, w, h, 0, 0, width, height);
      return context;
    }

    mistake(truth, label) {
      if (truth === label) return null;
      if (label === 0) return this.mistakes.missed;
      return truth === 0 ? this.mistakes.false : this.mistakes.other;
    }

    paint(context, colour, opacity) {
      const [h, w] = this.view.size;
      const pixels = new ImageData(w, h);
      for (let i = 0; i < h * w; i += 1) {
        const found = colour(i);
        if (found) pixels.data.set([...found, 255], 4 * i);
      }
      this.put(context, pixels, opacity);
    }

    // Entropy as colours of the ramp, the more opaque the higher.
    paintEntropy(context, entropy) {
      const [h, w] = this.view.size;
      const pixels = new ImageData(w, h);
      for (let i = 0; i < h * w; i += 1) {
        const place = (entropy[i] / 255) * (RAMP.length - 1);
        const low = Math.min(Math.floor(place), RAMP.length - 2);
        const mixed = RAMP[low].map((one, c) => one + (RAMP[low + 1][c] - one) * (place - low));
        pixels.data.set([...mixed, Math.min(255, entropy[i] * 3)], 4 * i);
      }
      this.put(context, pixels, 1);
    }

    // One pixel a voxel over what is drawn.
    put(context, pixels, opacity) {
      const small = new OffscreenCanvas(pixels.width, pixels.height);
      small.getContext("2d").putImageData(pixels, 0, 0);
      context.imageSmoothingEnabled = false;
      context.globalAlpha = opacity;
      context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
      context.globalAlpha = 1;
    }

    // Edges of voxels between tumour and what is none.
    outline(context, truth) {
      const [h, w] = this.view.size;
      const [dx, dy] = [context.canvas.width / w, context.canvas.height / h];
      const inside = (y, x) => y >= 0 && x >= 0 && y < h && x < w && truth[y * w + x] > 0;
      context.beginPath();
      for (let y = 0; y <= h; y += 1) {
        for (let x = 0; x <= w; x += 1) {
          const here = inside(y, x);
          if (here !== inside(y - 1, x)) {
            context.moveTo(x * dx, y * dy);
            context.lineTo((x + 1) * dx, y * dy);
          }
          if (here !== inside(y, x - 1)) {
            context.moveTo(x * dx, y * dy);
            context.lineTo(x * dx, (y + 1) * dy);
          }
        }
      }
      context.strokeStyle = OUTLINE;
      context.lineWidth = 1.6;
      context.stroke();
    }

    sides(context) {
      const { width, height } = context.canvas;
      context.fillStyle = "#ffffff";
      context.font = `${Math.max(12, Math.round(width / 18))}px sans-serif`;
      context.textBaseline = "middle";
      context.textAlign = "left";
      context.fillText("R", width * 0.02, height / 2);
      context.textAlign = "right";
      context.fillText("L", width * 0.98, height / 2);
    }

    tell(s, truth, predicted) {
      const view = this.view;
      const names = content.runs.length > 1 ? content.runs : ["predicted"];
      const said = predicted.map((label, r) => {
        let [missed, wrong, other] = [0, 0, 0];
        for (let i = 0; i < truth.length; i += 1) {
          if (truth[i] === label[i]) continue;
          if (label[i] === 0) missed += 1;
          else if (truth[i] === 0) wrong += 1;
          else other += 1;
        }
        const area = grouped(view.areas[r + 1][s]);
        return `${names[r]} ${area} (missed ${grouped(missed)}, false ${grouped(wrong)}, other class ${grouped(other)})`;
      });
      const where = `plane ${view.planes[s]} of 0 to ${view.depth - 1}`;
      const area = `tumour voxels: true ${grouped(view.areas[0][s])}`;
      this.status.textContent = `${view.case}, ${where}; ${area}, ${said.join(", ")}`;
      this.slider.setAttribute("aria-valuetext", where);
    }

    // Tumour area of each plane above the slider: truth filled, predictions as lines.
    trace(s) {
      const canvas = this.profile;
      const ratio = devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
      canvas.width = Math.max(1, Math.round(width));
      canvas.height = Math.max(1, Math.round(height));
      const context = canvas.getContext("2d");
      const areas = this.view.areas;
      const most = Math.max(1, ...areas.flat());
      const margin = 8 * ratio; // the slider's knob keeps its middle inside its track
      const last = Math.max(1, areas[0].length - 1);
      const x = (i) => margin + (i / last) * (width - 2 * margin);
      const y = (value) => height - 1 - (value / most) * (height - 4);
      const line = (values) => values.forEach((value, i) => context.lineTo(x(i), y(value)));
      context.beginPath();
      context.moveTo(x(0), height);
      line(areas[0]);
      context.lineTo(x(last), height);
      context.fillStyle = style("--line");
      context.fill();
      areas.slice(1).forEach((values, r) => {
        context.beginPath();
        line(values);
        context.strokeStyle = style(`--s${r % 6}`);
        context.lineWidth = 1.5 * ratio;
        context.stroke();
      });
      context.fillStyle = style("--ink");
      context.fillRect(x(s) - ratio / 2, 0, Math.max(1, ratio), height);
    }
  }

  for (const root of document.querySelectorAll("[data-viewer]")) new Viewer(root);
})();
