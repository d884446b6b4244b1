// Text that other people have written.

/** Wrap text so that its direction changes nothing around it. */
export function isolated(text) {
  const found = document.createElement("bdi");
  found.textContent = text;
  return found;
}
