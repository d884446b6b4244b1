// Text from users.

/** Wrap text so that its direction does not affect the text around it. */
export function isolated(text) {
  const found = document.createElement("bdi");
  found.textContent = text;
  return found;
}
