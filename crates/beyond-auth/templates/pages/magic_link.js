// Signs in with a mailed link, and only when a person asks for it: programs that scan mail open links too.

import { signIn } from "./api.js";
import { finish } from "./second_factor.js";
import { byId, onSubmit, step, takeToken } from "./ui.js";

let token = null;

function start() {
  token = takeToken();
  step(token ? "start" : "bad");
}

onSubmit(byId("by-link"), async () => {
  try {
    finish(await signIn({ method: "magic_link", token }), () => step("bad"));
  } catch (problem) {
    if (problem.status !== 400 && problem.status !== 401) throw problem;
    step("bad");
  }
});

// Another link opened in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.hash && start());
start();
