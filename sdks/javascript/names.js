// snake_case on the wire, camelCase on the outside. What lies below `attributes` has names of the caller's own.

export const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
export const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export function renamed(value, rename) {
  if (Array.isArray(value)) return value.map((one) => renamed(one, rename));
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([name, inner]) => {
    return [rename(name), name === "attributes" ? inner : renamed(inner, rename)];
  });
  return Object.fromEntries(entries);
}
