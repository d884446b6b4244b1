// The path prefix of the site; empty at the root.

export const ROOT = document.documentElement.dataset.root;
