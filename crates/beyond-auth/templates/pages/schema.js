// What a schema of an OpenAPI 3.1 document says: references followed, parts put together, an example made.

const DEEPEST = 6;

/** A reader of the schemas of one document. */
export function reader(document) {
  const follow = (node) => {
    for (let hops = 0; node?.$ref && hops < 16; hops++) {
      const { $ref, ...beside } = node;
      const found = $ref.slice(2).split("/").reduce(
        (at, step) => at?.[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")], document);
      node = { title: $ref.split("/").pop(), ...found, ...beside };
    }
    return node ?? {};
  };

  // One flat schema: `allOf` is merged, an alternative of `null` becomes `nullable`.
  const resolve = (schema) => {
    let { allOf = [], oneOf, anyOf, ...flat } = follow(schema);
    for (const part of allOf.map(resolve)) {
      flat = {
        ...part,
        ...flat,
        properties: { ...part.properties, ...flat.properties },
        required: [...(part.required ?? []), ...(flat.required ?? [])],
      };
      oneOf ??= part.variants;
    }
    const all = oneOf ?? anyOf;
    const variants = all?.filter((variant) => variant.type !== "null");
    flat.nullable ||= variants?.length < all?.length;
    if (variants?.length === 1 && flat.nullable) return { ...resolve(variants[0]), ...flat };
    if (variants) flat.variants = variants;
    if (Array.isArray(flat.type)) {
      flat.nullable ||= flat.type.includes("null");
      flat.type = flat.type.filter((type) => type !== "null").join(" or ");
    }
    if (!flat.type && flat.properties) flat.type = "object";
    return flat;
  };

  /** What tells the alternatives apart: `method: password`, else the schema's name. */
  const nameOf = (variant) => {
    const { properties = {}, title, type } = resolve(variant);
    for (const [name, property] of Object.entries(properties)) {
      const { const: only, enum: some } = resolve(property);
      if (only !== undefined || some?.length === 1) return `${name}: ${only ?? some[0]}`;
    }
    return title ?? type ?? "another";
  };

  /** The type in words. */
  const typeOf = (schema) => {
    const { type, format, items, nullable, variants, enum: some, const: only } = resolve(schema);
    let words = type ?? (variants ? "one of several" : "anything");
    if (only !== undefined) words = JSON.stringify(only);
    else if (some) words = some.map((value) => JSON.stringify(value)).join(" | ");
    else if (type === "array") words = `array of ${typeOf(items ?? {})}`;
    else if (format && !/^u?int\d+$|^double$/.test(format)) words = `${type}, ${format}`;
    return nullable ? `${words} or null` : words;
  };

  /** Limits and defaults, in words. */
  const limitsOf = (schema) => {
    const found = resolve(schema);
    const range = (low, high, unit) => {
      if (low === undefined && high === undefined) return null;
      if (low !== undefined && high !== undefined) return `${low} to ${high}${unit}`;
      return high === undefined ? `at least ${low}${unit}` : `at most ${high}${unit}`;
    };
    return [
      range(found.minLength, found.maxLength, " characters"),
      range(found.minItems, found.maxItems, " items"),
      range(found.minimum, found.maximum, ""),
      found.pattern && `matches ${found.pattern}`,
      found.default !== undefined && found.type !== "object" && `default ${JSON.stringify(found.default)}`,
    ].filter(Boolean);
  };

  /** A value that the schema accepts: required members, or the first where none is. */
  const exampleOf = (schema, name = "", depth = 0) => {
    const found = resolve(schema);
    const given = found.example ?? found.examples?.[0] ?? found.const ?? found.enum?.[0];
    if (given !== undefined) return given;
    if (found.variants && !found.properties) return exampleOf(found.variants[0], name, depth + 1);
    if (found.type === "object") {
      const names = Object.keys(found.properties ?? {});
      const chosen = found.required?.length ? names.filter((n) => found.required.includes(n)) : names.slice(0, 1);
      if (depth > DEEPEST) return {};
      return Object.fromEntries(chosen.map((n) => [n, exampleOf(found.properties[n], n, depth + 1)]));
    }
    if (found.type === "array") return depth > DEEPEST ? [] : [exampleOf(found.items ?? {}, name, depth + 1)];
    if (found.default !== undefined && found.default !== null) return found.default;
    if (found.type === "integer" || found.type === "number") return found.minimum || 1;
    if (found.type === "boolean") return true;
    return text(found.format, name);
  };

  return { follow, resolve, nameOf, typeOf, limitsOf, exampleOf };
}

const WORDS = {
  "date-time": "2030-01-31T12:00:00Z",
  uuid: "01900000-0000-7000-8000-000000000000",
  uri: "https://app.example.com",
  email: "ada@example.com",
  address: "ada@example.com",
  password: "seven quiet rivers",
  current_password: "six loud rivers",
  name: "Ada Lovelace",
  code: "123456",
  token: "…",
};

function text(format, name) {
  if (/_ur[il]$|^redirect_to$/.test(name)) return WORDS.uri;
  return WORDS[format] ?? WORDS[name] ?? "…";
}
