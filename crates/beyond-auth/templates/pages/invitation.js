// Shows what an invitation is for, and accepts it when a person asks for that: programs that scan mail open links too.
// Whoever has to sign in first comes back here: `ui.js`, `leave`.

import { get, post } from "./api.js";
import { byId, explain, fill, invited, keepInvitation, leave, onClick, onSubmit, step, t, takeFragment } from "./ui.js";

let token = null;
let invitation = null;

// 400 is the service's word on the invitation; anything else may pass.
async function redeemed(act) {
  try {
    await act();
  } catch (problem) {
    if (problem.status !== 400) throw problem;
    step("bad");
  }
}

async function show() {
  const { id, organization, email, invited_by: inviter } = invitation;
  const names = { organization: organization.name, inviter, email };
  const section = document.querySelector('[data-step="start"]');
  section.querySelector("h1").textContent = fill(t.invitation.join, names);
  byId("lead").textContent = fill(inviter ? t.invitation.lead : t.invitation.lead_nobody, names);
  byId("address").textContent = fill(t.invitation.address, names);
  document.querySelector('[data-step="done"] h1').textContent = fill(t.invitation.done_title, names);
  const known = document.body.dataset.cookie ? await get("/v1/sessions/current").catch(() => null) : null;
  const waiting = known ? (await get("/v1/users/me/invitations?limit=100")).data : [];
  const own = waiting.some((other) => other.id === id);
  byId("accept").hidden = !own;
  byId("first").hidden = own;
  byId("known").hidden = !known;
  if (known) byId("known").textContent = fill(t.sign_in.known, { who: known.user.email ?? known.user.name });
  step("start");
}

async function start() {
  token = takeFragment().token ?? invited?.token;
  keepInvitation(null);
  if (!token) return step("bad");
  await redeemed(async () => {
    ({ invitation } = await post("/v1/invitations/introspections", { token }));
    await show();
  }).catch((problem) => explain(step("bad"), problem));
}

onSubmit(byId("accept"), () =>
  redeemed(async () => {
    await post("/v1/invitations/redemptions", { token });
    step("done");
  }),
);
onClick(byId("decline"), async () => {
  await post(`/v1/invitations/${invitation.id}/declines`);
  step("declined");
});
onClick(byId("go-on"), () => leave());
for (const way of byId("first").querySelectorAll("a")) {
  way.addEventListener("click", () => keepInvitation({ token, email: invitation.email }));
}

// Another link opened in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.hash && start());
await start();
