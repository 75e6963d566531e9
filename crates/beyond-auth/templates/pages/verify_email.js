// Redeems a verification link or code, and only when a person asks for it: programs that scan mail open links too.

import { post } from "./api.js";
import { byId, onClick, onSubmit, step, takeFragment, tell, words } from "./ui.js";

let token = null;

function start() {
  ({ token } = takeFragment());
  step(token ? "link" : "code");
}

async function redeem(proof) {
  const { email } = await post("/v1/email-verifications/redemptions", proof);
  token = null;
  byId("address").textContent = email;
  step("done");
}

onSubmit(byId("by-link"), async () => {
  try {
    await redeem({ token });
  } catch (problem) {
    if (problem.status !== 400) throw problem;
    // A token that is refused will not get better; the code of a newer mail may still work.
    step("code");
    tell(byId("by-code"), words(problem));
  }
});
onSubmit(byId("by-code"), ({ email, code }) => redeem({ email: email.trim(), code: code.replace(/\s/g, "") }));
onClick(byId("code-instead"), () => {
  step("code");
  byId("email").focus();
});

// Another link opened in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.hash && start());
start();
