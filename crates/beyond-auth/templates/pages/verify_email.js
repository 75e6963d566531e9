// Redeems a verification link or code, and only when a person asks for it: programs that scan mail open links too.

const byId = (id) => document.getElementById(id);
const [title, byLink, byCode, done, problem, progress] =
  ["title", "by-link", "by-code", "done", "problem", "progress"].map(byId);
const fields = { "/email": byId("email"), "/code": byId("code") };

let token = null;
let busy = false;

function start() {
  token = takeToken();
  title.textContent = document.title = "Confirm your email address";
  problem.replaceChildren();
  done.hidden = true;
  byLink.hidden = !token;
  byCode.hidden = Boolean(token);
}

// The token stays in this page's memory: not in the address bar, the history, or a bookmark.
function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return found;
}

async function redeem(proof, button) {
  if (busy) return;
  busy = true;
  // Not `disabled`: that would take the focus away from those who use the keyboard.
  button.setAttribute("aria-disabled", "true");
  problem.replaceChildren();
  progress.textContent = "Confirming…";
  try {
    const response = await fetch("/v1/email-verifications/redemptions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(proof),
      credentials: "omit",
    });
    const body = await response.json();
    if (response.ok) succeed(body.email);
    else fail(body, response.status);
  } catch {
    fail({ detail: "The service did not answer. Check your connection and try again." });
  } finally {
    busy = false;
    button.removeAttribute("aria-disabled");
    progress.textContent = "";
  }
}

function succeed(address) {
  token = null;
  byLink.hidden = byCode.hidden = true;
  byId("address").textContent = address;
  done.hidden = false;
  title.textContent = document.title = "Address confirmed";
  title.focus();
}

function fail(body, status) {
  for (const error of body.errors ?? []) {
    if (fields[error.pointer]) mark(fields[error.pointer], error.detail);
  }
  if (focusFirstMarked()) return;
  // A token that is refused will not get better; the code of a newer mail may still work.
  if (status === 400 && token) {
    token = null;
    byLink.hidden = true;
    byCode.hidden = false;
    title.focus();
  }
  tell(body.errors?.[0]?.detail ?? body.detail ?? "Something went wrong. Try again in a moment.");
}

function tell(text) {
  const notice = document.createElement("div");
  notice.className = "notice bad";
  notice.textContent = text;
  problem.replaceChildren(notice);
}

// `text` says what is wrong with a field; none where nothing is.
function mark(field, text) {
  const note = byId(`${field.id}-error`);
  note.textContent = text ? text[0].toUpperCase() + text.slice(1) : "";
  note.hidden = !text;
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function focusFirstMarked() {
  const marked = byCode.querySelector("[aria-invalid]");
  marked?.focus();
  return Boolean(marked);
}

byId("confirm").addEventListener("click", (event) => redeem({ token }, event.currentTarget));

byId("code-instead").addEventListener("click", () => {
  byLink.hidden = true;
  byCode.hidden = false;
  problem.replaceChildren();
  fields["/email"].focus();
});

byCode.addEventListener("submit", (event) => {
  event.preventDefault();
  const [email, code] = [fields["/email"], fields["/code"]];
  problem.replaceChildren();
  mark(email, email.value.trim() ? null : "Enter the address that the mail went to.");
  mark(code, code.value.trim() ? null : "Enter the code of the mail.");
  if (focusFirstMarked()) return;
  redeem({ email: email.value.trim(), code: code.value }, byCode.querySelector("button"));
});

// Another link opened in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.hash && start());
start();
