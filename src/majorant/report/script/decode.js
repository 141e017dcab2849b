// Numbers, as the page carries them and as it writes them.

const ARRAYS = { f32: Float32Array, i16: Int16Array, u16: Uint16Array, u8: Uint8Array };

/** Decode base64 of little-endian numbers; with a scale, into floats. */
function decode(block) {
  if (!block) return null;
  const bytes = Uint8Array.from(atob(block.base64), (c) => c.charCodeAt(0));
  const raw = new ARRAYS[block.type](bytes.buffer);
  if (block.scale === undefined) return raw;
  const out = new Float32Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw[i] * block.scale;
  return out;
}

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** Write a number with so many significant digits and a true minus sign, as the page does. */
function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size >= Math.max(5, digits) || size < -3) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const raised = [...String(Number(power))].map((c) => RAISED[c]).join("");
    return `${mantissa} × 10${raised}`.replace("-", "−");
  }
  return value.toFixed(Math.max(0, digits - 1 - size)).replace("-", "−");
}

/** Write a time with its unit, to the millisecond. */
function instant(time, clock) {
  const text = (time * clock.factor).toFixed(clock.label === "ms" ? 0 : 3);
  return `${Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−")}\u202f${clock.label}`;
}

/** Round steps that divide a range into at most so many parts. */
function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}
