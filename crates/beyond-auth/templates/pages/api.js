// The public API, as pages call it. Sessions travel in the HttpOnly cookie: no token of one is ever seen here.

export class Problem extends Error {
  constructor(status, body) {
    super(body?.code ?? `status ${status}`);
    Object.assign(this, { status, code: body?.code, detail: body?.detail, errors: body?.errors ?? [], body });
  }
}

async function call(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Problem(0, { code: "no_answer" });
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const remove = (path, body) => call("DELETE", path, body);

// The one door. Resolves to `{session, user}`, or to `{attempt}` when another factor is due.
export const signIn = (proof) => post("/v1/sessions", { ...proof, cookie: true });
