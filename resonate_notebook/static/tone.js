/* Light or dark by the luminance of the ground we stand on, not by a theme's name: every host paints it, no two agree on
 * names. Where JupyterLab's variables paint our own ground, that one counts. */

export function toneOf(element) {
  const themed = getComputedStyle(element).getPropertyValue("--jp-layout-color1").trim();
  for (let at = themed ? element : element.parentNode; at; at = at.parentNode ?? at.host) {
    if (!(at instanceof Element)) continue;
    const text = getComputedStyle(at).backgroundColor, scale = text.startsWith("rgb") ? 255 : 1;
    const [red, green, blue, alpha = 1] = (text.match(/[\d.]+(?:e-?\d+)?/g) ?? []).map(Number);
    if (blue === undefined || alpha < 0.5) continue;
    const linear = part => part / scale <= 0.04045 ? part / scale / 12.92 : ((part / scale + 0.055) / 1.055) ** 2.4;
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) < 0.35 ? "dark" : "light";
  }
  return getComputedStyle(document.documentElement).colorScheme === "dark" ? "dark" : "light";
}
