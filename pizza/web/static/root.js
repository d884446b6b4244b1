// The path below which a proxy has the pages; empty at the root of its site.

export const ROOT = document.documentElement.dataset.root;
