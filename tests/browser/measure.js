// What keeps some people from using a page as it is laid out: a list of sentences, empty for a good page.
() => {
  const found = [];
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return box.width > 1 && box.height > 1 && style.visibility === "visible" && !element.closest(".skip, .unseen, details:not([open]) > :not(summary)");
  };
  const name = (element) => `<${element.tagName.toLowerCase()}> ${(element.innerText || element.id || element.name || "").slice(0, 40)}`;

  // The page itself never scrolls sideways; wide tables do so in their own frame.
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} px wide in ${innerWidth}`);

  // Contrast, WCAG 2.2 AA: 4.5 for text, 3 for large text and for the edges of fields.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const [red, green, blue, alpha] = rgb(getComputedStyle(each).backgroundColor);
      if (alpha === 1) return [red, green, blue];
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const light = (colour) => {
    const [red, green, blue] = colour.map((part) => {
      const linear = part / 255;
      return linear <= 0.04045 ? linear / 12.92 : ((linear + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || !shown(element) || element.closest("option, datalist")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    const ratio = contrast(rgb(style.color).slice(0, 3), ground(element));
    if (ratio < (large ? 3 : 4.5)) found.push(`${name(element)} has a contrast of ${ratio.toFixed(2)}`);
  }
  for (const field of document.querySelectorAll("input:not([type=hidden], [type=radio]), select")) {
    if (!shown(field)) continue;
    const ratio = contrast(rgb(getComputedStyle(field).borderTopColor).slice(0, 3), ground(field.parentElement));
    if (ratio < 3) found.push(`the edge of ${name(field)} has a contrast of ${ratio.toFixed(2)}`);
  }

  // What is touched is at least 44 px high; links in the middle of a sentence are not meant.
  for (const element of document.querySelectorAll("input:not([type=hidden]), select, button, summary, nav a, .button, .links a, td.act a, td.figure a")) {
    if (!shown(element)) continue;
    const target = element.type === "radio" ? element.closest("label") : element;
    const height = target.getBoundingClientRect().height;
    if (height < 43.5) found.push(`${name(element)} is ${height} px high`);
  }
  return found;
}
