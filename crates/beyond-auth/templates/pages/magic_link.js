// Signs in with a mailed link, and only when a person asks for it: programs that scan mail open links too.

import { signIn } from "./api.js";
import { finish } from "./second_factor.js";
import { byId, onSubmit, step, takeFragment } from "./ui.js";

let token = null;
let target = null;

function start() {
  ({ token, target } = takeFragment());
  if (token) step("start");
  else location.replace("/auth/sign-in");
}

onSubmit(byId("by-link"), async () => {
  try {
    const answer = await signIn({ method: "magic_link", token });
    await finish({ ...answer, redirect_to: target }, () => step("bad"));
  } catch (problem) {
    if (problem.status !== 400 && problem.status !== 401) throw problem;
    step("bad");
  }
});

// Another link opened in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.hash && start());
start();
