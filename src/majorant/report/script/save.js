// The present view as one picture: the cortex, the slices, the head, and what they show.

const [SHEET, ROOM, SHARP] = [1000, 24, 2]; // pixels of CSS across, around, and per pixel

/** Draw what an explorer shows now; returns a canvas. */
function picture(explorer) {
  const { root, state, data, times } = explorer;
  const style = getComputedStyle(root);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const stage = explorer.scene ? explorer.scene.canvas : null;
  const heads = explorer.headMap ? explorer.all("head") : [];
  const inner = SHEET - 2 * ROOM;
  const tall = stage ? Math.round((inner * stage.height) / stage.width) : 0;
  const slices = Object.values(explorer.slices.canvases);
  const across = slices.reduce((sum, canvas) => sum + canvas.width / canvas.height, 0);
  const row = Math.round((inner - 2 * ROOM) / across);
  const disc = heads.length ? 120 : 0;
  const sheet = document.createElement("canvas");
  sheet.width = SHARP * SHEET;
  sheet.height = SHARP * (96 + tall + ROOM + row + ROOM + Math.max(76, disc + 28) + 40);
  const pen = sheet.getContext("2d");
  pen.scale(SHARP, SHARP);
  pen.fillStyle = colour("paper");
  pen.fillRect(0, 0, SHEET, sheet.height);
  const write = (text, x, y, font, ink = "ink") => {
    pen.fillStyle = colour(ink);
    pen.font = `${font} system-ui, sans-serif`;
    pen.fillText(text, x, y, SHEET - x - ROOM);
  };
  const { place, mni } = data.regions[state.region];
  write(document.title, ROOM, 34, "400 15px", "muted");
  const at = mni.map((v) => String(Math.round(v)).replace("-", "−")).join(", ");
  const says = `${instant(times[state.sample], data.clock)}: ${place}, MNI ${at}\u202fmm, ${explorer.part("value").textContent}`;
  write(says, ROOM, 66, "650 20px");
  let y = 84;
  if (stage) pen.drawImage(stage, ROOM, y, inner, tall);
  y += tall + ROOM;
  let x = ROOM;
  for (const canvas of slices) {
    const width = (row * canvas.width) / canvas.height;
    pen.drawImage(canvas, x, y, width, row);
    x += width + ROOM;
  }
  y += row + ROOM;
  bar(explorer, pen, ROOM, y + 8, write);
  heads.forEach((canvas, k) => {
    const left = SHEET - ROOM - (heads.length - k) * (disc + 12);
    pen.save();
    pen.beginPath();
    pen.arc(left + disc / 2, y + disc / 2, 0.41 * disc, 0, 2 * Math.PI);
    pen.clip();
    pen.drawImage(canvas, left + 0.09 * disc, y + 0.09 * disc, 0.82 * disc, 0.82 * disc);
    pen.restore();
    pen.strokeStyle = colour("ink");
    pen.stroke();
    pen.textAlign = "center";
    write(canvas.dataset.head, left + disc / 2, y + disc + 10, "400 13px", "muted");
    pen.textAlign = "left";
  });
  const [made] = /^Made by \S+ \S+/.exec(document.querySelector("footer").textContent) || [""];
  write(made, ROOM, sheet.height / SHARP - 14, "400 12px", "muted");
  return sheet;
}

/** The colour bar with its ends, grey where the threshold hides the map. */
function bar(explorer, pen, x, y, write) {
  const { limit, threshold, warm, cold } = explorer.scales[explorer.state.map];
  const veil = getComputedStyle(explorer.root).getPropertyValue("--veil").trim();
  const wide = 360;
  for (let i = 0; i < wide; i++) {
    const share = cold ? (2 * i) / (wide - 1) - 1 : i / (wide - 1);
    const at = 3 * Math.round(Math.abs(share) * (STEPS - 1));
    const table = share < 0 ? cold : warm;
    pen.fillStyle = Math.abs(share) < threshold ? veil : `rgb(${table.slice(at, at + 3).join(" ")})`;
    pen.fillRect(x + i, y, 1.5, 16);
  }
  const text = (name) => explorer.part(name).textContent;
  write(text("low"), x, y + 34, "400 13px");
  write(text("middle"), x + wide / 2 - 4, y + 34, "400 13px");
  pen.textAlign = "right";
  write(text("high"), x + wide, y + 34, "400 13px");
  pen.textAlign = "left";
  write(text("axis"), x, y + 54, "400 13px", "muted");
}

/** Hand the picture over as a file, without leaving the page. */
function save(explorer) {
  picture(explorer).toBlob((blob) => {
    const link = document.createElement("a");
    const when = instant(explorer.times[explorer.state.sample], explorer.data.clock);
    const name = `${document.title} ${when}`.normalize("NFKD").replace(/−/g, "-");
    link.download = `${name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 90)}.png`;
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}
