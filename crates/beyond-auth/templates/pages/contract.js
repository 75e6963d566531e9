// Shows the contract that this very service publishes. Texts of the document are only ever set as text.

import { reader } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];
const byId = (id) => document.getElementById(id);

/** An element; strings among the children become text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return element;
}

/** A `details` whose inside is made when it is first opened: cheap, and endless schemas end. */
function fold(attributes, summary, inside) {
  const make = () => details.childElementCount === 1 && details.append(...[inside()].flat(Infinity).filter(Boolean));
  const details = el("details", { ...attributes, ontoggle: () => details.open && make() }, el("summary", {}, summary));
  details.fill = make;
  if (details.open) make();
  return details;
}

/** Text with `code` in it. */
const inline = (text = "") => text.split(/\[?(`[^`]+`)\]?/).map(
  (part) => (/^`.+`$/.test(part) ? el("code", {}, part.slice(1, -1)) : part));

/** Paragraphs and lists of a description. */
function prose(text = "") {
  return text.split(/\n\s*\n/).filter((block) => block.trim()).map((block) => {
    const items = block.trim().split(/^[-*] /m);
    if (items.length === 1) return el("p", {}, inline(block));
    return [items[0].trim() && el("p", {}, inline(items.shift())),
      el("ul", {}, items.filter(Boolean).map((item) => el("li", {}, inline(item))))];
  }).flat();
}

function show(contract) {
  const read = reader(contract);
  const calls = Object.entries(contract.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => {
      const call = item[method];
      return {
        ...call,
        method,
        path,
        id: call.operationId ?? `${method} ${path}`,
        tag: call.tags?.[0] ?? "other",
        parameters: [...(item.parameters ?? []), ...(call.parameters ?? [])].map(read.follow),
        security: call.security ?? contract.security ?? [],
        body: read.follow(call.requestBody),
      };
    }));

  // Shapes. What a caller must send is told apart from what an answer may lack.

  const member = (name, schema, required, answer) => {
    const found = read.resolve(schema);
    const facts = [read.typeOf(schema), ...read.limitsOf(schema)].join(" · ");
    const inner = found.type === "array" ? read.resolve(found.items ?? {}) : found;
    return el("li", {},
      el("code", {}, el("strong", {}, name)), " ",
      el("span", { class: "quiet small" }, facts), " ",
      required && !answer && el("span", { class: "needed" }, "required"),
      !required && answer && el("span", { class: "quiet small" }, "· may be absent"),
      prose(found.description),
      isDeep(inner) && fold({ class: "nested" }, inner.title ?? "Members", () => shape(inner, answer)));
  };
  const isDeep = (found) =>
    found.variants || Object.keys(found.properties ?? {}).length > 0 || typeof found.additionalProperties === "object";

  const shape = (schema, answer) => {
    const found = read.resolve(schema);
    if (found.type === "array" && isDeep(read.resolve(found.items ?? {}))) {
      return [el("p", { class: "quiet small" }, "An array of:"), ...shape(found.items, answer)];
    }
    const members = Object.entries(found.properties ?? {}).map(
      ([name, property]) => member(name, property, found.required?.includes(name), answer));
    if (typeof found.additionalProperties === "object") members.push(member("…", found.additionalProperties, answer, answer));
    const variants = (found.variants ?? []).map((variant) =>
      fold({ class: "nested", open: found.variants.length === 1 }, el("code", {}, read.nameOf(variant)),
        () => shape(variant, answer)));
    if (!members.length && !variants.length) return [el("p", { class: "quiet small" }, read.typeOf(schema))];
    return [members.length > 0 && el("ul", { class: "members" }, members), ...variants].filter(Boolean);
  };

  const content = (of) => Object.entries(of?.content ?? {})[0] ?? [];

  // The call as a command.

  const curl = (call, body) => {
    const query = call.parameters.filter((p) => p.in === "query" && p.required)
      .map((p) => `${p.name}=${encodeURIComponent(read.exampleOf(p.schema, p.name))}`).join("&");
    const path = call.path.replace(/\{(\w+)\}/g, (_, name) => `$${name.toUpperCase()}`);
    const lines = [`curl ${call.method === "get" ? "" : `-X ${call.method.toUpperCase()} `}"${location.origin}${path}${query && `?${query}`}"`];
    const scheme = Object.keys(call.security[0] ?? {})[0];
    if (scheme) {
      const name = scheme === "admin" ? "ADMIN_SECRET" : `${scheme.toUpperCase()}_TOKEN`;
      lines.push(`-H "Authorization: Bearer $${name}"`);
    }
    for (const p of call.parameters.filter((p) => p.in === "header" && p.required)) {
      lines.push(`-H '${p.name}: ${read.exampleOf(p.schema, p.name)}'`);
    }
    if (body) {
      const [type] = content(call.body);
      const value = read.exampleOf(body);
      const short = JSON.stringify(value);
      const json = short.length > 60 ? JSON.stringify(value, null, 2) : short;
      lines.push(`-H 'Content-Type: ${type}'`, `-d '${json.replaceAll("'", "'\\''")}'`);
    }
    return lines.join(" \\\n  ");
  };

  const example = (command) => {
    const text = el("pre", { tabindex: "0" }, el("code", {}, command));
    const copy = async ({ currentTarget: button }) => {
      try {
        await navigator.clipboard.writeText(command);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };
    return el("div", { class: "example" }, text,
      el("button", { type: "button", class: "plain", "aria-live": "polite", onclick: copy }, "Copy"));
  };

  // One call.

  const caller = ({ security }) => {
    if (!security.some((one) => Object.keys(one).length)) return "Anybody may call this.";
    const schemes = contract.components?.securitySchemes ?? {};
    const ways = security.flatMap(Object.keys).map((name) => schemes[name]?.description?.split(". ")[0] ?? name);
    return `Needs: ${ways.map((way) => way.replace(/\.$/, "")).join(", or: ")}.`;
  };

  const inside = (call) => {
    const [, body] = content(call.body);
    const variants = body ? read.resolve(body.schema).variants ?? [] : [];
    const commands = variants.length > 1 ? variants.map((variant) => curl(call, variant)) : [curl(call, body?.schema)];
    const responses = Object.entries(call.responses ?? {}).map(([status, response]) => {
      const found = read.follow(response);
      const [type, media] = content(found);
      const label = [el("code", {}, el("strong", {}, status === "default" ? "else" : status)), " ", inline(found.description),
        type ? el("span", { class: "quiet small" }, ` ${type}`) : ""];
      if (!media?.schema) return el("div", { class: "response" }, label);
      return fold({ class: "response nested", open: /^2/.test(status) }, label, () => shape(media.schema, true));
    });
    return el("div", { class: "inside" },
      prose(call.description),
      call.deprecated && el("p", { class: "notice bad" }, "Deprecated."),
      el("p", { class: "quiet small" }, caller(call), " ", el("a", { href: `#${encodeURIComponent(call.id)}` }, call.id)),
      call.parameters.length > 0 && [el("h3", {}, "Parameters"), el("ul", { class: "members" }, call.parameters.map(
        (p) => member(`${p.name} (${p.in})`, { ...p.schema, description: p.description ?? p.schema?.description }, p.required)))],
      body && [el("h3", {}, "Body"), ...prose(read.resolve(body.schema).description), shape(body.schema)].flat(),
      el("h3", {}, "Responses"), responses,
      el("h3", {}, "Example"), commands.map(example));
  };

  for (const call of calls) {
    call.words = [call.method, call.path, call.summary, call.description, call.id, call.tag].join(" ").toLowerCase();
    call.element = fold({ class: "call" }, "", () => inside(call));
    call.element.firstChild.append(
      el("code", { class: `method ${call.method}` }, call.method.toUpperCase()),
      el("code", { class: "path" }, call.path),
      el("span", { class: "quiet" }, inline(call.summary)));
    call.element.firstChild.addEventListener("click", () => {
      if (!call.element.open) history.replaceState(null, "", `#${encodeURIComponent(call.id)}`);
    });
  }

  // Groups, in the document's order; those it does not name come last.

  const named = (contract.tags ?? []).map((tag) => tag.name);
  const tags = [...new Set([...named, ...calls.map((call) => call.tag)])];
  const groups = tags.map((tag) => {
    const own = calls.filter((call) => call.tag === tag);
    const about = contract.tags?.find(({ name }) => name === tag)?.description;
    const heading = el("h2", { tabindex: "-1" }, tag.replaceAll("_", " "));
    const section = el("section", {}, heading, about && el("p", { class: "quiet" }, about), own.map((call) => call.element));
    const jump = (event) => {
      event.preventDefault();
      section.scrollIntoView();
      heading.focus({ preventScroll: true });
    };
    const entry = el("li", {}, el("a", { href: "#calls", onclick: jump }, tag.replaceAll("_", " ")));
    return { own, section, entry };
  }).filter(({ own }) => own.length);
  byId("calls").append(...groups.map(({ section }) => section));
  byId("groups").append(...groups.map(({ entry }) => entry));

  const { title, version, description } = contract.info;
  document.title = `${title} ${version}: HTTP API`;
  byId("title").textContent = `${title} ${version}`;
  byId("about").textContent = description ?? "";

  // Search and deep links.

  const search = byId("search");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { own, section, entry } of groups) {
      for (const call of own) {
        call.element.hidden = !words.every((word) => call.words.includes(word));
        count += !call.element.hidden;
      }
      section.hidden = entry.hidden = own.every((call) => call.element.hidden);
    }
    byId("found").textContent = words.length ? `${count} of ${calls.length} calls` : `${calls.length} calls`;
  };
  search.addEventListener("input", filter);
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape" && event.target === search) {
      search.value = "";
      filter();
    }
  });
  const open = () => {
    const call = calls.find((call) => `#${encodeURIComponent(call.id)}` === location.hash);
    if (!call) return;
    if (call.element.hidden) {
      search.value = "";
      filter();
    }
    call.element.fill();
    call.element.open = true;
    call.element.scrollIntoView();
    call.element.firstChild.focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  byId("tools").hidden = false;
  filter();
  open();
}

try {
  const response = await fetch("/v1/openapi.json", { credentials: "omit" });
  if (!response.ok) throw new Error(`${response.status}`);
  show(await response.json());
} catch (error) {
  console.error(error);
  byId("calls").append(el("p", { class: "notice bad", role: "alert" },
    "The contract could not be loaded. Reload the page to try again."));
}
