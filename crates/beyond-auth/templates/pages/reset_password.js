// Sets a new password with a mailed link, once a person has chosen one.

import { post } from "./api.js";
import "./password.js";
import { byId, onSubmit, step, takeFragment } from "./ui.js";

let token = null;

function start() {
  ({ token } = takeFragment());
  if (token) step("start");
  else location.replace("/auth/forgot-password");
}

onSubmit(byId("reset"), async ({ password }) => {
  try {
    await post("/v1/password-resets/redemptions", { token, password });
    step("done");
  } catch (problem) {
    // A password that the policy refuses leaves the link as it is.
    if (problem.status !== 400 && problem.status !== 401) throw problem;
    step("bad");
  }
});

// Another link opened in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.hash && start());
start();
